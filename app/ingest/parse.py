"""The pure part of an import as one step: bytes in, records and rejects out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import NamedTuple

from app.ingest.dialect import read_layout, unpacked
from app.ingest.model import Layout, Limits, Position, Reject
from app.ingest.reader import read_rows
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


class Batch(NamedTuple):
    """Rows that are loaded in one transaction, and where the file goes on after them."""

    results: list[Accepted | Reject]
    start: Position
    after: Position


def batches(chunks: Iterable[bytes], kind: Kind, layout: Layout, *, start: Position, size: int) -> Iterator[Batch]:
    """The rows from `start` on, which is the layout's or the `after` of any batch; `chunks` begin there. Raises FileError."""
    read = RowReader(kind, layout).read
    rows = read_rows(chunks, delimiter=layout.delimiter, start=start)
    while part := list(islice(rows, size)):
        after = part[-1].after
        yield Batch([read(row) for row in part], start, after)
        start = after
