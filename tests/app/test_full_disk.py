"""What is answered while PostgreSQL has no room left, and that nothing but writing ends."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress

import psycopg
import pytest

from app.__main__ import main
from tests.app.conftest import MakeApp
from tests.app.stage import Stage
from tests.support.postgres import PostgresServer


@pytest.fixture
def full(postgres: PostgresServer) -> Iterator[str]:
    """The URL of a database on a file system of its own, of 24 megabytes; needs the right to mount one."""
    place = postgres.folder / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=24m,mode=0777", "tmpfs", str(place)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        place.rmdir()
        pytest.skip("no right to mount a file system")
    try:
        inside = place / "tables"
        inside.mkdir()
        shutil.chown(inside, "postgres", "postgres")
        with psycopg.connect(postgres.url_of("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE TABLESPACE small LOCATION '{inside}'")
            connection.execute("CREATE DATABASE small TEMPLATE template0 TABLESPACE small")
            yield postgres.url_of("small")
            connection.execute("DROP DATABASE small WITH (FORCE)")
            connection.execute("DROP TABLESPACE small")
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)
        place.rmdir()


def assert_no_room(stage: Stage) -> None:
    answer = stage.client.post("/events", json={"event_type": "viewed", "details": {"text": "x"}})
    assert (answer.status_code, answer.get_json()["error"]) == (503, "Service Unavailable")
    assert int(answer.headers["Retry-After"]) >= 1
    assert "disk" not in answer.text


def test_on_a_full_disk_writes_are_unavailable_and_reads_go_on_until_there_is_room(full: str, make_app: MakeApp) -> None:
    assert main(["migrate"], {"DATABASE_URL": full}) == 0
    stage = Stage(make_app(DATABASE_URL=full).test_client())
    user = stage.user()
    with psycopg.connect(full, autocommit=True) as connection:
        connection.execute("CREATE TABLE rubbish (text text)")
        connection.execute("ALTER TABLE rubbish ALTER COLUMN text SET STORAGE PLAIN")
        # To the last page, then whatever the events have left of theirs.
        for rows in (1000, 100, 10, 1):
            with suppress(psycopg.errors.DiskFull):
                while True:
                    connection.execute("INSERT INTO rubbish SELECT repeat('x', 7000) FROM generate_series(1, %s)", (rows,))
        fill = "INSERT INTO events (event_type, timestamp, details) SELECT 'x', now(), '{}' FROM generate_series(1, %s)"
        for rows in (100, 10, 1):
            with suppress(psycopg.errors.DiskFull):
                while True:
                    connection.execute(fill, (rows,))
        assert_no_room(stage)
        assert stage.client.get(f"/users/{user['id']}").status_code == 200
        assert stage.client.get("/events").status_code == 200
        assert stage.client.get("/readyz").status_code == 200
        connection.execute("DROP TABLE rubbish")
    stage.event()


@pytest.mark.parametrize("state", ["53100", "53200", "53400", "58030"])
def test_what_postgresql_has_no_room_for_is_unavailable_and_leaves_the_connection_whole(
    stage: Stage, postgres: PostgresServer, state: str
) -> None:
    """Where nothing may be mounted: PostgreSQL says the same of itself."""
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute(f"""
            CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '{state}'; END $$
        """)
        connection.execute("CREATE TRIGGER no_room BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION no_room()")
        try:
            assert_no_room(stage)
        finally:
            connection.execute("DROP FUNCTION no_room CASCADE")
    stage.event()
