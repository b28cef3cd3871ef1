"""A real redis-server on a loopback port of its own, started once and emptied before each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from flask.testing import FlaskClient

from app import create_app
from tests.support.redis_server import RedisServer


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
