"""Short forms for the tests of the import's pure part."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from app.ingest.model import Layout, Limits, Reject
from app.ingest.parse import parse
from app.ingest.rows import Accepted, Kind

USERS = "id,username,email,created_at\n"
URLS = "id,user_id,short_code,original_url,title,is_active,created_at,updated_at\n"
EVENTS = "id,url_id,user_id,event_type,timestamp,details\n"
HEADERS = {Kind.USERS: USERS, Kind.URLS: URLS, Kind.EVENTS: EVENTS}


def read(data: bytes | str | Iterable[bytes], kind: Kind = Kind.USERS, limits: Limits | None = None) -> list[Accepted | Reject]:
    """What becomes of every row. Raises FileError."""
    return list(layout_and_rows(data, kind, limits)[1])


def layout_and_rows(
    data: bytes | str | Iterable[bytes], kind: Kind = Kind.USERS, limits: Limits | None = None
) -> tuple[Layout, Iterator[Accepted | Reject]]:
    """The layout and, lazily, what becomes of every row. Raises FileError."""
    chunks = [data.encode()] if isinstance(data, str) else [data] if isinstance(data, bytes) else data
    return parse(chunks, kind, limits=limits)


def rejects(results: Iterable[Accepted | Reject]) -> list[Reject]:
    """Those that were refused."""
    return [result for result in results if isinstance(result, Reject)]


def accepted(results: Iterable[Accepted | Reject]) -> list[Accepted]:
    """Those that were taken."""
    return [result for result in results if isinstance(result, Accepted)]


def cut(data: bytes, sizes: Sequence[int]) -> Iterator[bytes]:
    """The bytes in chunks of these sizes, over and over."""
    at, turn = 0, 0
    while at < len(data):
        size = sizes[turn % len(sizes)]
        yield data[at : at + size]
        at, turn = at + size, turn + 1
