"""Rows out of a stream of bytes, each with its place; memory is bounded by one slice and one row, whatever comes.

A line ends with LF, CRLF or CR. Quotes are read as strictly as RFC 4180 has them. What is wrong with one line costs that
line alone: where a quoted cell goes wrong on a later line than it began, or does not end within `Limits`, only the line
where the row began is refused, and reading goes on with the next one. How the bytes were cut into chunks makes no
difference to any row.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from io import StringIO

from app.ingest.dialect import sliced
from app.ingest.model import BrokenRow, Limits, Position, Row, RowCode

# What csv says when the input ends inside of quotes; a test holds it to that.
_UNENDED = "unexpected end of data"
_UNCLOSED = "a quoted cell that begins here is not closed properly"


def read_rows(
    chunks: Iterable[bytes], *, delimiter: str, start: Position, limits: Limits | None = None
) -> Iterator[Row | BrokenRow]:
    """Every row of the bytes from `start` on, which is where a row begins: the layout's start, or the `after` of any row.

    Empty lines are no rows.
    """
    return _Reader(delimiter, start, limits or Limits()).rows(chunks)


def storable(raw: str) -> str:
    """The text as PostgreSQL can hold it: bad bytes and NULs become \\xNN."""
    if raw.isascii() and "\0" not in raw:
        return raw
    return raw.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace").replace("\0", "\\x00")


# Half the cost of a named tuple's own constructor, and this is done for every row.
_new = tuple.__new__


class _Reader:
    """`_pending` are whole lines of a row that has not ended yet, `_tail` the beginning of a line."""

    def __init__(self, delimiter: str, start: Position, limits: Limits) -> None:
        self._delimiter = delimiter
        self._limits = limits
        self._position = start
        self._pending = b""
        self._tail = b""
        # Bytes of the too long line that is being passed over, and its beginning.
        self._passed = 0
        self._beginning = b""

    def rows(self, chunks: Iterable[bytes]) -> Iterator[Row | BrokenRow]:
        for piece in sliced(chunks):
            data = self._tail + piece
            if self._passed:
                ended = _first_ending(data)
                if ended is None:
                    # The last byte stays: a CR may be half of a CRLF.
                    self._passed += len(data) - 1
                    self._tail = data[-1:]
                    continue
                yield self._too_long(self._passed + ended)
                data = data[ended:]
            cut = _last_ending(data)
            self._tail = data[cut:]
            if cut:
                yield from self._read(self._pending + data[:cut])
            if len(self._tail) > self._limits.row_bytes:
                yield from self._read(self._pending, is_last=True)
                self._beginning = self._tail[: 4 * self._limits.kept]
                self._passed, self._tail = len(self._tail) - 1, self._tail[-1:]
        if self._passed:
            yield self._too_long(self._passed + len(self._tail))
        else:
            yield from self._read(self._pending + self._tail, is_last=True)

    def _too_long(self, size: int) -> BrokenRow:
        beginning, self._beginning, self._passed = self._beginning, b"", 0
        return self._broken(beginning.decode("utf-8", "surrogateescape"), size, RowCode.LINE_TOO_LONG, "")

    def _broken(self, raw: str, size: int, code: RowCode, message: str) -> BrokenRow:
        if size > self._limits.row_bytes:
            code, raw = RowCode.LINE_TOO_LONG, raw[: self._limits.kept]
            message = f"the line has {size} bytes, more than {self._limits.row_bytes}; only its beginning is kept"
        start = self._position
        self._position = Position(start.offset + size, start.line + 1)
        return BrokenRow(start, self._position, raw, code, message)

    def _read(self, block: bytes, *, is_last: bool = False) -> Iterator[Row | BrokenRow]:
        """The rows of whole lines; one that does not end in them becomes `_pending`, or is broken if nothing can follow."""
        self._pending = b""
        lines = list(StringIO(block.decode("utf-8", "surrogateescape"), newline=""))
        at, end = 0, len(lines)
        while at < end:
            # No row may be longer, and so a quote that is left open is not looked for through the whole block.
            base, stop = at, min(end, at + self._limits.row_lines)
            reader = csv.reader(map(lines.__getitem__, range(at, stop)), delimiter=self._delimiter, strict=True)
            broken: tuple[RowCode, str] | None = None
            try:
                for cells in reader:
                    after = base + reader.line_num
                    raw = lines[at] if after - at == 1 else "".join(lines[at:after])
                    size = _size(raw)
                    if size > self._limits.row_bytes:
                        broken = (RowCode.UNCLOSED_QUOTE, _UNCLOSED)
                        break
                    start = self._position
                    self._position = position = _new(Position, (start[0] + size, start[1] + after - at))
                    at = after
                    if cells:
                        yield _new(Row, (start, position, raw, cells))
            except csv.Error as error:
                if str(error) != _UNENDED:
                    is_first = base + reader.line_num - at == 1
                    broken = (
                        (RowCode.BAD_QUOTE, f"a quote is out of place: {error}")
                        if is_first
                        else (RowCode.UNCLOSED_QUOTE, _UNCLOSED)
                    )
                elif stop == end and not is_last and sum(map(_size, lines[at:])) <= self._limits.row_bytes:
                    self._pending = "".join(lines[at:]).encode("utf-8", "surrogateescape")
                    return
                elif at == base or stop == end:
                    broken = (RowCode.UNCLOSED_QUOTE, _UNCLOSED)
            if broken:
                yield self._broken(lines[at], _size(lines[at]), *broken)
                at += 1


def _size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogateescape"))


def _first_ending(data: bytes) -> int | None:
    """Where the first line ends for sure, its line ending included."""
    feed, carriage = data.find(b"\n"), data.find(b"\r")
    if carriage >= 0 and (feed < 0 or carriage < feed - 1):
        return carriage + 1 if carriage + 1 < len(data) else None
    return feed + 1 if feed >= 0 else None


def _last_ending(data: bytes) -> int:
    """Where the last line ends for sure, 0 if none does. A CR that is the last byte may be half of a CRLF."""
    return max(data.rfind(b"\n"), data.rfind(b"\r", 0, len(data) - 1)) + 1
