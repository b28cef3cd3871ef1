"""Whether a batch goes straight into its table or by the stage makes no difference to the table."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import psycopg
import pytest

from app.ingest import load as load_module
from app.ingest.load import LostRowError, load_batch
from app.ingest.parse import Batch, batches, open_file
from app.ingest.rows import Accepted, Kind
from app.ingest.straight import insert_straight
from tests.app.ingest.reading import EVENTS, URLS, USERS
from tests.app.ingest.test_plain import PLAIN
from tests.support.postgres import PostgresServer

NOW = datetime.fromisoformat("2026-11-22T12:00:00")


@pytest.fixture
def database(postgres: PostgresServer) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute("INSERT INTO users (id, username, email, created_at) VALUES (1, 'first', 'first@b.co', now())")
        yield connection


def batches_of(text: str, kind: Kind, *, size: int = 1000) -> list[Batch]:
    layout, rest = open_file([text.encode()], kind)
    return list(batches(rest, kind, layout, start=layout.start, size=size))


def load(database: psycopg.Connection[Any], rows: Batch | list[Accepted], kind: Kind) -> tuple[int, ...]:
    draws = itertools.cycle(range(26))
    with database.transaction():
        outcome = load_batch(database, kind, rows, now=NOW, below=lambda below: next(draws))
    return outcome.inserted, outcome.updated, outcome.unchanged, outcome.duplicate, len(outcome.rejects)


def tried(database: psycopg.Connection[Any], rows: Batch | list[Accepted], kind: Kind) -> list[tuple[Any, ...]]:
    """What the table holds with the rows, of which nothing is kept. Ids are drawn from 50 on."""
    database.execute("SELECT setval(%s, 50, false)", (f"{kind.value}_id_seq",))
    with database.transaction(force_rollback=True):
        assert load(database, rows, kind)[0] == len(rows.accepted if isinstance(rows, Batch) else rows)
        return table(database, kind)


def table(database: psycopg.Connection[Any], kind: Kind) -> list[tuple[Any, ...]]:
    return database.execute(f"SELECT * FROM {kind.value} ORDER BY id").fetchall()  # noqa: S608 - a name of ours


def was_staged(database: psycopg.Connection[Any], kind: Kind) -> bool:
    """Whether this connection ever went by the stage."""
    return database.execute("SELECT to_regclass(%s)", (f"pg_temp.stage_{kind.value}",)).fetchone() != (None,)


NEW = [
    (Kind.USERS, USERS + PLAIN[Kind.USERS].replace("1,", "9,", 1)),
    (Kind.USERS, USERS + '5,"a ""b"" c","a@b.co",2026-01-01 00:00:00\n6,\\.,b@b.co,\n7,é,c@b.co,\n'),
    (Kind.USERS, "email,username\na@b.co,x\nb@b.co,y\n"),
    (Kind.USERS, "created_at;email;id;username\r\n2026-01-01 00:00:00;a@b.co;7;x,y\r\n;b@b.co;8;z\r\n"),
    (Kind.URLS, URLS + PLAIN[Kind.URLS].replace("1,1,", "9,1,", 1)),
    (Kind.URLS, URLS + '5,1,,http://a,"a\n\\.\nb\r\nc\t""",False,,\n6,1,abc,http://a,,,2026-01-01 00:00:00,\n'),
    (Kind.URLS, "short_code,user_id,original_url,created_at,updated_at\n"
     "abc,1,http://a,2026-01-01 00:00:00,2026-01-02 00:00:00\nabd,1,http://b:8,2026-01-01 00:00:00,2026-01-02 00:00:00\n"),
    (Kind.EVENTS, EVENTS + PLAIN[Kind.EVENTS].replace("1,", "9,", 1)),
    (Kind.EVENTS, EVENTS + '5,,,a,,\n6,1,2,b,,"{""x"": [1.5, ""\\u00e9\\n""]}"\n'),
    (Kind.EVENTS, "event_type,timestamp\na,2026-01-01 00:00:00\nb,\n"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "text"), NEW)
def test_new_rows_go_straight_and_end_as_by_the_stage(database: psycopg.Connection[Any], kind: Kind, text: str) -> None:
    (batch,) = batches_of(text, kind)
    assert batch.rejects == []
    found = tried(database, batch, kind)
    assert not was_staged(database, kind)
    assert found == tried(database, batch.accepted, kind)  # rows alone always go by the stage


def people(*numbers: int) -> str:
    return "".join(f"{n},user{n},user{n}@b.co,2026-01-01 00:00:00\n" for n in numbers)


def test_a_batch_with_one_row_that_is_there_already_goes_by_the_stage_as_a_whole(database: psycopg.Connection[Any]) -> None:
    (batch,) = batches_of(USERS + people(2, 3) + "4,first,x@b.co,2026-01-01 00:00:00\n", Kind.USERS)
    assert load(database, batch, Kind.USERS) == (2, 0, 0, 0, 1)
    assert was_staged(database, Kind.USERS)
    assert [row[0] for row in table(database, Kind.USERS)] == [1, 2, 3]


def test_a_batch_with_a_row_of_nobody_goes_by_the_stage(database: psycopg.Connection[Any]) -> None:
    (batch,) = batches_of(URLS + "1,1,abc,http://a,,,,\n2,77,abd,http://a,,,,\n", Kind.URLS)
    assert load(database, batch, Kind.URLS) == (1, 0, 0, 0, 1)


def test_rows_with_and_without_ids_go_by_the_stage(database: psycopg.Connection[Any]) -> None:
    (batch,) = batches_of(USERS + people(2) + ",x,x@b.co,2026-01-01 00:00:00\n", Kind.USERS)
    assert load(database, batch, Kind.USERS) == (2, 0, 0, 0, 0)
    assert [row[0] for row in table(database, Kind.USERS)] == [1, 2, 3]


def test_ids_go_on_after_those_that_went_straight(database: psycopg.Connection[Any]) -> None:
    for text in (USERS + people(2, 17, 9), 'id,username,email,created_at\n"30","a",a@b.co,2026-01-01 00:00:00\n'):
        (batch,) = batches_of(text, Kind.USERS)
        load(database, batch, Kind.USERS)
        assert not was_staged(database, Kind.USERS)
    database.execute("INSERT INTO users (username, email, created_at) VALUES ('next', 'n@b.co', now())")
    assert [row[0] for row in table(database, Kind.USERS)] == [1, 2, 9, 17, 30, 31]


def test_a_file_that_was_sent_before_is_soon_not_tried_straight_any_more(
    database: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = USERS + people(*range(2, 42))
    for batch in batches_of(text, Kind.USERS, size=4):
        load(database, batch, Kind.USERS)
    assert not was_staged(database, Kind.USERS)
    outcomes = []

    def noted(*args: Any, **named: Any) -> int | None:
        before = args[2].caution.batches
        outcome = insert_straight(*args, **named)
        outcomes.append((before == 0, outcome))
        return outcome

    monkeypatch.setattr(load_module, "insert_straight", noted)
    assert [load(database, batch, Kind.USERS) for batch in batches_of(text, Kind.USERS, size=4)] == [(0, 0, 4, 0, 0)] * 10
    assert outcomes == [(number in (0, 2, 5), None) for number in range(10)]


def test_a_row_that_vanishes_is_noticed(database: psycopg.Connection[Any]) -> None:
    database.execute("CREATE FUNCTION drop_it() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'")
    database.execute("CREATE TRIGGER dropping BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION drop_it()")
    try:
        (batch,) = batches_of(USERS + people(2), Kind.USERS)
        with pytest.raises(LostRowError):
            load(database, batch, Kind.USERS)
    finally:
        database.execute("DROP FUNCTION drop_it CASCADE")
