"""What is counted, in one process and over the workers of a replica."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from flask.testing import FlaskClient
from prometheus_client import REGISTRY, generate_latest
from prometheus_client.core import Metric
from prometheus_client.multiprocess import MultiProcessCollector

from app.lag import Lag, served
from app.services import Services
from app.settings import Settings
from app.telemetry import exposition, folder
from app.telemetry.metrics import IMPORT_BATCH, count_import
from tests.app.conftest import MakeApp
from tests.app.running import Replica, free_port
from tests.app.stage import Stage
from tests.support.postgres import PostgresServer
from tests.support.processes import is_alive, send, wait_until
from tests.support.redis_server import RedisServer


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


class Growth:
    """How much a counter has grown since this was made: the process's counters outlive each test."""

    def __init__(self, name: str, **labels: str) -> None:
        self._name, self._labels = name, labels
        self._before = value(name, **labels)

    def __call__(self) -> float:
        return value(self._name, **self._labels) - self._before


def test_a_request_is_counted_by_method_route_and_status(client: FlaskClient, stage: Stage) -> None:
    read = Growth("http_requests_total", method="GET", route="/users/<int:user_id>", status="200")
    timed = Growth("http_request_duration_seconds_count", method="GET", route="/users/<int:user_id>")
    client.get(f"/users/{stage.user()['id']}")
    client.get(f"/users/{stage.user()['id']}")
    assert (read(), timed()) == (2, 2)


def test_paths_and_methods_that_callers_make_up_share_one_label(client: FlaskClient) -> None:
    unknown = Growth("http_requests_total", method="GET", route="unmatched", status="404")
    odd = Growth("http_requests_total", method="other", route="unmatched", status="405")
    for number in range(3):
        client.get(f"/no/such/{number}")
        client.open("/users", method=f"ODD{number}")
    assert (unknown(), odd()) == (3, 3)


def test_a_failing_request_is_counted_and_no_longer_in_progress(make_app: MakeApp) -> None:
    app = make_app()
    seen = []

    @app.get("/fault/here")
    def fault() -> str:
        seen.append(value("http_requests_in_progress"))
        raise RuntimeError

    failed = Growth("http_requests_total", method="GET", route="/fault/here", status="500")
    before = value("http_requests_in_progress")
    assert app.test_client().get("/fault/here").status_code == 500
    assert (seen, value("http_requests_in_progress"), failed()) == ([before + 1], before, 1)


def test_redirects_count_what_redis_knew_and_what_it_did_not(stage: Stage) -> None:
    hits, misses = Growth("app_cache_hits_total"), Growth("app_cache_misses_total")
    url = stage.url()
    for _ in range(3):
        stage.visit(url)
    assert (hits(), misses()) == (2, 1)


def test_a_redis_that_is_away_is_counted_and_its_breaker_is_seen_open_and_closed_again(
    stage: Stage, redis_server: RedisServer
) -> None:
    errors, opens = Growth("app_cache_errors_total"), Growth("app_breaker_opens_total", to="redis")
    url = stage.url()
    redis_server.kill()
    for _ in range(5):
        stage.visit(url)
    assert errors() >= 3
    assert (opens(), value("app_breaker_open", to="redis")) == (1, 1)
    redis_server.start()

    def is_closed() -> bool:
        stage.visit(url)
        return value("app_breaker_open", to="redis") == 0

    assert wait_until(is_closed, seconds=15)
    assert opens() == 1


def test_the_pool_tells_its_use_its_waits_and_what_waited_in_vain(make_app: MakeApp) -> None:
    app = make_app(APP_POOL_SIZE="1", APP_POOL_WAIT_SECONDS="0.1")
    database = app.extensions["services"].database
    waits, vain = Growth("app_pool_waits_total"), Growth("app_pool_timeouts_total")
    assert value("app_pool_size") == 1
    idle = value("app_pool_in_use")
    database.connect()
    assert value("app_pool_in_use") == idle + 1
    answers: list[int] = []
    other = threading.Thread(target=lambda: answers.append(app.test_client().get("/users").status_code))
    other.start()
    other.join()
    database.close()
    assert (answers, waits(), vain(), value("app_pool_in_use")) == ([503], 1, 1, idle)


def test_imports_are_counted_by_what_became_of_their_rows() -> None:
    rows = Growth("app_import_rows_total", kind="users", outcome="rejected")
    batches = Growth("app_import_batch_seconds_count", kind="users")
    count_import("users", "rejected", 7)
    IMPORT_BATCH.labels("users").observe(0.2)
    assert (rows(), batches()) == (7, 1)


def test_the_services_own_port_tells_the_metrics_too(client: FlaskClient) -> None:
    answer = client.get("/metrics")
    assert (answer.status_code, answer.mimetype) == (200, "text/plain")
    assert 'app_info{replica="2",version="1.2.3"} 1.0' in answer.text


def lag(services: Services, **more: Callable[[], float]) -> dict[str, float]:
    return {metric.name: metric.samples[0].value for metric in Lag(services, **more).collect()}


def test_the_lag_is_the_age_of_what_waits_longest(stage: Stage, postgres: PostgresServer) -> None:
    services: Services = stage.client.application.extensions["services"]
    assert lag(services) == {"app_clicks_waiting": 0, "app_event_lag_seconds": 0, "app_import_oldest_unfinished_seconds": 0}
    url = stage.url()
    stage.visit(url)
    stage.visit(url)
    with psycopg.connect(postgres.url) as connection:
        added = """
            INSERT INTO import_job (kind, status, created_at)
            VALUES ('users', %s, now() AT TIME ZONE 'UTC' - %s * interval '1 second')
        """
        for age, status in ((900, "done"), (60, "running"), (30, "queued")):
            connection.execute(added, (status, age))
    since = services.clicks.backlog().since
    assert since
    seen = lag(services, now=lambda: since + 5)
    assert (seen["app_clicks_waiting"], seen["app_event_lag_seconds"]) == (2, 5)
    assert 60 <= seen["app_import_oldest_unfinished_seconds"] < 120


def test_a_lag_that_cannot_be_told_is_left_out(stage: Stage, postgres: PostgresServer, redis_server: RedisServer) -> None:
    services: Services = stage.client.application.extensions["services"]
    postgres.kill()
    assert lag(services).keys() == {"app_clicks_waiting", "app_event_lag_seconds"}
    redis_server.kill()
    assert lag(services) == {}


def test_a_worker_process_serves_its_lag_while_it_works_and_a_taken_port_does_not_stop_it(env: dict[str, str]) -> None:
    port = free_port()
    services = Services.of(Settings.of({**env, "APP_METRICS_PORT": str(port)}))
    with served(services), served(services):  # the second finds the port taken
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
        connection.close()
    services.database.pool.close()
    assert "app_event_lag_seconds 0.0" in text
    assert "app_import_rows_total" in text
    with served(Services.of(Settings.of({**env, "APP_METRICS_PORT": "0"}))):
        pass


def test_the_folder_is_emptied_by_a_new_master_and_kept_by_its_reload(tmp_path: Path) -> None:
    env = {folder.PLACE: str(tmp_path / "shared")}
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "counter_1.db").touch()
    assert folder.prepare(env) == tmp_path / "shared"
    assert list((tmp_path / "shared").iterdir()) == []
    (tmp_path / "shared" / "counter_2.db").touch()
    folder.prepare(env)
    assert [file.name for file in (tmp_path / "shared").iterdir()] == ["counter_2.db"]
    folder.remove(env)
    assert not (tmp_path / "shared").exists()


def test_a_folder_that_nobody_named_is_made_in_memory_and_left_by_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    env: dict[str, str] = {}
    with subprocess.Popen(["true"]) as ended:
        pass
    killed = tmp_path / f"app-telemetry-{ended.pid}-x"
    killed.mkdir()
    lives = tmp_path / f"app-telemetry-{os.getpid()}-x"
    lives.mkdir()
    monkeypatch.setattr(folder, "_MEMORY", tmp_path)
    made = folder.prepare(env)
    assert (killed.exists(), lives.exists(), made.parent) == (False, True, tmp_path)
    assert folder.shared(env) == made
    folder.remove({folder.VARIABLE: str(made)})  # not its owner
    assert made.is_dir()
    folder.remove(env)
    assert not made.exists()


def test_where_no_folder_is_shared_nobody_is_buried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(folder.VARIABLE, raising=False)
    exposition.bury(1)


@pytest.mark.parametrize("times", [2, 99])
def test_a_worker_that_is_buried_during_a_scrape_does_not_spoil_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    left = [times]

    def collect(_: MultiProcessCollector) -> list[Metric]:
        left[0] -= 1
        if left[0] >= 0:
            raise FileNotFoundError
        return []

    monkeypatch.setenv(folder.VARIABLE, str(tmp_path))
    monkeypatch.setattr(MultiProcessCollector, "collect", collect)
    if times == 99:
        with pytest.raises(FileNotFoundError):
            generate_latest(exposition.registry())
    else:
        assert b"app_cpu_seconds_total" in generate_latest(exposition.registry())


REDIRECTS = 'http_requests_total{method="GET",route="/users",status="200"}'


def test_the_workers_of_a_replica_are_counted_as_one_and_the_dead_are_not_forgotten(
    make_replica: Callable[..., Replica],
) -> None:
    replica = make_replica()
    for _ in range(40):
        assert replica.status("GET", "/users") == 200
    told = replica.metrics()
    assert told[REDIRECTS] == 40
    assert told['http_request_duration_seconds_count{method="GET",route="/users"}'] == 40
    assert told["app_pool_size"] == 8
    assert told['app_info{replica="2",version="1.2.3"}'] == 1
    assert told["app_resident_memory_bytes"] > 50e6
    assert told["app_cpu_seconds_total"] > 0
    before = replica.workers()
    for pid in before:
        send(pid, signal.SIGKILL)
    assert wait_until(lambda: len(replica.workers() - before) == 2, seconds=60)
    assert wait_until(lambda: replica.status("GET", "/users") == 200, seconds=60)
    # As many pools as processes: what a dead worker held is not in use.
    assert wait_until(lambda: replica.metrics().get("app_pool_size") == 8.0, seconds=60)
    assert replica.metrics()[REDIRECTS] == 41
    assert replica.metrics()["http_requests_in_progress"] == 0
    assert replica.ask("GET", "/metrics")[1].count("http_requests_total{") > 0


def test_the_metrics_answer_while_every_thread_is_busy(make_replica: Callable[..., Replica], postgres: PostgresServer) -> None:
    replica = make_replica(APP_WORKERS="1", APP_THREADS="2", APP_STATEMENT_SECONDS="60")
    assert replica.status("GET", "/users") == 200
    postgres.freeze()
    crew = [threading.Thread(target=lambda: replica.status("GET", "/users")) for _ in range(3)]
    for member in crew:
        member.start()
    assert wait_until(lambda: replica.metrics()["http_requests_in_progress"] == 2, seconds=30)
    postgres.thaw()
    for member in crew:
        member.join()
    assert replica.metrics()["http_requests_in_progress"] == 0


def test_a_replica_that_ended_leaves_nothing_in_memory(make_replica: Callable[..., Replica], tmp_path: Path) -> None:
    replica = make_replica(APP_TELEMETRY_DIR=str(tmp_path / "shared"))
    assert list((tmp_path / "shared").glob("counter_*.db"))
    workers = replica.workers()
    assert replica.end() == 0
    assert not (tmp_path / "shared").exists()
    assert not any(is_alive(pid) for pid in workers)
    assert os.getpid() not in workers
