"""The application against a real Redis, present, away and hung."""

from __future__ import annotations

import json
import logging
import socket
import time

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app import create_app
from app.access_log import JsonFormatter
from tests.support.redis_server import RedisServer


def lines(captured: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in captured.splitlines()]


def test_each_visit_adds_one_and_names_the_replica(client: FlaskClient) -> None:
    first, second = client.get("/"), client.get("/")
    assert first.get_json() == {"service": "shop", "version": "1.2.3", "replica": "2", "hits": 1, "stored": True}
    assert second.get_json()["hits"] == 2


def test_two_replicas_count_together(client: FlaskClient, redis_server: RedisServer) -> None:
    other = create_app({"REDIS_URL": redis_server.url}).test_client()
    client.get("/")
    assert other.get("/").get_json()["hits"] == 2


def test_visits_while_redis_is_away_are_answered_and_added_later(client: FlaskClient, redis_server: RedisServer) -> None:
    client.get("/")
    redis_server.stop()
    for _ in range(3):
        away = client.get("/")
        assert away.status_code == 200
        assert (away.get_json()["hits"], away.get_json()["stored"]) == (None, False)
    redis_server.start()
    assert client.get("/").get_json()["hits"] == 5


def test_a_hung_redis_costs_a_request_less_than_a_second() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts and never answers
        hung = create_app({"REDIS_URL": f"redis://127.0.0.1:{silent.getsockname()[1]}/0"}).test_client()
        started = time.monotonic()
        assert hung.get("/").get_json()["stored"] is False
        assert time.monotonic() - started < 1.0


def test_livez_answers_without_redis() -> None:
    alone = create_app({"REDIS_URL": "redis://127.0.0.1:1/0"}).test_client()
    assert alone.get("/livez").status_code == 200


def test_readyz_says_that_nothing_is_missing(client: FlaskClient) -> None:
    answer = client.get("/readyz")
    assert (answer.status_code, answer.get_json()) == (200, {"status": "ok", "missing": {}})


def test_readyz_names_redis_when_it_is_missing() -> None:
    answer = create_app({"REDIS_URL": "redis://127.0.0.1:1/0"}).test_client().get("/readyz")
    assert answer.status_code == 503
    assert answer.get_json() == {"status": "unavailable", "missing": {"redis": "ConnectionError"}}


@pytest.mark.parametrize(
    ("method", "path", "status", "error"), [("GET", "/no/where", 404, "Not Found"), ("POST", "/", 405, "Method Not Allowed")]
)
def test_a_refused_request_is_answered_in_json(client: FlaskClient, method: str, path: str, status: int, error: str) -> None:
    answer = client.open(path, method=method)
    assert answer.status_code == status
    assert answer.content_type == "application/json"
    assert answer.get_json()["error"] == error
    assert ("Allow" in answer.headers) == (status == 405)


def with_a_fault(app: Flask) -> FlaskClient:
    @app.get("/a/fault")
    def fault() -> str:
        raise RuntimeError("the secret of the house")

    return app.test_client()


def test_a_fault_is_answered_without_its_details_and_logged_with_them(capsys: pytest.CaptureFixture[str]) -> None:
    answer = with_a_fault(create_app({})).get("/a/fault", headers={"X-Request-ID": "caller-chosen-1"})
    assert answer.status_code == 500
    assert answer.get_json()["error"] == "Internal Server Error"
    assert "secret" not in answer.text
    fault, access = lines(capsys.readouterr().out)
    assert "RuntimeError: the secret of the house" in str(fault["error"])
    assert fault["request_id"] == access["request_id"] == "caller-chosen-1"


def test_a_request_leaves_one_line_with_its_route_never_its_path(capsys: pytest.CaptureFixture[str]) -> None:
    app = create_app({"APP_VERSION": "1.2.3", "APP_REPLICA": "2", "REDIS_URL": "redis://127.0.0.1:1/0"}).test_client()
    answers = [app.get("/readyz"), app.get("/some/path?token=abc")]
    ready, unmatched = (line for line in lines(capsys.readouterr().out) if line["event"] == "request")
    assert (ready["route"], ready["status"], ready["method"], ready["level"]) == ("/readyz", 503, "GET", "info")
    assert (ready["version"], ready["replica"]) == ("1.2.3", "2")
    assert (unmatched["route"], unmatched["status"]) == ("unmatched", 404)
    assert [ready["request_id"], unmatched["request_id"]] == [answer.headers["X-Request-ID"] for answer in answers]
    assert float(str(ready["duration_ms"])) >= 0


def test_liveness_probes_leave_no_line(capsys: pytest.CaptureFixture[str]) -> None:
    create_app({}).test_client().get("/livez")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("given", ["short", "x" * 65, 'quote"quote"', "blank blank"])
def test_a_request_id_that_could_break_a_log_is_replaced(given: str) -> None:
    answer = create_app({}).test_client().get("/livez", headers={"X-Request-ID": given})
    assert answer.headers["X-Request-ID"] != given
    assert len(answer.headers["X-Request-ID"]) == 32


def test_gunicorns_own_lines_are_json_too() -> None:
    record = logging.LogRecord("gunicorn.error", logging.INFO, "arbiter.py", 1, "Booting worker with pid: %s", (7,), None)
    line = json.loads(JsonFormatter().format(record))
    assert (line["logger"], line["event"]) == ("gunicorn.error", "Booting worker with pid: 7")
