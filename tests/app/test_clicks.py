"""Clicks on their way from Redis to the events: each arrives once, whoever is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from flask import Flask

from app import worker
from app.cache.clicks import REJECTED, STREAM, fields_of
from app.click import Click
from app.services import Services
from app.store import events
from tests.app.conftest import MakeApp
from tests.app.stage import Stage
from tests.support.postgres import PostgresServer
from tests.support.processes import wait_until
from tests.support.redis_server import RedisServer

PROJECT = Path(__file__).parents[2]
AT = datetime.fromisoformat("2026-01-02T03:04:05")


def fill(redis_server: RedisServer, count: int) -> list[Click]:
    """Put clicks into the stream, as redirects do."""
    clicks = [Click(str(uuid.uuid4()), 1, 2, "abcdef", AT) for _ in range(count)]
    with redis_server.client() as client, client.pipeline() as pipe:
        for click in clicks:
            pipe.xadd(STREAM, fields_of(click))
        pipe.execute()
    return clicks


def arrived(postgres: PostgresServer) -> list[str]:
    with psycopg.connect(postgres.url) as connection:
        return [str(row[0]) for row in connection.execute("SELECT click_id FROM events ORDER BY id")]


def waiting(redis_server: RedisServer) -> int:
    with redis_server.client() as client:
        return int(client.xlen(STREAM))


@contextmanager
def working(env: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "app", "worker"], cwd=PROJECT, env={**os.environ, **env}, stdout=subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(timeout=60)


def services_of(app: Flask) -> Services:
    services: Services = app.extensions["services"]
    return services


def test_clicks_arrive_once_although_the_worker_is_killed_again_and_again(
    env: dict[str, str], postgres: PostgresServer, redis_server: RedisServer
) -> None:
    clicks = fill(redis_server, 3000)
    kills = 0
    while waiting(redis_server):
        before = waiting(redis_server)
        with working(env) as process:
            assert wait_until(lambda: waiting(redis_server) < before, seconds=20, pause=0.002)  # noqa: B023 - called at once
            time.sleep(0.007 * kills)  # elsewhere in its batch each time
            process.kill()
            kills += 1
    assert sorted(arrived(postgres)) == sorted(click.click_id for click in clicks)
    assert kills >= 2


def test_a_batch_that_was_written_and_not_dropped_counts_once(
    app: Flask, postgres: PostgresServer, redis_server: RedisServer
) -> None:
    services, clicks = services_of(app), fill(redis_server, 3)
    events.record_clicks(services.database, services.clicks.waiting(limit=2).clicks)  # and here the worker was killed
    assert worker.move(services.clicks, services.database) == 3
    services.database.close()
    assert arrived(postgres) == [click.click_id for click in clicks]
    assert waiting(redis_server) == 0


def test_clicks_arrive_in_the_order_in_which_they_were_made(
    app: Flask, postgres: PostgresServer, redis_server: RedisServer
) -> None:
    services, clicks = services_of(app), fill(redis_server, 600)
    while worker.move(services.clicks, services.database, limit=100):
        pass
    services.database.close()
    assert arrived(postgres) == [click.click_id for click in clicks]


def test_several_workers_at_once_move_each_click_once(
    make_app: MakeApp, postgres: PostgresServer, redis_server: RedisServer
) -> None:
    clicks, ending = fill(redis_server, 4000), threading.Event()
    crew = []
    for _ in range(3):
        services = services_of(make_app())
        crew.append(threading.Thread(target=worker.run, args=(services.clicks, services.database), kwargs={"ending": ending}))
    for member in crew:
        member.start()
    assert wait_until(lambda: waiting(redis_server) == 0, seconds=20)
    ending.set()
    for member in crew:
        member.join()
    assert sorted(arrived(postgres)) == sorted(click.click_id for click in clicks)


@pytest.mark.parametrize("what", ["postgres", "redis"])
def test_the_worker_outlives_an_outage(
    env: dict[str, str], postgres: PostgresServer, redis_server: RedisServer, what: str
) -> None:
    first = fill(redis_server, 10)
    with working(env):
        assert wait_until(lambda: len(arrived(postgres)) == 10, seconds=10)
        server = postgres if what == "postgres" else redis_server
        server.kill()
        time.sleep(0.5)
        server.start()
        second = fill(redis_server, 10)
        assert wait_until(lambda: len(arrived(postgres)) == 20, seconds=15)
        assert wait_until(lambda: waiting(redis_server) == 0, seconds=5)
    assert arrived(postgres) == [click.click_id for click in first + second]


def test_a_killed_redis_brings_back_the_clicks_that_its_file_holds(
    app: Flask, postgres: PostgresServer, redis_server: RedisServer
) -> None:
    services, clicks = services_of(app), fill(redis_server, 5)
    redis_server.kill()  # a process's death loses nothing that it wrote; only the host's can
    redis_server.start()
    worker.move(services.clicks, services.database)
    services.database.close()
    assert arrived(postgres) == [click.click_id for click in clicks]


def test_what_is_no_click_is_put_aside_and_holds_up_nobody(
    app: Flask, postgres: PostgresServer, redis_server: RedisServer
) -> None:
    services = services_of(app)
    with redis_server.client() as client:
        good = {key: str(value) for key, value in fields_of(Click(str(uuid.uuid4()), 1, 2, "abcdef", AT)).items()}
        odd_ones: list[dict[Any, Any]] = [
            {**good, "url": str(2**31)},
            {**good, "code": "a\0bc"},
            {**good, "at": "yesterday"},
            {**good, "id": "x"},
        ]
        odd_ones += [{"id": "x"}, {b"\xff": b"\xff"}]
        for odd in odd_ones:
            client.xadd(STREAM, odd)
        clicks = fill(redis_server, 1)
        assert [worker.move(services.clicks, services.database, limit=3) for _ in range(4)] == [3, 3, 1, 0]
        services.database.close()
        assert arrived(postgres) == [clicks[0].click_id]
        assert (waiting(redis_server), client.xlen(REJECTED)) == (0, 6)


def test_a_worker_that_is_told_to_end_ends(env: dict[str, str], postgres: PostgresServer, redis_server: RedisServer) -> None:
    fill(redis_server, 1)
    with working(env) as process:
        assert wait_until(lambda: len(arrived(postgres)) == 1, seconds=10)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0


def test_the_click_of_a_url_that_is_gone_since_still_arrives(stage: Stage, redis_server: RedisServer) -> None:
    url = stage.url()
    stage.visit(url)
    stage.client.delete(f"/users/{url['user_id']}")
    assert [event["event_type"] for event in stage.events(url_id=url["id"])] == ["created", "deleted", "clicked"]
