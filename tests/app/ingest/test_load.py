"""Batches into a real PostgreSQL: every row ends as what it is, and the table as if rows were written one by one."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.ingest.load import Outcome, load_batch
from app.ingest.parse import batches, open_file
from app.ingest.rows import Kind
from tests.app.ingest.reading import EVENTS, URLS, USERS, accepted, read
from tests.support.postgres import PostgresServer

NOW = datetime.fromisoformat("2026-11-22T12:00:00")


@pytest.fixture
def database(postgres: PostgresServer) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        yield connection


def load(database: psycopg.Connection[Any], text: str, kind: Kind = Kind.USERS, *, size: int = 1000) -> Outcome:
    """Load a file whose rows are all well-formed, in batches of `size`."""
    layout, rest = open_file([text.encode()], kind)
    total = Outcome()
    for batch in batches(rest, kind, layout, start=layout.start, size=size):
        assert batch.rejects == []
        with database.transaction():
            outcome = load_batch(database, kind, batch, now=NOW, below=secrets.randbelow)
        total.inserted += outcome.inserted
        total.updated += outcome.updated
        total.unchanged += outcome.unchanged
        total.duplicate += outcome.duplicate
        total.rejects += outcome.rejects
        total.stale += outcome.stale
    return total


def counts(outcome: Outcome) -> tuple[int, int, int, int, int]:
    return outcome.inserted, outcome.updated, outcome.unchanged, outcome.duplicate, len(outcome.rejects)


def table(database: psycopg.Connection[Any], columns: str, of: str) -> list[tuple[Any, ...]]:
    return database.execute(f"SELECT {columns} FROM {of} ORDER BY id").fetchall()  # noqa: S608 - the test's own words


TWO = USERS + "1,bob,bob@example.com,2026-01-01 00:00:00\n5,eve,eve@example.com,\n"


def test_new_rows_are_inserted_with_their_defaults_and_ids_go_on_after_them(database: psycopg.Connection[Any]) -> None:
    assert counts(load(database, TWO)) == (2, 0, 0, 0, 0)
    assert counts(load(database, "username,email\nmallory,m@example.com\n")) == (1, 0, 0, 0, 0)
    assert table(database, "id, username, created_at", "users") == [
        (1, "bob", datetime.fromisoformat("2026-01-01")),
        (5, "eve", NOW),
        (6, "mallory", NOW),
    ]


def test_a_file_sent_again_changes_nothing(database: psycopg.Connection[Any]) -> None:
    load(database, TWO)
    assert counts(load(database, TWO)) == (0, 0, 2, 0, 0)
    assert counts(load(database, "username,email\nbob,bob@example.com\n")) == (0, 0, 1, 0, 0)


def test_a_row_with_news_is_updated_by_id_or_by_name(database: psycopg.Connection[Any]) -> None:
    load(database, TWO)
    assert counts(load(database, "id,username,email\n1,rob,bob@example.com\n")) == (0, 1, 0, 0, 0)
    assert counts(load(database, "username,email\neve,new@example.com\n")) == (0, 1, 0, 0, 0)
    assert table(database, "id, username, email, created_at", "users") == [
        (1, "rob", "bob@example.com", datetime.fromisoformat("2026-01-01")),
        (5, "eve", "new@example.com", NOW),
    ]


def test_what_belongs_to_another_row_is_refused_by_its_column(database: psycopg.Connection[Any]) -> None:
    load(database, TWO)
    outcome = load(
        database, USERS + "9,bob,new@example.com,\n1,bob,eve@example.com,\n8,new,eve@example.com,\n7,good,good@example.com,\n"
    )
    assert counts(outcome) == (1, 0, 0, 0, 3)
    assert [(reject.line, reject.column, reject.code) for reject in outcome.rejects] == [
        (2, "username", "clash"),
        (3, "email", "clash"),
        (4, "email", "clash"),
    ]
    assert outcome.rejects[0].raw == "9,bob,new@example.com,\n"


@pytest.mark.parametrize("size", [1, 2, 1000])
def test_rows_of_one_file_act_in_their_order_whatever_the_batch(database: psycopg.Connection[Any], size: int) -> None:
    text = USERS + "1,a,a@b.c,\n1,b,b@b.c,\n2,a,a@b.c,\n3,b,x@b.c,\n1,b,b@b.c,\n"
    outcome = load(database, text, size=size)
    assert counts(outcome) == (2, 1, 1, 0, 1)
    assert table(database, "id, username", "users") == [(1, "b"), (2, "a")]


def test_the_very_same_row_in_a_batch_is_a_duplicate(database: psycopg.Connection[Any]) -> None:
    assert counts(load(database, USERS + "1,a,a@b.c,\n1,a,a@b.c,\n1,a,a@b.c,\n")) == (1, 0, 0, 2, 0)


def test_the_twin_of_a_refused_row_is_refused_too(database: psycopg.Connection[Any]) -> None:
    load(database, TWO)
    outcome = load(database, USERS + "9,bob,n@b.c,\n9,bob,n@b.c,\n")
    assert [(reject.line, reject.column, reject.code) for reject in outcome.rejects] == [
        (2, "username", "clash"),
        (3, "username", "clash"),
    ]
    assert counts(outcome) == (0, 0, 0, 0, 2)


def test_a_url_of_nobody_is_refused_and_the_others_are_written(database: psycopg.Connection[Any]) -> None:
    load(database, TWO)
    outcome = load(database, URLS + "1,1,abc123,http://a,,,,\n2,77,abc124,http://a,,,,\n", Kind.URLS)
    assert [(reject.line, reject.column, reject.code) for reject in outcome.rejects] == [(3, "user_id", "missing_reference")]
    assert table(database, "id, short_code, title, is_active, created_at, updated_at", "urls") == [
        (1, "abc123", None, True, NOW, NOW)
    ]


def test_the_same_url_twice_without_a_code_gets_two_codes(database: psycopg.Connection[Any]) -> None:
    load(database, TWO)
    assert counts(load(database, "user_id,original_url\n1,http://a\n1,http://a\n", Kind.URLS)) == (2, 0, 0, 0, 0)
    assert len({code for (code,) in table(database, "short_code", "urls")}) == 2


def test_a_row_without_a_code_keeps_the_one_it_has(database: psycopg.Connection[Any]) -> None:
    load(database, TWO)
    load(database, URLS + "1,1,abc123,http://a,T,False,,\n", Kind.URLS)
    assert counts(load(database, "id,user_id,original_url\n1,1,http://a\n", Kind.URLS)) == (0, 0, 1, 0, 0)
    outcome = load(database, "id,user_id,original_url\n1,5,http://b\n", Kind.URLS)
    assert (counts(outcome), outcome.stale) == ((0, 1, 0, 0, 0), ["abc123"])
    assert table(database, "user_id, short_code, original_url, title, is_active", "urls") == [
        (5, "abc123", "http://b", "T", False)
    ]


def test_a_drawn_code_that_is_taken_is_drawn_again(database: psycopg.Connection[Any]) -> None:
    load(database, TWO)
    load(database, URLS + "1,1,AAAAAA,http://a,,,,\n", Kind.URLS)
    draws = iter([0] * 6 + [1] * 6)
    with database.transaction():
        rows = accepted(read("user_id,original_url\n1,http://b\n", Kind.URLS))
        assert load_batch(database, Kind.URLS, rows, now=NOW, below=lambda below: next(draws)).inserted == 1
    assert [code for (code,) in table(database, "short_code", "urls")] == ["AAAAAA", "BBBBBB"]


def test_old_and_new_code_of_an_updated_url_are_stale(database: psycopg.Connection[Any]) -> None:
    load(database, TWO)
    load(database, URLS + "1,1,abc123,http://a,,,,\n", Kind.URLS)
    assert load(database, URLS + "1,1,abc124,http://a,,,,\n", Kind.URLS).stale == ["abc123", "abc124"]


def test_events_are_known_by_their_id_alone(database: psycopg.Connection[Any]) -> None:
    text = EVENTS + '1,9,9,created,,"{""a"": ""\\t\\\\x"", ""é"": [1.5, null]}"\n,,,clicked,,\n,,,clicked,,\n'
    assert counts(load(database, text, Kind.EVENTS)) == (3, 0, 0, 0, 0)
    assert counts(load(database, text, Kind.EVENTS)) == (2, 0, 1, 0, 0)
    assert counts(load(database, EVENTS + "1,,,deleted,,\n", Kind.EVENTS)) == (0, 1, 0, 0, 0)
    assert table(database, "url_id, event_type, details", "events")[0] == (9, "deleted", {"a": "\t\\x", "é": [1.5, None]})


def test_ids_that_somebody_gave_by_hand_are_not_drawn_again(database: psycopg.Connection[Any]) -> None:
    database.execute("INSERT INTO events (id, event_type, timestamp) VALUES (1, 'a', now()), (2, 'a', now())")
    assert counts(load(database, "event_type\nclicked\nclicked\n", Kind.EVENTS)) == (2, 0, 0, 0, 0)


@pytest.mark.parametrize("name", ["\\N", "\\.", "a\\tb", "=1+1", "'; DROP TABLE users; --", "ü\u200d", "\\"])
def test_texts_arrive_as_they_were_sent(database: psycopg.Connection[Any], name: str) -> None:
    load(database, USERS + f"1,{name},a@b.c,\n")
    assert table(database, "username", "users") == [(name,)]


def test_a_title_with_line_breaks_and_tabs_arrives_as_it_was_sent(database: psycopg.Connection[Any]) -> None:
    load(database, TWO)
    load(database, URLS + '1,1,abc123,http://a,"a\tb\r\nc\nd\re\\",,,\n', Kind.URLS)
    assert table(database, "title", "urls") == [("a\tb\r\nc\nd\re\\",)]


@pytest.mark.parametrize("size", [1, 2, 1000])
def test_a_name_that_an_earlier_row_gives_up_is_free_for_a_later_one_only(database: psycopg.Connection[Any], size: int) -> None:
    load(database, USERS + "1,a,a@b.c,\n2,b,b@b.c,\n")
    outcome = load(database, "id,username,email\n3,a,n@b.c\n1,c,a@b.c\n4,a,o@b.c\n,b,b@b.c\n2,d,b@b.c\n,b,p@b.c\n", size=size)
    assert counts(outcome) == (2, 2, 1, 0, 1)
    assert [name for _, name in table(database, "id, username", "users")] == ["c", "d", "a", "b"]


ROWS = st.lists(
    st.tuples(st.sampled_from(["", "1", "2", "3"]), st.sampled_from("abc"), st.sampled_from("xyz")), max_size=12, unique=True
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ROWS, size=st.integers(2, 12))
def test_no_batch_size_changes_the_table_or_loses_a_row(
    database: psycopg.Connection[Any], rows: list[tuple[str, str, str]], size: int
) -> None:
    text = "id,username,email\n" + "".join(f"{number},{name},{address}@b.c\n" for number, name, address in rows)
    tables = []
    for batch in (1, size):
        database.execute("TRUNCATE users RESTART IDENTITY CASCADE")
        # Ids that the file may give are there: those that it leaves out are drawn, and which ones is a matter of the batch.
        # No row is there twice: within a batch the second shares the fate of the first.
        load(database, USERS + "1,a,x@b.c,\n2,b,y@b.c,\n3,q,q@b.c,\n")
        outcome = load(database, text, size=batch)
        assert sum(counts(outcome)) == len(rows)
        people = [row[1:] for row in table(database, "id, username, email", "users")]
        tables.append((people, outcome.inserted, outcome.updated, len(outcome.rejects)))
    assert tables[0] == tables[1]
