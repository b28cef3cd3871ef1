"""How a file is written: packing, encoding, delimiter, header.

Files are UTF-8, with or without a byte order mark, plain or gzip. UTF-16 and UTF-32 are refused with a message that says
what to do: byte offsets and a restart in the middle would be a matter of guessing there. The delimiter is the one under
which most known columns are found in the header; no cell is ever looked at for it. Columns must be known, so that no
misspelt one is passed over in silence.
"""

from __future__ import annotations

import codecs
import csv
import re
import zlib
from collections.abc import Collection, Iterable, Iterator
from difflib import get_close_matches
from itertools import chain

from app.ingest.model import REASONS, FileCode, FileError, Layout, Limits, Position

DELIMITERS = (",", ";", "\t", "|")
# Bytes that are handled at once: no step holds more of a file than this and one row.
SLICE = 64 * 1024
GZIP = b"\x1f\x8b"

_LINE = re.compile(rb"[^\r\n]*(?:\r\n|\n|\r)")
_HINT = re.compile(r"sep=([,;\t|])", re.IGNORECASE)
# UTF-32's mark begins with that of UTF-16, so it stands first.
_FOREIGN = {
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}


def sliced(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in pieces of at most SLICE."""
    for chunk in chunks:
        for at in range(0, len(chunk), SLICE):
            yield chunk[at : at + SLICE]


def unpacked(chunks: Iterable[bytes], *, skip: int = 0, largest: int | None = None) -> Iterator[bytes]:
    """The bytes of a file, unpacked if they are gzip, less the first `skip`; more than `largest` bytes are a FileError.

    A packed file cannot be entered in the middle: it is unpacked again from its beginning, and what was read already is dropped.
    """
    whole = sliced(chunks)
    head = b""
    while len(head) < len(GZIP) and (piece := next(whole, None)) is not None:
        head += piece
    pieces = chain([head], whole) if head else whole
    size = 0
    for piece in _gunzipped(pieces) if head.startswith(GZIP) else pieces:
        before, size = size, size + len(piece)
        if largest is not None and size > largest:
            raise FileError(FileCode.TOO_LARGE, f"the file has more than {largest} bytes (unpacked)")
        if size > skip:
            yield piece[max(0, skip - before) :]


def _gunzipped(pieces: Iterable[bytes]) -> Iterator[bytes]:
    member, is_open = zlib.decompressobj(wbits=31), True
    for piece in pieces:
        data = piece
        while data:
            if not is_open:
                data = data.lstrip(b"\0")  # padding, as tape and tar leave it
                if not data:
                    break
                member, is_open = zlib.decompressobj(wbits=31), True
            try:
                unpacked_piece = member.decompress(data, SLICE)
            except zlib.error as error:
                raise FileError(FileCode.GZIP, f"the gzip data is damaged: {error}") from None
            if unpacked_piece:
                yield unpacked_piece
            if member.eof:
                data, is_open = member.unused_data, False
            else:
                data = member.unconsumed_tail
    if is_open:
        yield member.flush()  # what a full slice left inside, and perhaps the end with it
        if not member.eof:
            raise FileError(FileCode.GZIP, "the gzip data ends too early")


def read_layout(
    chunks: Iterable[bytes], *, known: Collection[str], required: Collection[str], limits: Limits
) -> tuple[Layout, Iterator[bytes]]:
    """The layout of a file and the bytes from `layout.start` on. Raises FileError when no row of it could be read."""
    pieces = sliced(chunks)
    head, line, hint, ended = b"", 1, None, False
    while len(head) < 4 and (piece := next(pieces, None)) is not None:
        head += piece
    _refuse_foreign(head)
    at = len(codecs.BOM_UTF8) if head.startswith(codecs.BOM_UTF8) else 0
    while True:
        end = _line_end(head, at, is_last=ended)
        if (len(head) if end is None else end) > limits.row_bytes:
            raise FileError(FileCode.HEADER, f"the first {limits.row_bytes} bytes hold no whole header", line=line)
        if end is None:
            piece = next(pieces, None)
            ended = piece is None
            head += piece or b""
        elif at == end:
            raise FileError(FileCode.EMPTY, "the file is empty: not even a header")
        else:
            text = _decoded(head[at:end], at, line).rstrip("\r\n")
            at, line = end, line + 1
            if hint is None and (hinted := _HINT.fullmatch(text)):
                hint = hinted[1]
            elif text.strip():
                delimiter, names = _split(text, known, (hint,) if hint else DELIMITERS, line - 1)
                _check_names(names, known, required, line - 1)
                return Layout(delimiter, names, Position(at, line)), chain([head[at:]], pieces)


def _line_end(head: bytes, at: int, *, is_last: bool) -> int | None:
    """Where the line that begins at `at` ends, its line ending included; None while that is unknown."""
    found = _LINE.match(head, at)
    # A CR that is the last byte may be the first half of a CRLF.
    if found is not None and (is_last or found.end() < len(head) or found.group().endswith(b"\n")):
        return found.end()
    return len(head) if is_last else None


def _refuse_foreign(head: bytes) -> None:
    for mark, name in _FOREIGN.items():
        if head.startswith(mark):
            raise FileError(FileCode.ENCODING, f"the file is {name}: save it as UTF-8 (in Excel: CSV UTF-8)")
    if head.startswith(b"PK\x03\x04"):
        raise FileError(FileCode.ARCHIVE, "the file is a ZIP archive or an Excel workbook: save the sheet as CSV UTF-8")
    if b"\0" in head[:2]:
        raise FileError(FileCode.ENCODING, "the file begins with a NUL byte, as UTF-16 without its mark does: save it as UTF-8")


def _decoded(line: bytes, offset: int, number: int) -> str:
    if b"\0" in line:
        raise FileError(FileCode.ENCODING, "the header holds NUL bytes, as UTF-16 does: save the file as UTF-8", line=number)
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        bad = f"0x{line[error.start]:02x} at byte {offset + error.start}"
        raise FileError(FileCode.ENCODING, f"the header is no UTF-8: {bad}; save the file as UTF-8", line=number) from None


def normalised(name: str) -> str:
    """A column's name as it is compared: `User ID` is user_id."""
    return re.sub(r"[\s-]+", "_", name.strip()).casefold()


def _split(text: str, known: Collection[str], delimiters: Iterable[str], line: int) -> tuple[str, tuple[str, ...]]:
    readings = []
    for delimiter in delimiters:
        try:
            cells = next(csv.reader([text], delimiter=delimiter, strict=True))
        except csv.Error:
            continue
        names = tuple(normalised(cell) for cell in cells)
        readings.append((len(set(names) & set(known)), delimiter, names))
    if not readings:
        raise FileError(FileCode.HEADER, "the header's quotes do not match", line=line)
    score, delimiter, names = max(readings, key=lambda reading: reading[0])  # the first of equals
    if score == 0:
        raise FileError(FileCode.HEADER, f"the first line has none of the columns {', '.join(known)}", line=line)
    return delimiter, names


def _check_names(names: tuple[str, ...], known: Collection[str], required: Collection[str], line: int) -> None:
    seen: set[str] = set()
    for number, name in enumerate(names, 1):
        if not name:
            raise FileError(FileCode.UNKNOWN_COLUMN, f"column {number} has no name", line=line)
        if name not in known and name not in REASONS:
            close = get_close_matches(name[:80], known, n=1)
            meant = f"; did you mean {close[0]}?" if close else f": known are {', '.join(known)}"
            raise FileError(FileCode.UNKNOWN_COLUMN, f"column {number}, {name[:80]!r}, is unknown{meant}", line=line)
        if name in seen:
            raise FileError(FileCode.DUPLICATE_COLUMN, f"column {number}, {name}, is there twice", line=line)
        seen.add(name)
    if missing := [name for name in required if name not in seen]:
        raise FileError(FileCode.MISSING_COLUMN, f"column {', '.join(missing)} is missing", line=line)
