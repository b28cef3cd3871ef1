"""The hackathon's numbers as data that is the same on every host: 400 users, 2,000 URLs (1,641 active), 3,422 events."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from psycopg import sql
from psycopg.types.json import Jsonb

from app.domain.codes import new_code
from app.errors import AppError
from app.store.connection import Connection
from app.store.events import Kind

USERS, URLS, ACTIVE, UPDATED, DELETED = 400, 2000, 1641, 1206, 216

_EPOCH = datetime.fromisoformat("2025-01-01")
_WORDS = ("amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "harbor", "island", "juniper", "kestrel", "lagoon")


class Seed(NamedTuple):
    """Rows in the order of their tables' columns."""

    users: list[tuple[Any, ...]]
    urls: list[tuple[Any, ...]]
    events: list[tuple[Any, ...]]


_COLUMNS = {
    "users": ("id", "username", "email", "created_at"),
    "urls": ("id", "user_id", "short_code", "original_url", "title", "is_active", "created_at", "updated_at"),
    "events": ("id", "url_id", "user_id", "event_type", "timestamp", "details"),
}


def made() -> Seed:
    """The data; every call makes the same. A URL that was switched off keeps its row, as in the hackathon's files."""
    draw = random.Random(2026)  # noqa: S311 - sample data, no secret
    users = [
        (number, f"{draw.choice(_WORDS)}_{number}", f"user{number}@example.com", _EPOCH + timedelta(minutes=number))
        for number in range(1, USERS + 1)
    ]
    active = dict.fromkeys(draw.sample(range(1, URLS + 1), ACTIVE), True)
    codes = _codes(draw)
    urls = []
    for number in range(1, URLS + 1):
        at = _EPOCH + timedelta(days=30, seconds=draw.randrange(250 * 86400))
        target = f"https://{draw.choice(_WORDS)}.example.net/{draw.choice(_WORDS)}/{number}"
        owner = draw.randint(1, USERS)
        urls.append((number, owner, next(codes), target, f"{draw.choice(_WORDS)} {number}".title(), number in active, at, at))
    return Seed(users, urls, _events(draw, urls))


def _codes(draw: random.Random) -> Iterator[str]:
    seen: set[str] = set()
    while True:
        code = new_code(draw.randrange)
        if code not in seen:
            seen.add(code)
            yield code


def _events(draw: random.Random, urls: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    happened = [(url[6], url[0], url[1], Kind.CREATED, {"short_code": url[2], "original_url": url[3]}) for url in urls]
    for url in draw.choices(urls, k=UPDATED):
        at = url[6] + timedelta(seconds=draw.randint(1, 60 * 86400))
        happened.append((at, url[0], url[1], Kind.UPDATED, {"short_code": url[2], "changed": {"title": [None, url[4]]}}))
    for url in draw.sample([url for url in urls if not url[5]], k=DELETED):
        at = url[6] + timedelta(days=60, seconds=draw.randint(1, 86400))
        happened.append((at, url[0], url[1], Kind.DELETED, {"short_code": url[2], "reason": "user_requested"}))
    happened.sort(key=lambda event: (event[0], event[1], event[3]))
    return [
        (number, url, user, kind.value, at, details) for number, (at, url, user, kind, details) in enumerate(happened, start=1)
    ]


def seed(connection: Connection) -> Seed:
    """Write the data into empty tables, all or nothing. Raises AppError where there is data already, and psycopg.Error."""
    data = made()
    with connection.transaction():
        if connection.execute("SELECT EXISTS (SELECT FROM users) OR EXISTS (SELECT FROM events)").fetchone() != (False,):
            raise AppError("there is data already: seed writes into empty tables only")
        for table, rows in data._asdict().items():
            columns = sql.SQL(", ").join(map(sql.Identifier, _COLUMNS[table]))
            statement = sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(table), columns)
            with connection.cursor().copy(statement) as copy:
                for row in rows:
                    copy.write_row([Jsonb(value) if isinstance(value, dict) else value for value in row])
            # The ids above were given; the next one has to follow them.
            query = sql.SQL("SELECT setval(pg_get_serial_sequence({name}, 'id'), max(id)) FROM {table}")
            connection.execute(query.format(name=sql.Literal(table), table=sql.Identifier(table)))
    return data
