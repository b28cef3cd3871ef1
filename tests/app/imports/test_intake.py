"""How files come in: as bodies and forms, packed, broken off, twice, and with a key."""

from __future__ import annotations

import gzip
import io
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from werkzeug.datastructures import FileStorage
from werkzeug.test import EnvironBuilder, TestResponse, run_wsgi_app
from werkzeug.wrappers import Request

from app.ingest import intake
from app.store import imports as store
from app.store.imports import Options
from tests.app.imports.desk import USERS, Desk, MakeDesk, users
from tests.app.test_gunicorn import Gunicorn
from tests.support.postgres import PostgresServer
from tests.support.processes import wait_until

DATA = (USERS + users(1, 20)).encode()


def kept(desk: Desk) -> bytes:
    """The one file in the database."""
    return b"".join(data for (data,) in desk.rows("SELECT data FROM import_blob ORDER BY seq"))


def assert_nothing_is_left(desk: Desk) -> None:
    assert desk.rows("SELECT (SELECT count(*) FROM import_job), (SELECT count(*) FROM import_blob)") == [(0, 0)]


@pytest.mark.parametrize(
    ("content_type", "headers", "data"),
    [
        ("text/csv", {}, DATA),
        ("text/csv; charset=UTF-8", {}, DATA),
        ("", {}, DATA),
        ("text/csv", {}, gzip.compress(DATA)),
        ("text/csv", {"Content-Encoding": "gzip"}, gzip.compress(DATA)),
        ("application/gzip", {}, gzip.compress(DATA)),
        ("application/octet-stream", {}, gzip.compress(DATA[:100]) + gzip.compress(DATA[100:])),
    ],
)
def test_a_body_is_kept_as_it_was_sent_and_read(desk: Desk, content_type: str, headers: dict[str, str], data: bytes) -> None:
    answer = desk.client.post("/imports?kind=users", data=data, content_type=content_type, headers=headers)
    assert (answer.status_code, answer.get_json()["bytes"]) == (202, len(data))
    assert kept(desk) == data
    desk.work()
    assert desk.counts(answer.headers["Location"]) == {"inserted": 20}


@pytest.mark.parametrize("data", [b"x", DATA], ids=["a byte", "plain"])
@pytest.mark.parametrize(
    ("content_type", "headers"), [("application/gzip", {}), ("text/csv", {"Content-Encoding": "gzip"})], ids=["type", "encoding"]
)
def test_what_is_said_to_be_gzip_must_be(desk: Desk, content_type: str, headers: dict[str, str], data: bytes) -> None:
    answer = desk.client.post("/imports?kind=users", data=data, content_type=content_type, headers=headers)
    assert answer.status_code == 400
    assert_nothing_is_left(desk)


class Dribble(io.RawIOBase):
    """A body that comes in pieces of these sizes, over and over, and may break off."""

    def __init__(self, data: bytes, sizes: list[int], error: Exception | None = None) -> None:
        self._data, self._sizes, self._error = data, sizes, error
        self._at = self._turn = 0

    def read(self, size: int = -1) -> bytes:
        if self._at >= len(self._data) and self._error:
            raise self._error
        take = min(self._sizes[self._turn % len(self._sizes)], size if size >= 0 else 1 << 30)
        piece = self._data[self._at : self._at + take]
        self._at, self._turn = self._at + take, self._turn + 1
        return piece

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        piece = self.read(len(buffer))
        buffer[: len(piece)] = piece
        return len(piece)


def dribbled(
    desk: Desk, body: bytes, content_type: str, sizes: list[int], *, length: int | None = None, error: Exception | None = None
) -> TestResponse:
    """Sent as gunicorn hands bodies on: it ends them itself, wherever that is."""
    environ = EnvironBuilder("/imports?kind=users", method="POST").get_environ()
    environ["wsgi.input"] = Dribble(body, sizes, error)
    environ.update(
        {"CONTENT_TYPE": content_type, "wsgi.input_terminated": True, "CONTENT_LENGTH": "" if length is None else str(length)}
    )
    return TestResponse(*run_wsgi_app(desk.app, environ, buffered=True), request=Request(environ))


def form(*parts: tuple[str, bytes]) -> tuple[bytes, str]:
    builder = EnvironBuilder(
        method="POST", data={name: FileStorage(io.BytesIO(data), f"{name}.csv", name) for name, data in parts}
    )
    with builder.get_request() as request:
        return request.get_data(), request.content_type or ""


@given(sizes=st.lists(st.integers(1, 400), min_size=1, max_size=5), content=st.binary(min_size=1, max_size=600))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_however_a_form_is_cut_its_file_is_kept_whole(desk: Desk, sizes: list[int], content: bytes) -> None:
    desk.run("TRUNCATE import_job CASCADE")
    body, content_type = form(("note", b"\r\n--x"), ("file", content), ("after", b"file"))
    answer = dribbled(desk, body, content_type, sizes, length=len(body))
    assert answer.status_code == 202, answer.text
    assert kept(desk) == content


@pytest.mark.parametrize("cut", [1, 2, 20, 60, 200, -1])
def test_a_form_that_is_not_whole_leaves_nothing(desk: Desk, cut: int) -> None:
    body, content_type = form(("file", DATA))
    broken = body[:-cut] if cut > 0 else body[: len(body) // 2]
    if cut > 2:  # the last line ending may be missing
        assert dribbled(desk, broken, content_type, [50], length=len(broken)).status_code == 400
        assert_nothing_is_left(desk)
    assert dribbled(desk, broken, content_type, [50], length=len(body)).status_code == 400
    assert_nothing_is_left(desk)


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"", "multipart/form-data; boundary=x", 400),
        (b"nonsense", "multipart/form-data; boundary=x", 400),
        (b"--x\r\n\r\ndata\r\n--x--\r\n", "multipart/form-data; boundary=x", 400),
        (b"--x\r\nContent-Disposition: form-data\r\n\r\ndata\r\n--x--\r\n", "multipart/form-data; boundary=x", 400),
        (b"--x\r\n\xff\xff: y\r\n\r\ndata\r\n--x--\r\n", "multipart/form-data; boundary=x", 400),
        (b"--x--\r\n", "multipart/form-data; boundary=x", 400),
        (b"--x\r\n", "multipart/form-data", 400),
        (b"--x\r\n" + b"A: b\r\n" * 30_000, "multipart/form-data; boundary=x", 400),
        (b"--xy\r\nContent-Disposition: form-data; name=file\r\n\r\nz\r\n--x--", "multipart/form-data; boundary=x", 400),
    ],
)
def test_a_form_that_is_none_is_refused(desk: Desk, body: bytes, content_type: str, status: int) -> None:
    answer = desk.client.post("/imports?kind=users", data=body, content_type=content_type)
    assert (answer.status_code, "error" in answer.get_json()) == (status, True)
    assert_nothing_is_left(desk)


def test_two_files_in_one_form_are_refused(desk: Desk) -> None:
    body, content_type = form(("file", DATA), ("fil2", DATA))
    answer = dribbled(desk, body.replace(b"fil2", b"file"), content_type, [999], length=len(body))
    assert (answer.status_code, answer.get_json()["message"]) == (400, "There are two files: send one at a time.")
    assert_nothing_is_left(desk)


class ServersOwnError(Exception):
    pass


@pytest.mark.parametrize("error", [None, OSError("gone"), ServersOwnError()])
@pytest.mark.parametrize("piece", [100, intake.PIECE], ids=["after some pieces", "before the first"])
def test_a_client_that_goes_away_leaves_nothing(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, error: Exception | None, piece: int
) -> None:
    monkeypatch.setattr(intake, "PIECE", piece)
    answer = dribbled(desk, DATA, "text/csv", [100], length=len(DATA) + 1, error=error)
    assert answer.status_code == 400
    assert_nothing_is_left(desk)


def test_a_body_of_no_known_length_is_taken_up_to_the_limit(make_desk: MakeDesk) -> None:
    desk = make_desk(APP_MAX_IMPORT_BYTES="1024")
    assert dribbled(desk, b"x" * 2000, "text/csv", [100]).status_code == 413
    assert_nothing_is_left(desk)
    assert dribbled(desk, DATA[:1000], "text/csv", [100]).status_code == 202


def test_a_database_that_goes_away_while_a_file_comes_is_unavailable_and_the_rest_is_swept(
    desk: Desk, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "PIECE", 100)
    real = store.append

    def gone(*arguments: Any, **named: Any) -> None:
        if arguments[2] == 2:
            postgres.kill()
        real(*arguments, **named)

    with monkeypatch.context() as patched:
        patched.setattr(store, "append", gone)
        assert dribbled(desk, DATA, "text/csv", [100], length=len(DATA)).status_code == 503
    postgres.start()
    assert desk.rows("SELECT status FROM import_job") == [("receiving",)]
    assert wait_until(lambda: desk.client.get("/imports").get_json() == [], seconds=20)  # and it is not shown


def test_a_file_that_comes_too_slowly_is_given_up(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "PIECE", 100)
    for name in ("append", "finish"):
        with monkeypatch.context() as patched:
            patched.setattr(store, name, forgotten(desk, getattr(store, name)))
            answer = desk.send(DATA)
            assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
        assert_nothing_is_left(desk)


def forgotten(desk: Desk, step: Any) -> Any:
    def late(*arguments: Any, **named: Any) -> Any:
        desk.run("DELETE FROM import_job")
        return step(*arguments, **named)

    return late


def test_a_slow_clients_bytes_are_written_down_before_a_piece_is_full(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "PIECE_SECONDS", 0.0)
    assert dribbled(desk, DATA, "text/csv", [100], length=len(DATA)).status_code == 202
    assert len(desk.rows("SELECT seq FROM import_blob")) > 1
    assert kept(desk) == DATA


KEY = {"Idempotency-Key": "abc-1"}


def test_a_request_that_is_repeated_with_its_key_is_answered_with_the_same_job(desk: Desk) -> None:
    first = desk.send(DATA, headers=KEY)
    again = desk.send(DATA, headers={"Idempotency-Key": '"abc-1"'})
    assert [answer.status_code for answer in (first, again)] == [202, 202]
    assert first.headers["Location"] == again.headers["Location"]
    desk.work()
    later = desk.send(DATA, headers=KEY)
    assert (later.status_code, later.headers["Location"]) == (200, first.headers["Location"])
    assert later.get_json()["status"] == "done"
    assert desk.rows("SELECT count(*) FROM import_job") == [(1,)]


@pytest.mark.parametrize(
    ("data", "kind", "query"), [(DATA + b"\n", "users", {}), (DATA, "events", {}), (DATA, "users", {"dry_run": "1"})]
)
def test_a_key_that_was_used_for_something_else_is_refused(desk: Desk, data: bytes, kind: str, query: dict[str, str]) -> None:
    assert desk.send(DATA, headers=KEY).status_code == 202
    assert desk.send(data, kind, headers=KEY, **query).status_code == 422


@pytest.mark.parametrize("key", ["", " ", '""', "with space", "x" * 256, "schlüssel"])
def test_a_key_that_is_none_is_refused(desk: Desk, key: str) -> None:
    assert desk.send(DATA, headers={"Idempotency-Key": key}).status_code == 400


def test_a_key_whose_request_is_still_coming_in_is_busy_until_that_is_given_up(desk: Desk) -> None:
    database = desk.app.extensions["services"].database
    assert store.begin(database, Options("users"), key="abc-1", seconds=60)
    busy = desk.send(DATA, headers=KEY)
    assert (busy.status_code, busy.headers["Retry-After"]) == (409, "5")
    desk.hurry()
    assert desk.send(DATA, headers=KEY).status_code == 202


def test_a_key_that_is_lost_to_somebody_faster_is_busy(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "begin", lambda *_, **__: None)
    busy = desk.send(DATA, headers=KEY)
    assert (busy.status_code, busy.headers["Retry-After"]) == (409, "1")


def test_without_a_key_a_file_that_waits_already_is_not_taken_twice(desk: Desk) -> None:
    first, again, other = desk.sent(DATA), desk.sent(DATA), desk.sent(DATA, dry_run="1")
    assert first == again != other
    assert desk.rows("SELECT count(DISTINCT job_id) FROM import_blob") == [(2,)]
    desk.work()
    later = desk.sent(DATA)
    assert later != first
    desk.work()
    assert desk.counts(later) == {"unchanged": 20}


def test_a_twin_that_has_just_ended_makes_no_difference(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    first, real = desk.sent(DATA), store.discard
    database = desk.app.extensions["services"].database
    ended = iter([True])
    rows = type(database).rows

    def ending(self: Any, statement: str, *parameters: object) -> Any:
        if statement.startswith("SELECT id FROM import_job WHERE fingerprint") and next(ended, False):
            desk.work()
        return rows(self, statement, *parameters)

    monkeypatch.setattr(type(database), "rows", ending)
    assert desk.sent(DATA) != first
    monkeypatch.setattr(store, "discard", real)


@pytest.fixture
def gunicorn(env: dict[str, str]) -> Iterator[Gunicorn]:
    server = Gunicorn(env)
    yield server
    server.kill()


@pytest.mark.parametrize(
    "head",
    [b"Content-Length: 5000000\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n100000\r\n"],
    ids=["with a length", "in chunks"],
)
def test_a_client_that_hangs_up_on_gunicorn_leaves_nothing(desk: Desk, gunicorn: Gunicorn, head: bytes) -> None:
    with socket.create_connection(("127.0.0.1", gunicorn.port), timeout=60) as connection:
        connection.sendall(b"POST /imports?kind=users HTTP/1.1\r\nHost: x\r\nContent-Type: text/csv\r\n" + head)
        connection.sendall(DATA + b"x" * 1_048_000)
        if b"Length" in head:
            connection.sendall(b"x" * 1_048_576)
            assert wait_until(lambda: desk.rows("SELECT status FROM import_job") == [("receiving",)], seconds=20)
    assert wait_until(lambda: desk.rows("SELECT count(*) FROM import_job") == [(0,)], seconds=20, hold=0.3)
    assert_nothing_is_left(desk)
    assert gunicorn.ask("GET", "/imports") == 200
