"""What an earlier entry to the hackathon got wrong, and the service does not, a test for each.

Its other defects have their tests where the thing itself is tested: events lost with their process (`test_gunicorn`,
`test_clicks`), connections without a bound and taken by routes that need none, a Redis that hangs (`test_outages`), metrics of
one process out of several (`telemetry`), files that are read whole or end at a bad row (`ingest`, `imports`).
"""

from __future__ import annotations

import io
import json
from http import HTTPStatus
from typing import Any

import psycopg
import pytest
import yaml
from flask import Flask, abort
from flask.testing import FlaskClient

from app.api.logs import MOST_LINES
from app.services import Services
from app.settings import Settings
from app.store.pool import Pool
from app.telemetry.ring import Ring
from tests.app.conftest import MakeApp
from tests.app.running import PROJECT
from tests.app.test_contract import assert_refused
from tests.support.postgres import PostgresServer

TOKEN = "token-for-the-logs"


@pytest.mark.parametrize(
    "status", [400, 401, 403, 404, 405, 406, 409, 410, 413, 414, 415, 422, 428, 429, 431, 500, 501, 502, 503, 504]
)
def test_a_status_that_a_route_ends_with_is_the_one_that_is_answered(app: Flask, status: int) -> None:
    app.add_url_rule("/ends", view_func=lambda: abort(status))
    assert assert_refused(app.test_client().get("/ends"), status)["error"] == HTTPStatus(status).phrase


def test_a_fault_of_ours_is_a_500_that_tells_nothing_of_the_inside(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError("the inside")

    monkeypatch.setattr("app.store.users.find", fails)
    body = assert_refused(client.get("/users/1"), 500)
    assert "inside" not in str(body)
    assert "Traceback" not in str(body)


@pytest.mark.parametrize("path", ["/livez", "/health", "/products", "/openapi.json", "/metrics"])
def test_what_needs_no_database_answers_without_one(client: FlaskClient, postgres: PostgresServer, path: str) -> None:
    postgres.stop()
    assert client.get(path).status_code == 200


def test_a_pool_that_is_full_is_unavailable_and_no_fault_of_ours(make_app: MakeApp) -> None:
    app = make_app(APP_POOL_SIZE="1", APP_POOL_WAIT_SECONDS="0")
    pool: Pool = app.extensions["services"].database.pool
    held = pool.take()
    answer = app.test_client().get("/users")
    pool.give(held)
    assert_refused(answer, 503)
    assert int(answer.headers["Retry-After"]) >= 1
    assert app.test_client().get("/users").status_code == 200


def test_all_replicas_together_ask_for_fewer_connections_than_postgresql_has() -> None:
    services = yaml.safe_load((PROJECT / "manifests/shop.yml").read_text())["services"]
    granted = next(int(word.partition("=")[2]) for word in services["postgres"]["command"] if word.startswith("max_connections="))
    # While it is updated, a service has one more replica than it is declared to have.
    replicas = {name: services[name]["deploy"]["replicas"] + 1 for name in ("web", "worker")}
    given = services["web"]["environment"]
    settings = Settings.of(
        {name: str(value) for name, value in given.items() if name in ("APP_WORKERS", "APP_THREADS", "APP_POOL_SIZE")}
    )
    asked = replicas["web"] * settings.workers * settings.pool_size + replicas["worker"] * settings.pool_size
    assert asked <= granted - 3 - 5  # three are kept for superusers; five for commands, the exporter and people


CSV = (
    "\ufeffid,username,email,created_at\n"
    "1,ann,ann@example.com,2025-01-02 03:04:05\n"
    "x,bob,bob@example.com,2025-01-02 03:04:05\n"
    "3,cy,cy@example.com,2025-02-30 00:00:00\n"
    "1,ann,ann@example.com,2025-01-02 03:04:05\n"
    "5,eve,eve@example.com,2025-01-02 03:04:05\n"
)


def sent(client: FlaskClient) -> dict[str, Any]:
    answer = client.post("/users/bulk", data={"file": (io.BytesIO(CSV.encode()), "users.csv")})
    assert answer.status_code == 201, answer.text
    counts: dict[str, Any] = answer.get_json()
    return counts


def test_a_byte_order_mark_bad_cells_and_twins_cost_their_own_rows_only_and_each_row_is_counted(
    client: FlaskClient, postgres: PostgresServer
) -> None:
    counts = sent(client)
    names = ("rows", "inserted", "updated", "unchanged", "duplicate", "rejected")
    assert [counts[name] for name in names] == [5, 2, 0, 0, 1, 2]
    with psycopg.connect(postgres.url) as connection:
        kept = connection.execute("SELECT id, username, created_at::text FROM users ORDER BY id").fetchall()
    assert kept == [(1, "ann", "2025-01-02 03:04:05"), (5, "eve", "2025-01-02 03:04:05")]
    reasons = client.get(f"/imports/{counts['id']}/rejects").get_json()
    assert [(reject["line"], reject["column"]) for reject in reasons] == [(3, "id"), (4, "created_at")]


def test_a_file_that_is_sent_again_changes_nothing(client: FlaskClient) -> None:
    sent(client)
    before = client.get("/users").get_json()
    assert {sent(client)[name] for name in ("inserted", "updated")} == {0}
    assert client.get("/users").get_json() == before


def test_logs_are_for_who_has_the_token_and_never_more_than_a_thousand_lines(
    make_app: MakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.telemetry.ring.RING", ring := Ring())
    client = make_app(APP_OPS_TOKEN=TOKEN).test_client()
    for given in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {TOKEN}"}):
        assert_refused(client.get("/logs", headers=given), 401)
    for number in range(MOST_LINES + 1):
        ring.write(json.dumps({"ts": str(number)}))
    answer = client.get("/logs?lines=100000", headers={"Authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == 200
    assert len(answer.get_json()["lines"]) == MOST_LINES


def test_without_a_token_there_are_no_logs_to_ask_for(client: FlaskClient) -> None:
    assert_refused(client.get("/logs"), 404)


def test_the_tests_run_on_the_database_that_the_service_runs_on(app: Flask) -> None:
    services: Services = app.extensions["services"]
    assert "PostgreSQL" in services.database.rows("SELECT version()")[0][0]
    services.database.close()


@pytest.mark.parametrize("path", ["/users", "/urls", "/events", "/nobody", "/livez"])
def test_head_is_answered_as_get_is_and_without_a_body(client: FlaskClient, path: str) -> None:
    head, get = client.head(path), client.get(path)
    assert (head.status_code, head.data) == (get.status_code, b"")


@pytest.mark.parametrize("method", ["TRACE", "PATCH", "PROPFIND", "MADE-UP"])
def test_a_method_that_nobody_knows_is_not_allowed(client: FlaskClient, method: str) -> None:
    answer = client.open("/users", method=method)
    assert_refused(answer, 405)
    assert set(answer.headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS", "POST"}
