"""`python -m app`: the schema, the sample data, and what is said where they cannot be made."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator

import psycopg
import pytest

from app.__main__ import main
from app.store.connection import connect
from app.store.migrate import HEAD, migrate, migrations
from app.store.seed import made
from tests.support.postgres import PostgresServer


@pytest.fixture
def empty(postgres: PostgresServer) -> Iterator[dict[str, str]]:
    """The environment for a database without a schema."""
    with psycopg.connect(postgres.url_of("postgres"), autocommit=True) as connection:
        connection.execute("CREATE DATABASE fresh")
        yield {"DATABASE_URL": postgres.url_of("fresh")}
        connection.execute("DROP DATABASE fresh WITH (FORCE)")


def test_migrate_makes_the_schema_and_then_has_nothing_to_do(empty: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["migrate"], empty) == 0
    assert capsys.readouterr().out.splitlines() == [f"applied {migration.name}" for migration in migrations()]
    assert main(["migrate"], empty) == 0
    assert capsys.readouterr().out == "nothing to do\n"


def test_many_that_migrate_at_once_apply_each_migration_once(empty: dict[str, str]) -> None:
    applied: list[str] = []

    def run() -> None:
        connection = connect(empty["DATABASE_URL"], statement_seconds=30, name="test")
        applied.extend(migrate(connection))
        connection.close()

    crew = [threading.Thread(target=run) for _ in range(5)]
    for member in crew:
        member.start()
    for member in crew:
        member.join()
    assert applied == [migration.name for migration in migrations()]


def test_a_database_that_is_newer_than_the_service_is_left_alone(
    empty: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    main(["migrate"], empty)
    with psycopg.connect(empty["DATABASE_URL"]) as connection:
        connection.execute("INSERT INTO schema_version (version, name) VALUES (9999, 'later')")
    assert main(["migrate"], empty) == 1
    assert "error: the database has migration 9999" in capsys.readouterr().err


def test_migrations_are_numbered_without_gaps() -> None:
    assert [migration.version for migration in migrations()] == list(range(1, HEAD + 1))


def test_seed_writes_the_hackathons_numbers_and_ids_go_on_after_them(postgres: PostgresServer) -> None:
    assert main(["seed"], {"DATABASE_URL": postgres.url}) == 0
    with psycopg.connect(postgres.url) as connection:
        assert connection.execute("SELECT count(*) FROM users").fetchone() == (400,)
        assert connection.execute("SELECT count(*), count(*) FILTER (WHERE is_active) FROM urls").fetchone() == (2000, 1641)
        kinds = connection.execute("SELECT event_type, count(*) FROM events GROUP BY 1 ORDER BY 1").fetchall()
        assert kinds == [("created", 2000), ("deleted", 216), ("updated", 1206)]
        query = "INSERT INTO users (username, email, created_at) VALUES ('next', 'next@example.com', now()) RETURNING id"
        assert connection.execute(query).fetchone() == (401,)


def test_seed_is_the_same_each_time_and_writes_into_empty_tables_only(
    postgres: PostgresServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert made() == made()
    assert Counter(len(url[2]) for url in made().urls) == {6: 2000}
    main(["seed"], {"DATABASE_URL": postgres.url})
    assert main(["seed"], {"DATABASE_URL": postgres.url}) == 1
    assert capsys.readouterr().err == "error: there is data already: seed writes into empty tables only\n"
    with psycopg.connect(postgres.url) as connection:
        assert connection.execute("SELECT count(*) FROM users").fetchone() == (400,)


@pytest.mark.parametrize("command", ["migrate", "seed"])
@pytest.mark.parametrize("url", ["", "postgresql://app@127.0.0.1:1/app", "nonsense"])
def test_a_database_that_cannot_be_reached_is_one_line_on_stderr(
    command: str, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command], {"DATABASE_URL": url}) == 1
    assert capsys.readouterr().err.startswith("error: ")


def test_an_unknown_command_is_a_wrong_call() -> None:
    with pytest.raises(SystemExit) as ended:
        main(["nonsense"], {})
    assert ended.value.code == 2
