"""A real redis-server on a loopback port of its own, started once and emptied before each test."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from redis import Redis, RedisError

from app import create_app


class RedisServer:
    """One redis-server process that can be taken away and brought back on the same port, its data kept in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it unless it runs, and wait until it answers."""
        if self._process is not None:
            return
        program = shutil.which("redis-server")
        assert program, "redis-server is not installed: `make test` installs it, or apt-get install redis-server"
        self._process = subprocess.Popen(
            [program, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self._folder)],
            stdout=subprocess.DEVNULL,
        )
        with self.client() as client:
            end = time.monotonic() + 10
            while not _answers(client):
                assert time.monotonic() < end, "redis-server does not answer"
                time.sleep(0.02)

    def stop(self) -> None:
        """End it as `docker stop` does; it saves what it holds."""
        if self._process is not None:
            with self.client() as client:
                client.save()
            self._process.terminate()
            self._process.wait(timeout=10)
            self._process = None

    def client(self) -> Redis:
        return Redis.from_url(self.url, socket_timeout=1.0)


def _answers(client: Redis) -> bool:
    try:
        return bool(client.ping())
    except RedisError:
        return False


@pytest.fixture(scope="session")
def _server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def redis_server(_server: RedisServer) -> Iterator[RedisServer]:
    with _server.client() as client:
        client.flushall()
    yield _server
    _server.start()  # for the next test, if this one took it away


@pytest.fixture
def client(redis_server: RedisServer) -> FlaskClient:
    return create_app({"REDIS_URL": redis_server.url, "APP_VERSION": "1.2.3", "APP_REPLICA": "2"}).test_client()
