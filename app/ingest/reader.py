"""Rows out of a stream of bytes, each with its place; memory is bounded by one slice and one row, whatever comes.

A line ends with LF, CRLF or CR. Quotes are read as strictly as RFC 4180 has them. What is wrong with one line costs that
line alone: where a quoted cell goes wrong on a later line than it began, or does not end within `Limits`, only the line
where the row began is refused, and reading goes on with the next one. How the bytes were cut into chunks makes no
difference to any row.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Generator, Iterable, Iterator
from io import StringIO
from itertools import islice

from app.ingest.dialect import sliced
from app.ingest.model import BrokenRow, Limits, Position, Row, RowCode, Run

# What csv says when the input ends inside of quotes; a test holds it to that.
_UNENDED = "unexpected end of data"
_UNCLOSED = "a quoted cell that begins here is not closed properly"


def read_rows(
    chunks: Iterable[bytes], *, delimiter: str, start: Position, limits: Limits | None = None
) -> Iterator[Row | BrokenRow]:
    """Every row of the bytes from `start` on, which is where a row begins: the layout's start, or the `after` of any row.

    Empty lines are no rows.
    """
    # Without a pattern there are no runs.
    return _Reader(delimiter, start, limits or Limits(), None).rows(chunks)  # type: ignore[return-value]


def read_runs(
    chunks: Iterable[bytes], *, delimiter: str, start: Position, plain: re.Pattern[bytes] | None
) -> Iterator[Row | BrokenRow | Run]:
    """As `read_rows`, but lines that `plain` matches stay together; it matches whole lines, or nothing."""
    return _Reader(delimiter, start, Limits(), plain).rows(chunks)


def storable(raw: str) -> str:
    """The text as PostgreSQL can hold it: bad bytes and NULs become \\xNN."""
    if raw.isascii() and "\0" not in raw:
        return raw
    return raw.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace").replace("\0", "\\x00")


# Half the cost of a named tuple's own constructor, and this is done for every row.
_new = tuple.__new__


class _Reader:
    """`_pending` are whole lines of a row that has not ended yet, `_tail` the beginning of a line."""

    def __init__(self, delimiter: str, start: Position, limits: Limits, plain: re.Pattern[bytes] | None) -> None:
        self._delimiter = delimiter
        self._limits = limits
        self._plain = plain
        # Rows that are read one by one before plain ones are looked for again, longer each time in vain.
        self._patience = 1 if plain else None
        self._position = start
        self._pending = b""
        self._tail = b""
        # Bytes of the too long line that is being passed over, and its beginning.
        self._passed = 0
        self._beginning = b""

    def rows(self, chunks: Iterable[bytes]) -> Iterator[Row | BrokenRow | Run]:
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

    def _read(self, block: bytes, *, is_last: bool = False) -> Iterator[Row | BrokenRow | Run]:
        """The rows of whole lines; one that does not end in them becomes `_pending`, or is broken if nothing can follow."""
        self._pending = b""
        lines = list(StringIO(block.decode("utf-8", "surrogateescape"), newline=""))
        at, end, origin = 0, len(lines), self._position.offset
        while at < end:
            at += yield from self._plain_rows(block, self._position.offset - origin)
            # No row may be longer, and so a quote that is left open is not looked for through the whole block.
            base, stop = at, min(end, at + self._limits.row_lines)
            reader = csv.reader(map(lines.__getitem__, range(at, stop)), delimiter=self._delimiter, strict=True)
            broken: tuple[RowCode, str] | None = None
            try:
                for cells in islice(reader, self._patience):
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
                    broken = _misquoted(error, lines=base + reader.line_num - at)
                elif stop == end and not is_last and sum(map(_size, lines[at:])) <= self._limits.row_bytes:
                    self._pending = "".join(lines[at:]).encode("utf-8", "surrogateescape")
                    return
                elif at == base or stop == end:
                    broken = (RowCode.UNCLOSED_QUOTE, _UNCLOSED)
            if broken:
                yield self._broken(lines[at], _size(lines[at]), *broken)
                at += 1

    def _plain_rows(self, block: bytes, at: int) -> Generator[Run, None, int]:
        """The plain rows that begin there; returns how many there are."""
        if self._plain is None or self._patience is None:
            return 0
        found = self._plain.match(block, at)
        if found is None or found.end() == at:
            self._patience = min(2 * self._patience, self._limits.row_lines)
            return 0
        self._patience = 1
        start, data = self._position, found.group()
        self._position = Position(start.offset + len(data), start.line + data.count(b"\n"))
        run = Run(start, self._position, data)
        yield run
        return run.rows


def _misquoted(error: csv.Error, *, lines: int) -> tuple[RowCode, str]:
    """What is wrong with the first of these lines of a row."""
    return (RowCode.BAD_QUOTE, f"a quote is out of place: {error}") if lines == 1 else (RowCode.UNCLOSED_QUOTE, _UNCLOSED)


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
