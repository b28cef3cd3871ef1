"""/imports and /users/bulk, status code by status code."""

from __future__ import annotations

import csv
import io
import json
from itertools import pairwise
from typing import Any
from uuid import UUID

import pytest

from app.api import imports
from app.ingest.claims import advance
from app.ingest.jobs import Importer
from app.store.connection import Connection
from app.store.imports import Status
from tests.app.imports.desk import COUNTS, USERS, Desk, MakeDesk, users
from tests.support.postgres import PostgresServer

MIXED = USERS + "1,bob,bob@example.com\n2,eve,eve\n3,=cmd,cmd\n"


def form(data: str | bytes, name: str = "file") -> dict[str, Any]:
    return {name: (io.BytesIO(data.encode() if isinstance(data, str) else data), "users.csv")}


def test_a_file_is_accepted_and_its_import_can_be_watched_to_its_end(desk: Desk) -> None:
    answer = desk.send(MIXED)
    assert answer.status_code == 202
    path, queued = answer.headers["Location"], answer.get_json()
    assert path == f"/imports/{queued['id']}"
    assert (queued["status"], queued["percent"], queued["rows"], queued["bytes"]) == ("queued", 0.0, 0, len(MIXED))
    desk.work()
    job = desk.job(path)
    assert (job["status"], job["percent"], job["bytes_done"], job["error"]) == ("done", 100.0, len(MIXED), None)
    assert desk.counts(path) == {"inserted": 1, "rejected": 2}
    assert job["created_at"] <= job["started_at"] <= job["ended_at"]


def test_rejects_are_listed_by_pages_with_line_column_and_reason(desk: Desk) -> None:
    path = f"/imports/{desk.done(MIXED)['id']}"
    first = desk.client.get(f"{path}/rejects?per_page=1")
    assert [(row["line"], row["column"], row["code"], row["raw"]) for row in first.get_json()] == [
        (3, "email", "format", "2,eve,eve\n")
    ]
    second = desk.client.get(first.headers["Link"].split(">")[0].lstrip("<"))
    assert [row["line"] for row in second.get_json()] == [4]
    assert "Link" not in second.headers


def test_rejects_are_a_csv_file_that_completes_the_table_once_it_is_put_right(desk: Desk) -> None:
    path = f"/imports/{desk.done(MIXED)['id']}"
    answer = desk.client.get(f"{path}/rejects.csv")
    assert answer.content_type == "text/csv; charset=utf-8"
    assert answer.headers["Content-Disposition"].startswith("attachment; filename=")
    header, *rows = csv.reader(io.StringIO(answer.text.removeprefix("\ufeff"), newline=""))
    assert rows[1][header.index("username")] == "'=cmd"
    for row in rows:
        row[header.index("email")] = f"fixed{row[0]}@example.com"
    fixed = io.StringIO(newline="")
    csv.writer(fixed).writerows([header, *rows])
    assert desk.counts(f"/imports/{desk.done(fixed.getvalue())['id']}") == {"inserted": 2}
    assert desk.rows("SELECT username FROM users ORDER BY id") == [("bob",), ("eve",), ("=cmd",)]


def test_many_rejects_are_one_csv_file_with_all_of_them(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imports, "_PAGE", 3)
    for count in (6, 7):
        job = desk.done(USERS + "x\n" * count)
        path = f"/imports/{job['id']}"
        assert len(desk.client.get(f"{path}/rejects.csv").text.splitlines()) == count + 1


def test_rejects_of_a_file_without_a_header_are_a_csv_file_without_rows(desk: Desk) -> None:
    job = desk.done("a,b,c\n1,2,3\n")
    assert job["error"] == {"code": "bad_header", "line": 1, "message": job["error"]["message"]}
    assert job["status"] == "failed"
    answer = desk.client.get(f"/imports/{job['id']}/rejects.csv")
    assert answer.text == '\ufeff"reject_line","reject_column","reject_code","reject_message"\r\n'


def test_imports_are_listed_from_the_newest_on(desk: Desk) -> None:
    paths = [desk.sent(USERS + users(n, n)) for n in range(1, 4)]
    for n, path in enumerate(paths):
        desk.run("UPDATE import_job SET created_at = created_at + %s * interval '1 second' WHERE id = %s", n, path[9:])
    listed = desk.client.get("/imports?per_page=2")
    assert [f"/imports/{job['id']}" for job in listed.get_json()] == paths[:0:-1]
    assert 'rel="next"' in listed.headers["Link"]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({}, "kind"),
        ({"kind": "nonsense"}, "kind"),
        ({"kind": "users", "dry_run": "perhaps"}, "dry_run"),
        ({"kind": "users", "reject_limit": "-1"}, "reject_limit"),
        ({"kind": "users", "reject_limit": "many"}, "reject_limit"),
        ({"kind": "users", "reject_percent": "101"}, "reject_percent"),
    ],
)
def test_a_query_that_makes_no_sense_is_refused_by_name(desk: Desk, query: dict[str, str], field: str) -> None:
    answer = desk.client.post("/imports", query_string=query, data=MIXED, content_type="text/csv")
    assert (answer.status_code, answer.get_json()["field"]) == (400, field)
    assert desk.rows("SELECT count(*) FROM import_job") == [(0,)]


@pytest.mark.parametrize(
    ("content_type", "headers"),
    [
        ("application/json", {}),
        ("application/x-www-form-urlencoded", {}),
        ("text/csv; charset=utf-16", {}),
        ("text/csv", {"Content-Encoding": "br"}),
        ("multipart/form-data; boundary=x", {"Content-Encoding": "gzip"}),
    ],
)
def test_what_is_no_csv_is_of_an_unsupported_type(desk: Desk, content_type: str, headers: dict[str, str]) -> None:
    answer = desk.client.post("/imports?kind=users", data=MIXED, content_type=content_type, headers=headers)
    assert answer.status_code == 415


@pytest.mark.parametrize("path", ["/imports?kind=users", "/users/bulk"])
def test_nothing_at_all_is_refused(desk: Desk, path: str) -> None:
    answer = desk.client.post(path, data=b"", content_type="text/csv")
    assert (answer.status_code, answer.get_json()["code"]) == (400, "empty_file")


@pytest.mark.parametrize("path", ["", "/cancel", "/rejects", "/rejects.csv"])
@pytest.mark.parametrize("name", ["6f1c0d0e-5d0a-4f0e-9b7c-3a1f2e4d5c6b", "1", "x"])
def test_an_import_that_is_not_there_is_not_found(desk: Desk, name: str, path: str) -> None:
    ask = desk.client.post if path == "/cancel" else desk.client.get
    assert ask(f"/imports/{name}{path}").status_code == 404


def test_an_import_is_cancelled_once(desk: Desk) -> None:
    path = desk.sent(MIXED)
    assert desk.client.post(f"{path}/cancel").get_json()["status"] == "cancelled"
    assert desk.work() == 0
    again = desk.client.post(f"{path}/cancel")
    assert (again.status_code, again.get_json()["message"]) == (409, "the import has ended: it is cancelled")
    assert desk.rows("SELECT count(*) FROM users") == [(0,)]


@pytest.mark.parametrize("status", Status)
def test_every_status_says_whether_it_is_the_last(status: Status) -> None:
    assert status.has_ended == (status.value in ("done", "failed", "cancelled"))


def test_bulk_waits_for_its_users_without_a_worker(desk: Desk) -> None:
    answer = desk.client.post("/users/bulk", data=form(MIXED))
    assert answer.status_code == 201, answer.text
    body = answer.get_json()
    assert {name: body[name] for name in ("imported", "rows", *COUNTS)} == {
        "imported": 1, "rows": 3, "inserted": 1, "updated": 0, "unchanged": 0, "duplicate": 0, "rejected": 2,
    }  # fmt: skip
    assert desk.client.get(answer.headers["Location"]).get_json()["status"] == "done"
    again = desk.client.post("/users/bulk", data=form(MIXED)).get_json()
    assert (again["imported"], again["unchanged"]) == (0, 1)


def test_bulk_takes_the_file_as_the_body_too(desk: Desk) -> None:
    assert desk.client.post("/users/bulk", data=MIXED, content_type="text/csv").get_json()["imported"] == 1


@pytest.mark.parametrize(("body", "status"), [({"file": "users.csv", "row_count": 400}, 404), ({}, 400), ({"file": 1}, 400)])
def test_bulk_knows_no_files_of_the_servers_own(desk: Desk, body: dict[str, Any], status: int) -> None:
    assert desk.client.post("/users/bulk", json=body).status_code == status


@pytest.mark.parametrize("data", [{}, {"file": "no file"}, form(USERS, "other")], ids=["nothing", "a text", "another name"])
def test_bulk_without_a_file_is_refused(desk: Desk, data: dict[str, Any]) -> None:
    answer = desk.client.post("/users/bulk", data=data, content_type="multipart/form-data")
    assert (answer.status_code, answer.get_json()["error"]) == (400, "Bad Request")


def test_bulk_says_why_a_file_cannot_be_read(desk: Desk) -> None:
    answer = desk.client.post("/users/bulk", data=form("a,b\n1,2\n"))
    body = answer.get_json()
    assert (answer.status_code, body["code"], body["line"]) == (400, "bad_header", 1)


def test_bulk_whose_import_somebody_else_has_ends_with_it(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imports, "LOOK_SECONDS", 0.01)
    held = "UPDATE import_job SET status = 'running', lease_owner = gen_random_uuid(), lease_until = now() + interval '1 hour'"
    desk.run(
        "CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " IF NEW.status = 'queued' THEN NEW.status = 'running'; NEW.lease_until = now() + interval '1 hour'; END IF;"
        " RETURN NEW; END $$"
    )
    desk.run("CREATE TRIGGER hold BEFORE UPDATE ON import_job FOR EACH ROW EXECUTE FUNCTION hold()")
    try:
        monkeypatch.setattr(imports, "WAIT_SECONDS", 0.05)
        late = desk.client.post("/users/bulk", data=form(MIXED))
    finally:
        desk.run("DROP FUNCTION hold CASCADE")
    assert (late.status_code, late.get_json()["status"]) == (202, "running")
    desk.run(held + ", error_message = NULL")
    desk.client.post(f"{late.headers['Location']}/cancel")
    monkeypatch.setattr(imports, "receive", lambda *_, **__: (late.headers["Location"][9:], False))
    cancelled = desk.client.post("/users/bulk", data=form(MIXED))
    assert (cancelled.status_code, cancelled.get_json()["message"]) == (409, "The import was cancelled.")


def test_bulk_that_was_given_up_is_unavailable(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.ingest.jobs.ATTEMPTS", 0)
    answer = desk.client.post("/users/bulk", data=form(MIXED))
    assert (answer.status_code, "Retry-After" in answer.headers) == (503, True)


def test_bulk_without_a_database_is_unavailable(desk: Desk, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> None:
    work = Importer.work

    def later(importer: Importer, connection: Connection, *, only: UUID | None = None) -> bool:
        postgres.kill()
        return work(importer, connection, only=only)

    monkeypatch.setattr(Importer, "work", later)
    assert desk.client.post("/users/bulk", data=form(MIXED)).status_code == 503


def test_a_file_larger_than_allowed_is_refused_and_other_routes_keep_their_limit(make_desk: MakeDesk) -> None:
    desk = make_desk(APP_MAX_IMPORT_BYTES="2048", APP_MAX_BODY_BYTES="1024")
    assert desk.send(USERS + "x\n" * 2000).status_code == 413
    assert desk.client.post("/users/bulk", data=form("x" * 3000)).status_code == 413
    assert desk.send(USERS + "x\n" * 900).status_code == 202
    assert desk.client.post("/users", data=json.dumps({"username": "x" * 1500})).status_code == 413


def test_progress_grows_with_each_batch(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.ingest.jobs.ROWS", 10)
    path = desk.sent(USERS + users(1, 35))
    seen: list[dict[str, Any]] = []

    def watched(*arguments: Any, **named: Any) -> None:
        seen.append(desk.job(path))
        advance(*arguments, **named)

    monkeypatch.setattr("app.ingest.jobs.advance", watched)
    desk.work()
    assert [job["rows"] for job in seen] == [0, 10, 20, 30]
    assert all(before["percent"] < after["percent"] for before, after in pairwise(seen))
    assert {job["status"] for job in seen} == {"running"}
