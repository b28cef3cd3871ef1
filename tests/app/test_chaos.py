"""Chaos Mode: who may order it, what each fault does to a replica, and that it ends by itself and gives everything back."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient

from app.chaos import CRASH_SECONDS, Agent, Burn, Crash, Exhaust, Leak, install_chaos
from app.errors import SettingsError
from app.replica import BOARD, Board, Fault, Order
from app.settings import Settings
from tests.app.conftest import MakeApp
from tests.app.running import END, Replica
from tests.support.clock import FakeClock
from tests.support.postgres import PostgresServer
from tests.support.processes import is_alive, wait_until

TOKEN = "only for who breaks things"
ON = {"APP_CHAOS": "1", "APP_CHAOS_TOKEN": TOKEN}
BEARER = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture(autouse=True)
def _calm(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No application of this process does to it what later tests order."""
    monkeypatch.setattr(Agent, "start", lambda _: None)
    yield
    BOARD.end()


@pytest.fixture
def wild(make_app: MakeApp) -> FlaskClient:
    return make_app(**ON).test_client()


def order(client: FlaskClient, fault: str, **measures: Any) -> None:
    answer = client.post("/chaos", json={"fault": fault, **measures}, headers=BEARER)
    assert answer.status_code == 202, answer.text


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_where_chaos_mode_is_off_there_is_none_whatever_token_is_sent(client: FlaskClient, method: str) -> None:
    for headers in ({}, BEARER, {"Authorization": "Bearer "}):
        assert client.open("/chaos", method=method, json={"fault": "errors"}, headers=headers).status_code == 404
    assert BOARD.is_calm()


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
@pytest.mark.parametrize("given", [None, "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN} "])
def test_who_has_not_the_token_orders_nothing(wild: FlaskClient, method: str, given: str | None) -> None:
    # werkzeug's client strips nothing: a space behind the token makes it another one.
    answer = wild.open("/chaos", method=method, json={"fault": "errors"}, headers={"Authorization": given} if given else {})
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert BOARD.is_calm()


def test_chaos_mode_without_a_token_does_not_start() -> None:
    with pytest.raises(SettingsError, match="APP_CHAOS_TOKEN"):
        Settings.of({"APP_CHAOS": "1"})
    assert Settings.of({"APP_CHAOS_TOKEN": TOKEN}).chaos_token == ""
    assert Settings.of({**ON, "APP_CHAOS": "0"}).chaos_token == ""
    assert TOKEN not in repr(Settings.of(ON))


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "fault"),
        ({"fault": "flood"}, "fault"),
        ({"fault": ["slow"]}, "fault"),
        ({"fault": "slow", "seconds": 121}, "seconds"),
        ({"fault": "slow", "seconds": 0}, "seconds"),
        ({"fault": "slow", "seconds": "9"}, "seconds"),
        ({"fault": "slow", "seconds": True}, "seconds"),
        ({"fault": "slow", "delay": 31}, "delay"),
        ({"fault": "errors", "share": 0}, "share"),
        ({"fault": "errors", "share": 1.1}, "share"),
        ({"fault": "leak", "megabytes": 5000}, "megabytes"),
    ],
)
def test_an_order_that_makes_no_sense_is_refused_with_its_field(wild: FlaskClient, body: dict[str, Any], field: str) -> None:
    answer = wild.post("/chaos", json=body, headers=BEARER)
    assert (answer.status_code, answer.get_json()["field"]) == (400, field)
    assert BOARD.is_calm()


def test_what_is_active_is_shown_logged_and_ended_on_demand(make_app: MakeApp, capsys: pytest.CaptureFixture[str]) -> None:
    wild = make_app(**ON).test_client()
    order(wild, "errors", share=0.5, seconds=100)
    order(wild, "slow", delay=0.001)
    shown = wild.get("/chaos", headers=BEARER).get_json()
    assert shown["replica"] == "2"
    assert [(one["fault"], one["share"], one["delay"]) for one in shown["active"]] == [("slow", 1.0, 0.001), ("errors", 0.5, 1.0)]
    assert 90 < shown["active"][1]["seconds_left"] <= 100
    assert wild.delete("/chaos", headers=BEARER).status_code == 204
    assert wild.get("/chaos", headers=BEARER).get_json()["active"] == []
    events = [line["event"] for line in map(json.loads, capsys.readouterr().out.splitlines())]
    assert events.count("chaos ordered") == 2
    assert "chaos called off" in events


def test_the_longest_time_is_a_setting(make_app: MakeApp) -> None:
    client = make_app(**ON, APP_CHAOS_MAX_SECONDS="5").test_client()
    assert client.post("/chaos", json={"fault": "slow", "seconds": 6}, headers=BEARER).status_code == 400
    order(client, "slow")
    assert client.get("/chaos", headers=BEARER).get_json()["active"][0]["seconds_left"] <= 5


def test_of_the_requests_a_share_is_answered_with_500_and_probes_are_not(wild: FlaskClient) -> None:
    order(wild, "errors", share=0.25)
    statuses = [wild.get("/users").status_code for _ in range(40)]
    assert statuses.count(500) == 10
    assert statuses.count(200) == 30
    assert {wild.get(path).status_code for path in ("/livez", "/readyz", "/health", "/metrics")} == {200}
    failed = next(answer for answer in (wild.get("/users") for _ in range(8)) if answer.status_code == 500)
    assert failed.get_json()["error"] == "Internal Server Error"


def test_slow_requests_take_their_delay_and_no_longer_than_the_order_lasts(wild: FlaskClient) -> None:
    order(wild, "slow", delay=0.3)
    started = time.monotonic()
    assert wild.get("/users").status_code == 200
    assert time.monotonic() - started >= 0.3
    order(wild, "slow", delay=30, seconds=0.2)
    started = time.monotonic()
    assert wild.get("/users").status_code == 200
    assert time.monotonic() - started < 20
    assert BOARD.is_calm()


def test_a_hang_reaches_liveness_too_and_ends_by_itself(wild: FlaskClient) -> None:
    order(wild, "hang", seconds=0.4)
    assert wild.get("/chaos", headers=BEARER).status_code == 200
    started = time.monotonic()
    assert wild.get("/livez").status_code == 200
    assert time.monotonic() - started > 0.2
    assert BOARD.is_calm()


def test_a_replica_can_be_told_not_to_be_ready(wild: FlaskClient) -> None:
    order(wild, "unready")
    answer = wild.get("/readyz")
    assert (answer.status_code, list(answer.get_json()["missing"])) == (503, ["chaos"])
    assert wild.get("/users").status_code == 200
    wild.delete("/chaos", headers=BEARER)
    assert wild.get("/readyz").status_code == 200


def test_an_exhausted_pool_is_full_again_when_the_order_ends(make_app: MakeApp) -> None:
    app = make_app(**ON, APP_POOL_SIZE="2", APP_POOL_WAIT_SECONDS="0.1")
    client, pool = app.test_client(), app.extensions["services"].database.pool
    effect = Exhaust(pool)
    effect.go_on(Order(0))
    effect.go_on(Order(0))
    answer = client.get("/users")
    assert (answer.status_code, "Retry-After" in answer.headers) == (503, True)
    assert client.get("/livez").status_code == 200
    effect.end()
    assert client.get("/users").status_code == 200
    assert len(pool._idle) == 2


def test_a_pool_that_gives_nothing_is_asked_again(make_app: MakeApp, postgres: PostgresServer) -> None:
    app = make_app(**ON, APP_POOL_SIZE="1")
    effect = Exhaust(app.extensions["services"].database.pool)
    postgres.kill()
    effect.go_on(Order(0))
    effect.end()
    postgres.start()
    assert wait_until(lambda: app.test_client().get("/users").status_code == 200, seconds=10)


def resident() -> int:
    with open("/proc/self/statm") as status:  # noqa: PTH123 - of the kernel, not of a file system
        return int(status.read().split()[1]) * 4096


def test_leaked_memory_is_given_back() -> None:
    effect, before = Leak(), resident()
    for _ in range(15):
        effect.go_on(Order(0, megabytes=100))
    assert 95e6 < resident() - before < 130e6
    effect.end()
    assert resident() - before < 30e6


def test_a_burning_thread_burns_until_the_order_ends() -> None:
    effect, started = Burn(), time.process_time()
    effect.go_on(Order(0, share=0.9))
    effect.go_on(Order(0, share=0.9))
    assert wait_until(lambda: time.process_time() - started > 0.3, seconds=END)
    thread = effect._thread
    assert thread
    effect.end()
    thread.join(timeout=60)
    assert not thread.is_alive()


class Recorder:
    def __init__(self) -> None:
        self.calls: list[str] = []

    def go_on(self, order: Order) -> None:
        self.calls.append("go on")

    def end(self) -> None:
        self.calls.append("end")


def test_an_agent_follows_the_board_until_the_order_is_over(clock: FakeClock) -> None:
    board, effect = Board(clock.monotonic), Recorder()
    agent = Agent({Fault.LEAK: effect}, board=board)
    agent.look()
    assert effect.calls == []
    board.start(Fault.LEAK, Order(clock.monotonic() + 10))
    board.start(Fault.SLOW, Order(clock.monotonic() + 5))
    for _ in range(2):
        agent.look()
    clock.advance(7)
    agent.look()
    clock.advance(7)
    for _ in range(2):
        agent.look()
    assert effect.calls == ["go on", "go on", "go on", "end"]
    assert board.active() == {}


def test_a_process_crashes_after_its_order_was_answered(clock: FakeClock) -> None:
    left: list[int] = []
    board = Board(clock.monotonic)
    effect = Crash(board, leave=left.append)
    ordered = Order(clock.monotonic() + CRASH_SECONDS)
    effect.go_on(ordered)
    assert left == []
    clock.advance(0.5)
    effect.go_on(ordered)
    effect.end()
    assert left == [70]


def test_a_calm_board_costs_a_request_nothing_it_could_notice() -> None:
    board = Board()
    started = time.process_time()
    for _ in range(100_000):
        board.is_calm()
    assert time.process_time() - started < 2.0


Make = Callable[..., Replica]


def test_a_fault_that_one_worker_was_told_is_had_by_all_and_ends(make_replica: Make) -> None:
    replica = make_replica(**ON, APP_WORKERS="3", APP_THREADS="2")
    status, shown = replica.ask("POST", "/chaos", {"fault": "errors", "seconds": 60}, token=TOKEN)
    assert (status, shown["active"][0]["fault"]) == (202, "errors")
    assert {replica.status("GET", "/users") for _ in range(30)} == {500}
    assert wait_until(lambda: replica.metrics().get('app_chaos_active{fault="errors"}') == 1, seconds=END)
    assert replica.ask("DELETE", "/chaos", token=TOKEN)[0] == 204
    assert {replica.status("GET", "/users") for _ in range(30)} == {200}
    assert wait_until(lambda: replica.metrics().get('app_chaos_active{fault="errors"}') == 0, seconds=END)
    events = {(line["event"], line.get("fault")) for line in replica.log()}
    assert events >= {("chaos began", "errors"), ("chaos ended", "errors")}


def test_a_crash_ends_the_whole_replica(make_replica: Make) -> None:
    replica = make_replica(**ON)
    workers = replica.workers()
    assert replica.ask("POST", "/chaos", {"fault": "crash"}, token=TOKEN)[0] == 202
    assert replica.process.wait(timeout=END) == 70
    assert wait_until(lambda: not any(map(is_alive, workers)), seconds=END)


def test_memory_and_connections_of_a_replica_come_back(make_replica: Make) -> None:
    replica = make_replica(**ON, APP_WORKERS="1", APP_THREADS="2", APP_POOL_WAIT_SECONDS="0.1")
    before = replica.metrics()["app_resident_memory_bytes"]
    replica.ask("POST", "/chaos", {"fault": "leak", "megabytes": 200, "seconds": 60}, token=TOKEN)
    replica.ask("POST", "/chaos", {"fault": "exhaust_pool", "seconds": 60}, token=TOKEN)
    replica.ask("POST", "/chaos", {"fault": "cpu", "share": 0.2, "seconds": 60}, token=TOKEN)
    assert wait_until(lambda: replica.metrics()["app_resident_memory_bytes"] - before > 180e6, seconds=END)
    assert wait_until(lambda: replica.metrics()["app_pool_in_use"] == 2, seconds=END)
    assert replica.status("GET", "/users") == 503
    replica.ask("DELETE", "/chaos", token=TOKEN)
    assert wait_until(lambda: replica.metrics()["app_resident_memory_bytes"] - before < 100e6, seconds=END)
    assert wait_until(lambda: replica.status("GET", "/users") == 200, seconds=END)
    assert replica.metrics()["app_pool_in_use"] == 0


def test_a_hang_is_seen_by_the_health_check_and_not_by_the_metrics(make_replica: Make) -> None:
    replica = make_replica(**ON, APP_WORKERS="1", APP_THREADS="2")
    assert replica.ask("POST", "/chaos", {"fault": "hang", "seconds": 5}, token=TOKEN)[0] == 202
    assert replica.status("GET", "/livez", timeout=1) is None
    assert replica.metrics()["http_requests_in_progress"] >= 1
    assert wait_until(lambda: replica.status("GET", "/livez") == 200, seconds=END)


def test_a_request_during_a_hang_waits_for_its_end(make_app: MakeApp) -> None:
    waits: list[float] = []
    board = Board()
    app = make_app()

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            board.end()

    install_chaos(app, board=board, sleep=sleep)
    board.start(Fault.HANG, Order(time.monotonic() + 60))
    assert app.test_client().get("/livez").status_code == 200
    assert len(waits) == 3
