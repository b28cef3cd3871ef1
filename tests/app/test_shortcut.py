"""The short way of a redirect looks from outside like the long one, and is taken only where nothing is to be decided."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app.api.shortcut import shortcut
from app.cache.clicks import STREAM
from app.telemetry.metrics import REQUESTS
from tests.app.stage import TARGET, Stage
from tests.support.redis_server import RedisServer


class Calm:
    """A board of Chaos Mode."""

    def __init__(self, *, calm: bool) -> None:
        self.calm = calm

    def is_calm(self) -> bool:
        return self.calm


class Lines(logging.Handler):
    """Keeps the fields of what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.fields: list[dict[str, Any]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.fields.append(record.__dict__.get("fields", {}))


@pytest.fixture
def lines(app: Flask) -> Iterator[Lines]:
    handler = Lines()
    app.logger.addHandler(handler)
    yield handler
    app.logger.removeHandler(handler)


def counted() -> float:
    return float(REQUESTS.labels("GET", "/<code>", "302")._value.get())


def way_of(app: Flask, path: str, method: str = "GET", *, calm: bool = True) -> list[str]:
    """Which way a request takes: through Flask or not."""
    taken: list[str] = []

    def long(environ: Any, start_response: Any) -> list[bytes]:
        taken.append("long")
        start_response("200 OK", [])
        return []

    board: Any = Calm(calm=calm)
    short = shortcut(long, app.extensions["services"], app.logger, board=board)

    def answer(status: str, *_: object) -> Any:
        taken.append(status)

    short({"PATH_INFO": path, "REQUEST_METHOD": method}, answer)
    return taken


def test_only_a_plain_get_of_a_code_that_redis_knows_takes_the_short_way(app: Flask, stage: Stage) -> None:
    url, off = stage.url(), stage.url(is_active=False)
    path = f"/{url['short_code']}"
    assert way_of(app, path) == ["long", "200 OK"]  # Redis does not know it yet
    for known in (url, off):
        stage.visit(known)
    assert way_of(app, path) == ["302 FOUND"]
    assert way_of(app, path, calm=False) == ["long", "200 OK"]
    assert way_of(app, path, "HEAD") == ["long", "200 OK"]
    for other in (f"/{off['short_code']}", "/users", "/livez", "/", f"{path}/", "/a.b"):
        assert way_of(app, other) == ["long", "200 OK"]


def test_both_ways_answer_log_and_count_alike(client: FlaskClient, stage: Stage, lines: Lines, redis_server: RedisServer) -> None:
    url = stage.url()
    before = counted()
    lines.fields.clear()
    answers = [client.get(f"/{url['short_code']}", headers={"X-Request-ID": f"request-{turn}"}) for turn in range(2)]
    long, short = ({name: value for name, value in answer.headers if name != "X-Request-ID"} for answer in answers)
    assert long == short
    assert short["Location"] == TARGET
    assert [answer.headers["X-Request-ID"] for answer in answers] == ["request-0", "request-1"]
    assert [answer.data for answer in answers] == [b"", b""]
    ended = [{name: value for name, value in fields.items() if name != "duration_ms"} for fields in lines.fields]
    assert ended == [
        {"request_id": f"request-{turn}", "method": "GET", "route": "/<code>", "status": 302} for turn in range(2)
    ], json.dumps(ended)
    assert counted() == before + 2
    with redis_server.client() as redis:
        assert redis.xlen(STREAM) == 2


def test_redis_is_asked_once_for_a_code_that_it_does_not_know(
    app: Flask, client: FlaskClient, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = app.extensions["services"].urls
    url, asked, follow = stage.url(), [], cache.follow

    def noted(code: str, **named: Any) -> Any:
        asked.append(code)
        return follow(code, **named)

    monkeypatch.setattr(cache, "follow", noted)
    assert client.get(f"/{url['short_code']}").status_code == 302
    assert client.get("/nobody").status_code == 404
    assert asked == [url["short_code"], "nobody"]
