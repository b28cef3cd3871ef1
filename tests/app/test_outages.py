"""What is answered while PostgreSQL or Redis is gone, hung or exhausted, and that it ends by itself."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import psycopg
import pytest
from flask import Flask
from flask.testing import FlaskClient

from app import create_app
from app.cache.client import PAUSE_SECONDS
from app.store import urls
from app.store.migrate import HEAD
from app.store.models import User
from tests.app.conftest import MakeApp
from tests.app.stage import TARGET, Stage
from tests.support.postgres import PostgresServer
from tests.support.processes import wait_until
from tests.support.redis_server import RedisServer

DATABASE_ROUTES = [("GET", "/users"), ("POST", "/users"), ("GET", "/urls/1"), ("GET", "/events"), ("DELETE", "/users/1")]


BOUNDED = 10.0  # seconds; without a limit each of these would take for ever, and a busy host adds seconds to any
AT_ONCE = 0.15  # below every limit that somebody would wait for


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    started = time.monotonic()
    answer = call()
    return time.monotonic() - started, answer


def quickest(call: Callable[[], Any]) -> tuple[float, Any]:
    """The least time of three, which a busy host stretches less often, and its answer."""
    return min((timed(call) for _ in range(3)), key=lambda pair: pair[0])


def assert_unavailable(answer: Any) -> None:
    assert answer.status_code == 503, answer.text
    assert int(answer.headers["Retry-After"]) >= 1
    assert answer.get_json()["error"] == "Service Unavailable"
    assert "psycopg" not in answer.text


@pytest.mark.parametrize(("method", "path"), DATABASE_ROUTES)
def test_without_postgresql_what_needs_it_is_unavailable(
    client: FlaskClient, postgres: PostgresServer, method: str, path: str
) -> None:
    postgres.kill()
    assert_unavailable(client.open(path, method=method, json={"username": "a", "email": "a@example.com"}))


def test_without_postgresql_what_does_not_need_it_answers(client: FlaskClient, postgres: PostgresServer) -> None:
    postgres.kill()
    assert [client.get(path).status_code for path in ("/", "/livez", "/health", "/nowhere/at/all")] == [200, 200, 200, 404]
    assert client.get("/health").get_json() == {"status": "degraded"}
    ready = client.get("/readyz")
    assert ready.status_code == 503
    assert list(ready.get_json()["missing"]) == ["postgresql"]


def test_without_postgresql_a_cached_url_still_redirects_and_its_click_is_not_lost(
    stage: Stage, postgres: PostgresServer
) -> None:
    url = stage.url()
    stage.visit(url)
    postgres.kill()
    assert stage.visit(url).status_code == 302
    postgres.start()
    assert wait_until(lambda: stage.client.get("/events").status_code == 200, seconds=BOUNDED)
    assert len(stage.events(event_type="clicked")) == 2


def test_without_postgresql_what_is_off_or_unknown_is_still_known_to_be_so(stage: Stage, postgres: PostgresServer) -> None:
    off = stage.url(is_active=False)
    before = stage.visit(off), stage.client.get("/nobody")
    postgres.kill()
    after = stage.visit(off), stage.client.get("/nobody")
    assert [answer.status_code for answer in before + after] == [410, 404, 410, 404]


def test_after_a_restart_of_postgresql_no_request_meets_an_old_connection(stage: Stage, postgres: PostgresServer) -> None:
    user = stage.user()
    postgres.stop()
    postgres.start()
    assert stage.client.get(f"/users/{user['id']}").status_code == 200


def test_a_hung_postgresql_costs_a_bounded_time_and_then_none(stage: Stage, make_app: MakeApp, postgres: PostgresServer) -> None:
    client = make_app(APP_STATEMENT_SECONDS="0.2").test_client()
    client.get("/users")
    postgres.freeze()
    first, answer = timed(lambda: client.get("/users"))
    assert_unavailable(answer)
    assert first < BOUNDED
    for _ in range(2):
        assert_unavailable(client.get("/users"))
    fast, answer = quickest(lambda: client.get("/users"))  # nobody waits for it any more
    assert_unavailable(answer)
    assert fast < AT_ONCE
    postgres.thaw()
    assert wait_until(lambda: client.get("/users").status_code == 200, seconds=BOUNDED)


def test_what_keeps_a_request_from_its_answer_is_in_the_log_and_not_in_the_answer(
    make_app: MakeApp, postgres: PostgresServer, capsys: pytest.CaptureFixture[str]
) -> None:
    postgres.kill()
    answer = make_app().test_client().get("/users")
    line = next(line for line in map(json.loads, capsys.readouterr().out.splitlines()) if line["event"] == "unavailable")
    assert str(postgres.port) in line["cause"]
    assert str(postgres.port) not in answer.text
    assert line["request_id"] == answer.get_json()["request_id"]


def test_a_statement_that_takes_too_long_is_ended_by_postgresql(
    stage: Stage, make_app: MakeApp, postgres: PostgresServer
) -> None:
    url = stage.url()
    client = make_app(APP_STATEMENT_SECONDS="0.2").test_client()
    with psycopg.connect(postgres.url) as holder:
        holder.execute("SELECT 1 FROM urls FOR UPDATE")
        took, answer = timed(lambda: client.put(f"/urls/{url['id']}", json={"title": "new"}))
        assert_unavailable(answer)
        assert took < BOUNDED
    assert client.put(f"/urls/{url['id']}", json={"title": "new"}).status_code == 200


def test_an_exhausted_pool_is_unavailable_for_those_who_wait_and_recovers(make_app: MakeApp, postgres: PostgresServer) -> None:
    app = make_app(APP_POOL_SIZE="2", APP_POOL_WAIT_SECONDS="0.2")
    database = app.extensions["services"].database
    held, free = threading.Barrier(3), threading.Event()

    def hold() -> None:
        database.connect()
        held.wait(5)
        free.wait(5)
        database.close()

    holders = [threading.Thread(target=hold) for _ in range(2)]
    for holder in holders:
        holder.start()
    held.wait(5)
    took, answer = timed(lambda: app.test_client().get("/users"))
    assert_unavailable(answer)
    assert 0.2 <= took < BOUNDED
    assert app.test_client().get("/livez").status_code == 200
    free.set()
    for holder in holders:
        holder.join()
    assert app.test_client().get("/users").status_code == 200


def test_a_postgresql_that_takes_no_more_connections_makes_unavailable(app: Flask, postgres: PostgresServer) -> None:
    hoard = []
    with suppress(psycopg.OperationalError):
        while True:
            hoard.append(psycopg.connect(postgres.url))
    assert_unavailable(app.test_client().get("/users"))
    for connection in hoard:
        connection.close()
    assert wait_until(lambda: app.test_client().get("/users").status_code == 200, seconds=BOUNDED)


def test_no_connection_is_taken_by_what_needs_none(app: Flask, stage: Stage) -> None:
    url = stage.url()
    stage.visit(url)
    pool = app.extensions["services"].database.pool
    pool.close()
    for path in ("/", "/livez", "/nowhere/at/all", f"/{url['short_code']}", "/users?page=x"):
        app.test_client().get(path)
    assert not pool._idle


@pytest.mark.parametrize("trouble", ["kill", "freeze"])
def test_without_redis_redirects_go_on_and_each_leaves_its_click(stage: Stage, redis_server: RedisServer, trouble: str) -> None:
    url, off = stage.url(), stage.url(is_active=False)
    stage.visit(url)
    getattr(redis_server, trouble)()
    for _ in range(5):
        took, answer = timed(lambda: stage.visit(url))
        assert (answer.status_code, answer.headers["Location"]) == (302, TARGET)
        assert took < BOUNDED
    fast, _ = quickest(lambda: stage.visit(url))
    assert fast < AT_ONCE  # nobody waits for it any more
    assert (stage.visit(off).status_code, stage.client.get("/nobody").status_code) == (410, 404)
    ready = stage.client.get("/readyz")
    assert (ready.status_code, ready.get_json()["status"], list(ready.get_json()["missing"])) == (200, "degraded", ["redis"])
    redis_server.thaw()
    redis_server.start()
    assert wait_until(lambda: stage.client.get("/readyz").get_json()["status"] == "ok", seconds=PAUSE_SECONDS + BOUNDED)
    clicks = [event for event in stage.events(event_type="clicked") if event["url_id"] == url["id"]]
    assert len(clicks) == 9


def test_a_full_redis_does_not_stop_a_redirect_nor_lose_its_click(stage: Stage, redis_server: RedisServer) -> None:
    url = stage.url()
    stage.visit(url)
    with redis_server.client() as client:
        client.config_set("maxmemory", "1")
        assert [stage.visit(url).status_code for _ in range(3)] == [302] * 3
        client.config_set("maxmemory", "0")
    time.sleep(PAUSE_SECONDS)
    assert len(stage.events(event_type="clicked")) == 4


def test_a_redis_that_goes_between_two_questions_costs_no_click(
    stage: Stage, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, read = stage.url(), urls.by_code

    def last_moment(*arguments: Any) -> Any:
        redis_server.kill()
        return read(*arguments)

    monkeypatch.setattr(urls, "by_code", last_moment)
    assert stage.visit(url).status_code == 302
    assert len(stage.events(event_type="clicked")) == 1


def test_a_schema_that_is_older_than_the_service_keeps_a_replica_from_being_ready(
    client: FlaskClient, postgres: PostgresServer
) -> None:
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute("ALTER TABLE schema_version RENAME TO elsewhere")
        try:
            none = client.get("/readyz")
        finally:
            connection.execute("ALTER TABLE elsewhere RENAME TO schema_version")
    assert (none.status_code, none.get_json()["missing"]) == (503, {"postgresql": f"is at migration 0, not {HEAD}"})
    assert client.get("/readyz").get_json() == {"status": "ok", "missing": {}}


def test_a_statement_that_postgresql_refuses_for_a_fault_of_ours_is_a_server_error(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(User._meta, "table_name", "nowhere")
    monkeypatch.setattr(User._meta, "_table", None)
    answer = client.get("/users")
    assert answer.status_code == 500
    assert "nowhere" not in answer.text


def test_without_both_a_redirect_is_unavailable(stage: Stage, postgres: PostgresServer, redis_server: RedisServer) -> None:
    url = stage.url()
    redis_server.kill()
    postgres.kill()
    assert_unavailable(stage.visit(url))


def test_a_click_that_redis_took_without_saying_so_counts_once(stage: Stage, redis_server: RedisServer) -> None:
    url = stage.url()
    stage.visit(url)
    redis_server.freeze()
    assert stage.visit(url).status_code == 302  # Redis has the command in its socket, PostgreSQL the click
    redis_server.thaw()
    time.sleep(PAUSE_SECONDS)
    assert len(stage.events(event_type="clicked")) == 2


def test_without_a_database_the_service_counts_visitors_and_says_what_is_missing(redis_server: RedisServer) -> None:
    client = create_app({"REDIS_URL": redis_server.url}).test_client()
    assert client.get("/").get_json()["stored"] is True
    assert client.get("/readyz").status_code == 200
    assert_unavailable(client.get("/users"))


def test_under_load_a_restart_of_postgresql_costs_unavailable_answers_only_and_no_write_that_was_confirmed(
    app: Flask, postgres: PostgresServer
) -> None:
    answers: list[tuple[float, int]] = []
    confirmed: list[str] = []
    ending = threading.Event()

    def write(writer: int) -> None:
        client, count = app.test_client(), 0
        while not ending.is_set():
            count += 1
            name = f"w{writer}-{count}"
            answer = client.post("/users", json={"username": name, "email": f"{name}@example.com"})
            answers.append((time.monotonic(), answer.status_code))
            if answer.status_code == 201:
                confirmed.append(name)

    writers = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for writer in writers:
        writer.start()
    time.sleep(0.5)
    postgres.kill()
    time.sleep(0.3)
    postgres.start()
    # 1.5 s, and one without any failure; what the hypervisor keeps does not count.
    is_over = wait_until(lambda: {status for at, status in answers if at > time.monotonic() - 1} == {201}, seconds=2.5)
    ending.set()
    for writer in writers:
        writer.join()
    assert is_over
    assert {status for _, status in answers} == {201, 503}
    with psycopg.connect(postgres.url) as connection:
        kept = {row[0] for row in connection.execute("SELECT username FROM users")}
    assert set(confirmed) <= kept
