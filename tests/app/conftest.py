"""The application on a PostgreSQL and a Redis of its own, both emptied before each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import psycopg
import pytest
from flask import Flask
from flask.testing import FlaskClient
from psycopg import sql

from app import create_app
from app.store.connection import connect
from app.store.migrate import migrate
from tests.app.running import Replica
from tests.app.stage import Stage
from tests.support.postgres import PostgresServer
from tests.support.redis_server import RedisServer


@pytest.fixture(scope="session")
def _postgres() -> Iterator[PostgresServer]:
    server = PostgresServer()
    connection = connect(server.url, statement_seconds=30, name="test")
    migrate(connection)
    connection.close()
    yield server
    server.remove()


@pytest.fixture(scope="session")
def _redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("redis"), "--save", "", "--appendonly", "yes")
    server.start()
    yield server
    server.kill()


@pytest.fixture
def postgres(_postgres: PostgresServer) -> Iterator[PostgresServer]:
    """With the schema and without a row; a test may take it away."""
    with psycopg.connect(_postgres.url) as connection:
        query = "SELECT format('%I', tablename) FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'schema_version'"
        tables = sql.SQL(", ").join(sql.SQL(name) for (name,) in connection.execute(query))
        connection.execute(sql.SQL("TRUNCATE {} RESTART IDENTITY").format(tables))
    yield _postgres
    _postgres.thaw()
    _postgres.start()


@pytest.fixture
def redis_server(_redis: RedisServer) -> Iterator[RedisServer]:
    """Empty; a test may take it away."""
    with _redis.client() as client:
        client.flushall()
    yield _redis
    _redis.thaw()
    _redis.start()


@pytest.fixture
def env(postgres: PostgresServer, redis_server: RedisServer) -> dict[str, str]:
    return {"DATABASE_URL": postgres.url, "REDIS_URL": redis_server.url, "APP_VERSION": "1.2.3", "APP_REPLICA": "2"}


MakeApp = Callable[..., Flask]


@pytest.fixture
def make_app(env: dict[str, str]) -> Iterator[MakeApp]:
    """Makes applications like several replicas; keyword arguments are variables of the environment."""
    made: list[Flask] = []

    def make(**variables: str) -> Flask:
        made.append(create_app({**env, **variables}))
        return made[-1]

    yield make
    for app in made:
        app.extensions["services"].database.pool.close()


@pytest.fixture
def app(make_app: MakeApp) -> Flask:
    return make_app()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def stage(client: FlaskClient) -> Stage:
    return Stage(client)


@pytest.fixture
def make_replica(env: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Replica]]:
    """Makes replicas under gunicorn; keyword arguments are variables of the environment."""
    made: list[Replica] = []

    def make(**variables: str) -> Replica:
        made.append(Replica(tmp_path_factory.mktemp("replica"), {**env, **variables}))
        return made[-1]

    yield make
    for replica in made:
        replica.kill()
