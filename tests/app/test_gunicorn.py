"""The service as it runs in its container: several processes under gunicorn, told to end or killed in the middle of load."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from app.cache.clicks import STREAM
from tests.app.stage import Stage
from tests.support.postgres import PostgresServer
from tests.support.processes import descendants, send, wait_until
from tests.support.redis_server import RedisServer

PROJECT = Path(__file__).parents[2]


class Gunicorn:
    """One replica on a loopback port."""

    def __init__(self, env: dict[str, str]) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.process = subprocess.Popen(
            [
                sys.executable, "-m", "gunicorn", "--config", "app/gunicorn_conf.py", "--bind", f"127.0.0.1:{self.port}",
                "app:create_app()",
            ],
            cwd=PROJECT, env={**os.environ, "APP_METRICS_PORT": "0", **env}, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        assert wait_until(lambda: self.ask("GET", "/livez") == 200, seconds=20)

    def ask(self, method: str, path: str, body: dict[str, str] | None = None) -> int | None:
        """The status; None where no answer came."""
        sent = {"Content-Type": "application/json"}
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)) as connection:
            try:
                connection.request(method, path, json.dumps(body) if body else None, sent)
                with connection.getresponse() as answer:
                    answer.read()
                    return answer.status
            except (OSError, http.client.HTTPException):
                return None

    def kill(self) -> None:
        for pid in descendants([self.process.pid]):
            send(pid, signal.SIGKILL)
        self.process.wait(timeout=60)


@pytest.fixture
def gunicorn(env: dict[str, str]) -> Iterator[Gunicorn]:
    server = Gunicorn(env)
    yield server
    server.kill()


def under_load(gunicorn: Gunicorn, method: str, path: str, *, end: signal.Signals) -> list[tuple[str, int | None]]:
    """Names that were sent, with their answers, until the server was ended in the middle."""
    answers: list[tuple[str, int | None]] = []
    ending = threading.Event()

    def go(number: int) -> None:
        count = 0
        while not ending.is_set():
            count += 1
            name = f"w{number}-{count}"
            body = {"username": name, "email": f"{name}@example.com"} if method == "POST" else None
            answers.append((name, gunicorn.ask(method, path, body)))
            if answers[-1][1] is None:
                return

    crew = [threading.Thread(target=go, args=(number,)) for number in range(4)]
    for member in crew:
        member.start()
    assert wait_until(lambda: len(answers) > 30, seconds=60)
    if end == signal.SIGKILL:
        gunicorn.kill()
    else:
        gunicorn.process.send_signal(end)
        assert gunicorn.process.wait(timeout=60) == 0
    ending.set()
    for member in crew:
        member.join()
    return answers


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_each_redirect_that_was_answered_has_its_click_whatever_ends_the_replica(
    stage: Stage, gunicorn: Gunicorn, redis_server: RedisServer, end: signal.Signals
) -> None:
    url = stage.url()
    statuses = Counter(status for _, status in under_load(gunicorn, "GET", f"/{url['short_code']}", end=end))
    assert set(statuses) <= {302, None}
    assert statuses[302] > 20
    with redis_server.client() as client:
        # What was cut off before its answer may have its click all the same: one for each client at most.
        assert statuses[302] <= int(client.xlen(STREAM)) <= statuses[302] + 4


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_each_write_that_was_confirmed_is_there_whatever_ends_the_replica(
    gunicorn: Gunicorn, postgres: PostgresServer, end: signal.Signals
) -> None:
    answers = under_load(gunicorn, "POST", "/users", end=end)
    assert {status for _, status in answers} <= {201, None}
    confirmed = {name for name, status in answers if status == 201}
    assert len(confirmed) > 5
    with psycopg.connect(postgres.url) as connection:
        kept = {row[0] for row in connection.execute("SELECT username FROM users")}
    assert confirmed <= kept
    assert len(kept - confirmed) <= 4


def test_the_processes_of_a_replica_take_no_more_connections_than_their_budget(
    gunicorn: Gunicorn, postgres: PostgresServer
) -> None:
    crew = [threading.Thread(target=lambda: [gunicorn.ask("GET", "/users") for _ in range(10)]) for _ in range(16)]
    for member in crew:
        member.start()
    for member in crew:
        member.join()
    with psycopg.connect(postgres.url) as connection:
        counted = connection.execute("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'app-2'").fetchone()
    assert counted
    assert 1 <= counted[0] <= 8  # two processes with four each
