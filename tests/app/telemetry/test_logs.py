"""The last lines of a replica, and who may read them."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from app.telemetry import folder
from app.telemetry.ring import ENDED, LONGEST, SIZE, Ring, last_lines, prune
from tests.app.conftest import MakeApp
from tests.app.running import Replica
from tests.support.processes import send, wait_until

TOKEN = "only for operators"


def line(number: int, *, padding: int = 0) -> str:
    return json.dumps({"ts": f"2026-01-01T00:00:{number:09}", "number": number, "padding": "x" * padding})


@pytest.fixture
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(folder.VARIABLE, str(tmp_path))
    return tmp_path


def numbers(lines: int) -> list[int]:
    return [line["number"] for line in last_lines(lines)]


def test_the_newest_lines_are_kept_however_many_were_written(shared: Path) -> None:
    ring = Ring()
    for number in range(5000):
        ring.write(line(number, padding=number % 300))
    kept = numbers(10**6)
    assert kept == list(range(kept[0], 5000))
    assert len(kept) > SIZE / 400
    assert numbers(3) == [4997, 4998, 4999]
    assert len(list(shared.glob("*.ring"))) == 1


def test_the_lines_of_several_processes_are_told_in_their_order(shared: Path) -> None:
    for process in range(3):
        ring = Ring()
        for number in range(process, 30, 3):
            ring.write(line(number))
        (shared / f"{os.getpid()}.ring").rename(shared / f"{process}.ring")
    assert numbers(1000) == list(range(30))


def test_a_line_that_is_too_long_or_half_overwritten_is_left_out(shared: Path) -> None:
    ring = Ring()
    ring.write(line(1))
    ring.write(line(2, padding=LONGEST))
    ring.write('{"ts": "torn')
    ring.write('"no object"')
    ring.write(line(3))
    assert numbers(10) == [1, 3]


def test_the_lines_of_the_dead_are_kept_for_a_while(shared: Path) -> None:
    ring = Ring()
    ring.write(line(1))
    for number in range(ENDED + 3):
        (shared / f"{10**8 + number}.ring").write_bytes(bytes(16))
    prune()
    left = list(shared.glob("*.ring"))
    assert len(left) == ENDED + 1
    assert numbers(10) == [1]


def test_without_a_folder_a_process_tells_its_own(monkeypatch: pytest.MonkeyPatch, make_app: MakeApp) -> None:
    monkeypatch.delenv(folder.VARIABLE, raising=False)
    client = make_app(APP_OPS_TOKEN=TOKEN).test_client()
    client.get("/users", headers={"X-Request-ID": "wanted-one"})
    prune()
    told = client.get("/logs?lines=1", headers={"Authorization": f"Bearer {TOKEN}"}).get_json()
    assert told["replica"] == "2"
    assert [line["request_id"] for line in told["lines"]] == ["wanted-one"]


@pytest.mark.parametrize("given", [None, "Bearer wrong", f"Basic {TOKEN}", TOKEN, "Bearer ü", "Bearer "])
def test_logs_are_for_who_has_the_token(make_app: MakeApp, given: str | None) -> None:
    headers = {} if given is None else {"Authorization": given}
    answer = make_app(APP_OPS_TOKEN=TOKEN).test_client().get("/logs", headers=headers)
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert answer.get_json()["error"] == "Unauthorized"


def test_where_no_token_is_set_there_are_no_logs(client: FlaskClient) -> None:
    assert client.get("/logs", headers={"Authorization": "Bearer "}).status_code == 404


@pytest.mark.parametrize(("lines", "status"), [("0", 400), ("x", 400), ("1", 200), ("1000", 200), ("5000", 200)])
def test_the_number_of_lines_is_bounded(make_app: MakeApp, lines: str, status: int) -> None:
    client = make_app(APP_OPS_TOKEN=TOKEN).test_client()
    assert client.get(f"/logs?lines={lines}", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == status


def test_a_replica_tells_the_lines_of_all_its_processes_and_none_of_its_secrets(
    make_replica: Callable[..., Replica], env: dict[str, str]
) -> None:
    password = "a-secret-password"
    replica = make_replica(
        APP_OPS_TOKEN=TOKEN, DATABASE_URL="postgresql://app@127.0.0.1:1/app", DATABASE_PASSWORD=password, APP_WORKERS="2"
    )
    for number in range(20):
        assert replica.status("GET", f"/users?page={number + 1}") == 503
    lost = replica.workers()
    for pid in lost:
        send(pid, signal.SIGKILL)
    assert wait_until(lambda: len(replica.workers() - lost) == 2 and replica.status("GET", "/livez") == 200, seconds=60)
    status, told = replica.ask("GET", "/logs?lines=1000", token=TOKEN)
    assert status == 200
    lines = told["lines"]
    assert len([line for line in lines if line["event"] == "request" and line["status"] == 503]) == 20
    assert {line["logger"] for line in lines} >= {"app", "gunicorn.error"}
    assert all(line["replica"] == "2" and line["version"] == "1.2.3" for line in lines)
    assert [line["ts"] for line in lines] == sorted(line["ts"] for line in lines)
    assert password not in json.dumps(told)
    assert TOKEN not in json.dumps(told)
    assert password not in json.dumps(replica.log())
