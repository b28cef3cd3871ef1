"""Whoever is killed when: the table, the counts and the rejects end exactly as if nobody had been."""

from __future__ import annotations

import gzip
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

import psycopg
import pytest

from app.ingest import crew, jobs
from app.store.connection import Connection
from tests.app.imports.desk import USERS, Desk, users
from tests.app.test_gunicorn import PROJECT
from tests.support.postgres import PostgresServer
from tests.support.processes import send, wait_until

SMALL = USERS + users(1, 6) + "x,y,z\n2,user2,new2@example.com\n3,user3,user3@example.com\n" + users(7, 9) + "1,user2,a@b.c\n"


class KilledError(BaseException):
    """What nothing in the application handles, as it handles no SIGKILL."""


class Fuse(Connection):
    """Dies with its process at one exchange with the server: before the server has it, or once it was carried out."""

    left = 0
    is_late = False

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        if self.pgconn.status == 0 and self.patience is not None:  # connected, and past the settings of the start
            type(self).left -= 1
            if type(self).left == 0:
                if self.is_late:
                    with suppress(psycopg.Error):
                        super().wait(gen, interval, timeout)
                self.pgconn.finish()
                raise KilledError
        return super().wait(gen, interval, timeout)


def begin_again(desk: Desk) -> None:
    """The tables as they were before the import: with rows that it finds unchanged and rows that it changes."""
    desk.run("TRUNCATE users, import_job RESTART IDENTITY CASCADE")
    desk.run("INSERT INTO users (id, username, email, created_at) VALUES (1, 'user1', 'user1@example.com', now())")
    desk.run("INSERT INTO users (id, username, email, created_at) VALUES (5, 'other', 'other@example.com', now())")


@pytest.mark.parametrize(
    ("pack", "is_late"), [(bytes, False), (bytes, True), (gzip.compress, False)], ids=["before", "after", "before, packed"]
)
def test_a_worker_that_is_killed_at_any_exchange_with_the_database_makes_no_difference(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, pack: Callable[[bytes], bytes], *, is_late: bool
) -> None:
    monkeypatch.setattr(jobs, "ROWS", 7)
    data = pack(SMALL.encode())
    begin_again(desk)
    desk.done(data)
    whole = desk.state()
    assert whole[0][0][0] == "done"
    Fuse.is_late = is_late
    deaths = 0
    while True:
        begin_again(desk)
        desk.sent(data)
        connection = Fuse.connect(desk.url, autocommit=True)
        Fuse.left, connection.patience = deaths + 1, 20.0
        try:
            desk.importer.work(connection)
        except KilledError:
            deaths += 1
        connection.close()
        if Fuse.left > 0:
            break
        desk.hurry()
        desk.work()
        desk.sweep()
        assert desk.state() == whole, f"killed at exchange {deaths}"
    assert deaths > 30  # two batches, each of many exchanges
    assert desk.state() == whole


class Worker:
    """`python -m app worker`, to be killed."""

    def __init__(self, env: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "app", "worker"], cwd=PROJECT, env={**os.environ, **env}, stdout=subprocess.DEVNULL
        )

    def kill(self) -> None:
        send(self.process.pid, signal.SIGKILL)
        self.process.wait(timeout=60)


@pytest.fixture
def start_worker(env: dict[str, str]) -> Iterator[Callable[[], Worker]]:
    made: list[Worker] = []

    def start() -> Worker:
        made.append(Worker({**env, "APP_LEASE_SECONDS": "0.5"}))
        return made[-1]

    yield start
    for worker in made:
        worker.kill()


def large(desk: Desk) -> tuple[bytes, list[Any]]:
    """A file of several batches with all kinds of rows, and what it leaves where nobody is killed."""
    rows = (USERS + users(1, 45_000)).splitlines(keepends=True)
    for at in range(7, len(rows), 100):
        rows[at] = "x,y,z\n"
    data = "".join(rows + rows[100:3000]).encode()
    begin_again(desk)
    job = desk.done(data)
    assert (job["status"], job["rejected"] > 400, job["inserted"] > 40_000) == ("done", True, True)
    return data, desk.state()


def has_moved(desk: Desk, path: str, seen: int) -> bool:
    job = desk.job(path)
    return bool(job["rows"] > seen or job["ended_at"])  # who is killed after the last batch leaves nothing but the end


_BUSY = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'app-import-%%' AND xact_start IS NOT NULL"


def test_a_worker_process_that_is_killed_again_and_again_makes_no_difference(
    desk: Desk, start_worker: Callable[[], Worker]
) -> None:
    data, whole = large(desk)
    begin_again(desk)
    path = desk.sent(data)
    draw, kills, seen = random.Random(4), 0, 0  # noqa: S311 - when to kill
    while True:
        worker = start_worker()
        # In turns: just after a batch was written, and in the middle of one.
        assert wait_until(partial(has_moved, desk, path, seen), seconds=60, pause=0.002)
        if kills % 2:
            wait_until(lambda: desk.rows(_BUSY) != [(0,)], seconds=0.2, pause=draw.random() * 0.01)
        if kills == 5:
            assert wait_until(lambda: desk.job(path)["ended_at"] is not None, seconds=60)
        worker.kill()
        job = desk.job(path)
        if job["ended_at"]:
            break
        seen, kills = job["rows"], kills + 1
    assert kills >= 2
    desk.sweep()  # the last one may have left the file of a job that had ended
    assert desk.state() == whole


def test_a_postgresql_that_is_killed_again_and_again_makes_no_difference(
    desk: Desk, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "ROWS", 5000)
    data, whole = large(desk)
    begin_again(desk)
    path = desk.sent(data)
    ending, is_free = threading.Event(), threading.Event()
    reached, allowed = threading.Semaphore(0), threading.Semaphore(0)

    def go_on() -> bool:
        """Before each batch: wait for leave to write it."""
        reached.release()
        if not is_free.is_set():
            assert allowed.acquire(timeout=60)
        return False

    importer = replace(desk.importer, lease_seconds=0.5, is_ending=go_on)
    at_work = threading.Thread(target=crew.run, args=(importer, desk.connect), kwargs={"days": 7, "ending": ending})
    at_work.start()
    try:
        for _ in range(3):
            for _ in range(2):  # the first is written, the second is being written when the end comes
                assert reached.acquire(timeout=60)
                allowed.release()
            postgres.kill()
            postgres.start()
            assert desk.rows("SELECT status FROM import_job") == [("running",)]
        is_free.set()
        allowed.release(3)
        assert wait_until(lambda: desk.rows("SELECT status FROM import_job") == [("done",)], seconds=120)
    finally:
        ending.set()
        is_free.set()
        allowed.release(3)
        at_work.join(timeout=60)
    assert wait_until(lambda: desk.client.get(path).status_code == 200, seconds=20)
    desk.sweep()
    assert desk.state() == whole


def test_workers_on_one_job_that_steal_it_from_each_other_count_each_row_once(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "ROWS", 50)
    monkeypatch.setattr(jobs, "ATTEMPTS", 10**6)  # each theft is one
    data = (USERS + users(1, 2000)).encode()
    path = desk.sent(data)
    thieves = replace(desk.importer, lease_seconds=0.0)  # each finds the job free at any moment

    def work() -> None:
        connection = desk.connect()
        while not desk.job(path)["ended_at"]:
            thieves.work(connection)
        connection.close()

    gang = [threading.Thread(target=work) for _ in range(3)]
    for member in gang:
        member.start()
    for member in gang:
        member.join(timeout=60)
    assert desk.counts(path) == {"inserted": 2000}
    assert desk.rows("SELECT count(*) FROM users") == [(2000,)]
