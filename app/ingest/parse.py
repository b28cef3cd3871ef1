"""The pure part of an import as one step: bytes in, records and rejects out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

from app.ingest.dialect import read_layout, unpacked
from app.ingest.model import BrokenRow, Layout, Limits, Position, Reject, Row, Run
from app.ingest.plain import plain_rows
from app.ingest.reader import read_rows, read_runs
from app.ingest.rows import SCHEMAS, Accepted, Kind, RowReader


def open_file(
    chunks: Iterable[bytes], kind: Kind, *, limits: Limits | None = None, largest: int | None = None
) -> tuple[Layout, Iterator[bytes]]:
    """The layout of a file, packed or plain, and its unpacked bytes from the first row on. Raises FileError."""
    schema = SCHEMAS[kind]
    whole = unpacked(chunks, largest=largest)
    return read_layout(whole, known=tuple(schema.columns), required=schema.required, limits=limits or Limits())


def parse(
    chunks: Iterable[bytes], kind: Kind, *, limits: Limits | None = None, largest: int | None = None
) -> tuple[Layout, Iterator[Accepted | Reject]]:
    """The layout of a file and what becomes of each of its rows. The iterator raises FileError too: a pack may be torn."""
    layout, rest = open_file(chunks, kind, limits=limits, largest=largest)
    read = RowReader(kind, layout).read
    return layout, map(read, read_rows(rest, delimiter=layout.delimiter, start=layout.start, limits=limits))


# Bytes of a batch, and at most one row more: rows may be long.
BATCH_BYTES = 4 * 1024 * 1024
LONGEST_CAUTION = 64


@dataclass
class Caution:
    """How many of a file's next batches are not tried straight, because the last one was in vain. Starts without any."""

    batches: int = 0
    _next: int = 1

    def allows(self) -> bool:
        """Whether the batch at hand may be tried."""
        if self.batches:
            self.batches -= 1
            return False
        return True

    def failed(self) -> None:
        """For twice as many batches as the last time."""
        self.batches, self._next = self._next, min(2 * self._next, LONGEST_CAUTION)

    def succeeded(self) -> None:
        self._next = 1


@dataclass(frozen=True)
class Batch:
    """Rows that are loaded in one transaction, and where the file goes on after them."""

    layout: Layout
    parts: list[Accepted | Reject | Run]
    start: Position
    after: Position
    reader: RowReader
    # One for all batches of a file.
    caution: Caution = field(default_factory=Caution)

    def __len__(self) -> int:
        """Rows that were accepted."""
        return sum(part.rows if isinstance(part, Run) else isinstance(part, Accepted) for part in self.parts)

    @cached_property
    def results(self) -> list[Accepted | Reject]:
        """What becomes of each row."""
        results: list[Accepted | Reject] = []
        for part in self.parts:
            if isinstance(part, Run):
                results += map(self.reader.read, read_rows([part.data], delimiter=self.layout.delimiter, start=part.start))
            else:
                results.append(part)
        return results

    @property
    def accepted(self) -> list[Accepted]:
        return [row for row in self.results if isinstance(row, Accepted)]

    @property
    def rejects(self) -> list[Reject]:
        return [part for part in self.parts if isinstance(part, Reject)]


def batches(chunks: Iterable[bytes], kind: Kind, layout: Layout, *, start: Position, size: int) -> Iterator[Batch]:
    """The rows from `start` on, which is the layout's or the `after` of any batch; `chunks` begin there. Raises FileError.

    A batch has `size` rows; fewer if BATCH_BYTES are reached before or the file ends.
    """
    reader, caution = RowReader(kind, layout), Caution()
    parts: list[Accepted | Reject | Run] = []
    rows, after = 0, start
    for item in read_runs(chunks, delimiter=layout.delimiter, start=start, plain=plain_rows(kind, layout)):
        left: Row | BrokenRow | Run | None = item
        while left is not None:
            part, left = _cut(left, size - rows)
            after = part.after
            parts.append(part if isinstance(part, Run) else reader.read(part))
            rows += part.rows if isinstance(part, Run) else 1
            if rows == size or after.offset - start.offset >= BATCH_BYTES:
                yield Batch(layout, parts, start, after, reader, caution)
                parts, rows, start = [], 0, after
    if parts:
        yield Batch(layout, parts, start, after, reader, caution)


def _cut(item: Row | BrokenRow | Run, rows: int) -> tuple[Row | BrokenRow | Run, Run | None]:
    """As much of it as has `rows` rows, and what is left."""
    return item.split(rows) if isinstance(item, Run) and item.rows > rows else (item, None)
