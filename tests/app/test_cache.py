"""What Redis remembers of a URL while others change it."""

from __future__ import annotations

import threading
from typing import Any

import psycopg
import pytest
from flask import Flask

from app.cache.clicks import STREAM
from app.cache.urls import Known, Target, UrlCache
from app.store import urls
from app.telemetry.metrics import CACHE_ERRORS
from tests.app.conftest import MakeApp
from tests.app.stage import TARGET, Stage
from tests.support.postgres import PostgresServer
from tests.support.redis_server import RedisServer

OLD, NEW = "https://example.com/old", "https://example.com/new"


def test_a_reader_that_saw_the_url_before_its_change_cannot_bring_the_old_one_back(
    stage: Stage, app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = stage.url(original_url=OLD)
    read = urls.by_code

    def slow(*arguments: Any) -> Any:
        row = read(*arguments)
        monkeypatch.undo()
        assert app.test_client().put(f"/urls/{url['id']}", json={"original_url": NEW}).status_code == 200
        return row

    monkeypatch.setattr(urls, "by_code", slow)
    assert stage.visit(url).headers["Location"] == OLD  # it was asked for before the change
    assert [stage.visit(url).headers["Location"] for _ in range(3)] == [NEW] * 3


def test_a_change_on_one_replica_holds_on_the_others_at_once(make_app: MakeApp) -> None:
    here, there = Stage(make_app().test_client()), Stage(make_app().test_client())
    url = here.url(original_url=OLD)
    there.visit(url)
    here.client.put(f"/urls/{url['id']}", json={"original_url": NEW})
    assert there.visit(url).headers["Location"] == NEW


def test_a_url_is_asked_of_postgresql_once_and_then_known_for_a_while(
    stage: Stage, postgres: PostgresServer, redis_server: RedisServer
) -> None:
    url = stage.url()
    stage.visit(url)
    with psycopg.connect(postgres.url) as connection:
        connection.execute("UPDATE urls SET original_url = %s", (NEW,))  # behind the service's back
    assert stage.visit(url).headers["Location"] == TARGET
    with redis_server.client() as client:
        assert 50 < int(client.ttl(f"url:{url['short_code']}")) <= 60


def test_an_invalidation_that_redis_did_not_get_ends_with_the_entry(make_app: MakeApp, redis_server: RedisServer) -> None:
    stage = Stage(make_app(APP_CACHE_SECONDS="1").test_client())
    url = stage.url(original_url=OLD)
    stage.visit(url)
    redis_server.freeze()
    assert stage.client.put(f"/urls/{url['id']}", json={"original_url": NEW}).status_code == 200
    redis_server.thaw()
    with redis_server.client() as client:
        assert client.ttl(f"url:{url['short_code']}") <= 10
    assert stage.visit(url).headers["Location"] == NEW


@pytest.mark.parametrize("target", ["https://example.com/a b c%20", "https://ex.org/ü?q=+-1 2", "http://u:p@h:1/ "])
def test_a_target_comes_back_from_redis_as_it_went_in(app: Flask, redis_server: RedisServer, target: str) -> None:
    cache: UrlCache = app.extensions["services"].urls
    cache.remember("abcdef", Target(7, 8, target, is_active=True), click=None)
    at = app.extensions["services"].now()
    assert cache.follow("abcdef", click_id="x", at=at) == target
    with redis_server.client() as client:
        assert [fields for _, fields in client.xrange("clicks")] == [
            {b"id": b"x", b"at": at.isoformat().encode(), b"code": b"abcdef", b"url": b"7", b"user": b"8"}
        ]


def test_what_was_not_remembered_is_not_known(app: Flask, redis_server: RedisServer) -> None:
    cache: UrlCache = app.extensions["services"].urls
    assert cache.follow("abcdef", click_id="x", at=app.extensions["services"].now()) is Known.NOTHING


def test_an_entry_in_another_versions_words_is_no_obstacle(stage: Stage, redis_server: RedisServer) -> None:
    url = stage.url()
    for odd in (b"*new", b"", b"+7", b"+x y z"):
        with redis_server.client() as client:
            client.set(f"url:{url['short_code']}", odd)
        assert stage.visit(url).headers["Location"] == TARGET
    assert len(stage.events(event_type="clicked")) == 4


def test_of_many_that_take_the_same_name_at_once_one_gets_it(make_app: MakeApp) -> None:
    statuses: list[int] = []
    start = threading.Barrier(6)
    app = make_app()

    def take() -> None:
        start.wait()
        statuses.append(app.test_client().post("/users", json={"username": "ann", "email": "ann@example.com"}).status_code)

    crew = [threading.Thread(target=take) for _ in range(6)]
    for member in crew:
        member.start()
    for member in crew:
        member.join()
    assert sorted(statuses) == [201, 409, 409, 409, 409, 409]


def test_a_redis_that_was_restarted_costs_no_redirect_its_cache(stage: Stage, app: Flask, redis_server: RedisServer) -> None:
    url = stage.url()
    stage.visit(url)
    before = CACHE_ERRORS._value.get()  # the library offers no other way to read one metric
    redis_server.stop()
    redis_server.start()
    assert stage.visit(url).headers["Location"] == TARGET
    assert CACHE_ERRORS._value.get() == before
    with redis_server.client() as client:
        assert client.xlen(STREAM) == 2
