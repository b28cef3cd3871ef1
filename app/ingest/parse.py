"""The pure part of an import as one step: bytes in, records and rejects out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from app.ingest.dialect import read_layout, unpacked
from app.ingest.model import Layout, Limits, Reject
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
