"""The load itself: it asks what its scenario says, counts what failed, and goes to this host only."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from app.cache.clicks import STREAM
from app.store.connection import connect
from app.store.seed import seed
from tests.app.running import END, PROJECT, Replica
from tests.load.scenario import NotLoopbackError, Scenario, on_loopback
from tests.support.postgres import PostgresServer
from tests.support.processes import wait_until
from tests.support.redis_server import RedisServer

SCRIPT = PROJECT / "tests/load/shop.js"
NODE = shutil.which("node")


def load(replica: Replica, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.load", "--url", f"http://127.0.0.1:{replica.port}", *options]
    return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=120, check=False)


def counted(report: str) -> dict[str, tuple[int, int]]:
    """Requests and failures by the name of the row."""
    rows = re.findall(r"^((?:[A-Z]+ )?\S+) +(\d+) +(\d+)(?: +\d+){3}$", report, re.MULTILINE)
    return {name: (int(requests), int(failures)) for name, requests, failures in rows}


def test_the_load_counts_what_the_service_did_and_says_that_all_thresholds_hold(
    make_replica: Callable[..., Replica], postgres: PostgresServer, redis_server: RedisServer
) -> None:
    connection = connect(postgres.url, statement_seconds=30, name="test")
    seed(connection)
    connection.close()
    patient = make_replica(APP_STATEMENT_SECONDS="30", APP_POOL_WAIT_SECONDS="30")
    done = load(patient, "--users", "12", "--seconds", "6", "--p95-ms", "30000")
    assert done.returncode == 0, (done.stdout + done.stderr)[:2000]
    rows = counted(done.stdout)
    assert rows["all"] == (sum(requests for name, (requests, _) in rows.items() if name != "all"), 0)
    assert rows["GET /:code"][0] > rows["all"][0] / 2
    removed = rows.get("DELETE /urls/:id", (0, 0))[0]
    with redis_server.client() as client, psycopg.connect(postgres.url) as database:
        made = database.execute("SELECT count(*) FROM urls WHERE original_url LIKE '%by-the-load'").fetchone()
        written = database.execute("SELECT count(*) FROM events WHERE event_type = 'clicked'").fetchone()
        assert written
        # The stream, and the table for what a Redis that was slow did not take.
        assert int(client.xlen(STREAM)) + written[0] == rows["GET /:code"][0]
    assert made == (rows.get("POST /urls", (0, 0))[0] - removed,)


def test_a_threshold_that_is_missed_is_told_and_fails_the_run(
    make_replica: Callable[..., Replica], postgres: PostgresServer, redis_server: RedisServer
) -> None:
    replica = make_replica(APP_STATEMENT_SECONDS="30", APP_POOL_WAIT_SECONDS="30")
    assert "has no active URLs" in load(replica, "--users", "1", "--seconds", "1").stderr
    connection = connect(postgres.url, statement_seconds=30, name="test")
    seed(connection)
    connection.close()
    redis_server.kill()
    postgres.stop()
    missing = load(replica, "--users", "1", "--seconds", "1")
    assert (missing.returncode, missing.stdout) == (1, "")
    assert "/urls answers 503, so there is nothing to follow" in missing.stderr
    postgres.start()
    assert wait_until(lambda: replica.status("GET", "/urls") == 200, seconds=END, hold=2.0)  # both workers know of it then
    slow = load(replica, "--users", "2", "--seconds", "2", "--p95-ms", "0")
    assert slow.returncode == 1
    assert "p95 is" in slow.stdout


@pytest.mark.parametrize(
    "url", ["http://example.com", "https://127.0.0.1", "http://127.0.0.1.example.com", "http://10.0.0.1:80", ""]
)
def test_the_load_goes_to_no_other_host(url: str) -> None:
    with pytest.raises(NotLoopbackError):
        on_loopback(url)


def test_a_run_against_another_host_ends_as_called_wrongly() -> None:
    command = [sys.executable, "-m", "tests.load", "--url", "http://example.com"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "127.0.0.1" in done.stderr


def test_both_scripts_know_every_step_of_the_scenario() -> None:
    for script, form in ((SCRIPT, r"^  (\w+)\(known\) \{"), (SCRIPT.with_name("locustfile.py"), r"^    def ([a-z]\w*)\(")):
        assert set(re.findall(form, script.read_text(), re.MULTILINE)) == set(Scenario.read().mix), script.name


@pytest.mark.skipif(NODE is None, reason="nothing here reads JavaScript, and k6 is in no registry that the project uses")
def test_the_script_for_k6_is_a_module_that_can_be_parsed(tmp_path: Path) -> None:
    assert NODE
    module = shutil.copy(SCRIPT, tmp_path / "shop.mjs")
    parsed = subprocess.run([NODE, "--check", module], capture_output=True, text=True, timeout=60, check=False)
    assert parsed.returncode == 0, parsed.stderr
