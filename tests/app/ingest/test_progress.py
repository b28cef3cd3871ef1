"""An import that is torn at any point ends as one that was not."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg
import pytest

from app.ingest import progress
from app.ingest.load import load_batch
from app.ingest.model import Position
from app.ingest.parse import batches, open_file
from app.ingest.progress import OvertakenError, import_batch
from app.ingest.rows import Kind
from tests.app.ingest.reading import USERS
from tests.support.postgres import PostgresServer

NOW = datetime.fromisoformat("2026-11-22T12:00:00")
DATA = (
    USERS
    + "".join(
        f'{n},user{n},"user{n}@example.com",{"2026-01-01 00:00:00" if n > 9 else ""}\n' + "\n" * (n % 3) for n in range(1, 20)
    )
    + "x\n20,user1,a@b.c,\n"
).encode()


@pytest.fixture
def database(postgres: PostgresServer) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute("TRUNCATE import_job CASCADE")
        yield connection


class TornError(Exception):
    pass


def started(database: psycopg.Connection[Any]) -> UUID:
    start = open_file([DATA], Kind.USERS)[0].start
    row = database.execute(
        "INSERT INTO import_job (kind, next_offset, next_line, created_at) VALUES ('users', %s, %s, %s) RETURNING id",
        (start.offset, start.line, NOW),
    ).fetchone()
    assert row is not None
    return UUID(str(row[0]))


def go_on(database: psycopg.Connection[Any], job: UUID) -> None:
    """What a worker does that has just come: from where the job is to its end."""
    layout = open_file([DATA], Kind.USERS)[0]
    row = database.execute("SELECT next_offset, next_line FROM import_job WHERE id = %s", (job,)).fetchone()
    assert row is not None
    start = Position(*row)
    for batch in batches([DATA[start.offset :]], Kind.USERS, layout, start=start, size=4):
        import_batch(database, job, Kind.USERS, batch, now=NOW, below=secrets.randbelow)


_PROGRESS = "SELECT next_offset, next_line, inserted, updated, unchanged, duplicate, rejected FROM import_job"


def state(database: psycopg.Connection[Any]) -> list[object]:
    return [
        database.execute(_PROGRESS).fetchall(),
        database.execute('SELECT line, "column", code, message, raw FROM import_reject ORDER BY line').fetchall(),
        database.execute("SELECT id, username, email FROM users ORDER BY id").fetchall(),
    ]


def test_a_whole_import_counts_every_row_once(database: psycopg.Connection[Any]) -> None:
    go_on(database, started(database))
    counts, rejects, users = state(database)
    assert counts == [(len(DATA), DATA.count(b"\n") + 1, 19, 0, 0, 0, 2)]
    assert [reject[2] for reject in rejects] == ["too_few_columns", "clash"]  # type: ignore[attr-defined]
    assert len(users) == 19  # type: ignore[arg-type]


@pytest.mark.parametrize("batch", range(6))
@pytest.mark.parametrize("is_late", [False, True], ids=["before the rows", "after the rows"])
def test_an_import_that_is_torn_goes_on_as_if_it_had_not_been(
    database: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch, batch: int, *, is_late: bool
) -> None:
    go_on(database, started(database))
    whole = state(database)
    database.execute("TRUNCATE users, import_job RESTART IDENTITY CASCADE")
    job, left, load = started(database), batch, load_batch

    def tear(*args: Any, **named: Any) -> object:
        nonlocal left
        if left == 0 and not is_late:
            raise TornError
        outcome = load(*args, **named)
        if left == 0:
            raise TornError
        left -= 1
        return outcome

    with monkeypatch.context() as torn:
        torn.setattr(progress, "load_batch", tear)
        with pytest.raises(TornError):
            go_on(database, job)
    assert state(database) != whole
    go_on(database, job)
    assert state(database) == whole


def test_of_two_workers_with_the_same_batch_one_finds_itself_overtaken(database: psycopg.Connection[Any]) -> None:
    job = started(database)
    layout, rest = open_file([DATA], Kind.USERS)
    batch = next(batches(rest, Kind.USERS, layout, start=layout.start, size=4))
    import_batch(database, job, Kind.USERS, batch, now=NOW, below=secrets.randbelow)
    before = state(database)
    with pytest.raises(OvertakenError):
        import_batch(database, job, Kind.USERS, batch, now=NOW, below=secrets.randbelow)
    assert state(database) == before
