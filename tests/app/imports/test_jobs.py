"""What a worker makes of jobs: limits, dry runs, several workers, and what is tried again or given up."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from prometheus_client import REGISTRY

from app.ingest import blobs, claims, crew, jobs, progress
from app.ingest.claims import LostError
from app.store.connection import Connection
from tests.app.imports.desk import COUNTS, USERS, Desk, MakeDesk, users
from tests.app.stage import TARGET, Stage
from tests.support.postgres import PostgresServer
from tests.support.processes import wait_until


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches of ten rows."""
    monkeypatch.setattr(jobs, "ROWS", 10)


BAD = "x,y,z\n"


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    ("data", "query", "message", "inserted", "rejected"),
    [
        (users(1, 8) + BAD * 2, {"reject_limit": 2}, None, 8, 2),
        (users(1, 8) + BAD * 2, {"reject_limit": 1}, "more than 1 rows were refused", 0, 2),
        (users(1, 8) + BAD * 2, {"reject_percent": 20}, None, 8, 2),
        (users(1, 8) + BAD * 2, {"reject_percent": 19}, "2 of 10 rows were refused, more than 19 %", 0, 2),
        (users(1, 9) + BAD + users(11, 19) + BAD + users(21, 30), {"reject_limit": 1}, "more than 1 rows were refused", 9, 2),
        (users(1, 10) + BAD * 5 + users(11, 15), {"reject_percent": 25}, None, 15, 5),
        (users(1, 10) + BAD * 6 + users(11, 14), {"reject_percent": 25}, "6 of 20 rows were refused, more than 25 %", 10, 6),
    ],
)
def test_beyond_its_limit_of_rejects_an_import_fails_and_nothing_more_is_written(
    desk: Desk, data: str, query: dict[str, Any], message: str | None, inserted: int, rejected: int
) -> None:
    job = desk.done(USERS + data, **query)
    assert (job["status"], job["inserted"], job["rejected"]) == ("failed" if message else "done", inserted, rejected)
    assert (job["error"] and job["error"]["message"]) == message
    assert desk.rows("SELECT count(*) FROM users") == [(inserted,)]
    listed = desk.rejects(f"/imports/{job['id']}")
    assert len(listed) == rejected
    if message:
        assert job["error"]["line"] in {row["line"] for row in listed}


@pytest.mark.usefixtures("small")
def test_a_dry_run_judges_every_row_and_writes_none(desk: Desk) -> None:
    desk.done(USERS + users(1, 3))
    data = USERS + users(1, 2) + "3,new,new@example.com\n" + users(4, 14) + BAD + "4,user5,user4@example.com\n"
    dry = desk.done(data, dry_run="true")
    assert desk.rows("SELECT count(*), max(id) FROM users") == [(3, 3)]
    assert (dry["status"], dry["rows"], dry["rejected"], dry["unchanged"], dry["updated"]) == ("done", 16, 1, 2, 1)
    assert [row["line"] for row in desk.rejects(f"/imports/{dry['id']}")] == [16]
    assert desk.done(data)["status"] == "done"


def test_of_a_dry_run_that_fits_into_one_batch_the_counts_are_those_of_the_import(desk: Desk) -> None:
    data = USERS + users(1, 5) + "1,user1,user1@example.com\n6,user2,x@example.com\n" + BAD
    dry, wet = desk.done(data, dry_run=1), desk.done(data)
    assert {name: dry[name] for name in ("inserted", "duplicate", "rejected")} == {"inserted": 5, "duplicate": 1, "rejected": 2}
    assert all(dry[name] == wet[name] for name in ("rows", *COUNTS))


def test_a_dry_run_and_a_limit_go_together(desk: Desk) -> None:
    assert desk.done(USERS + users(1, 3) + BAD, dry_run="1", reject_limit=0)["status"] == "failed"
    assert desk.rows("SELECT count(*) FROM users") == [(0,)]


def test_urls_that_an_import_changes_are_followed_to_where_they_lead_now(desk: Desk, stage: Stage) -> None:
    url = stage.url()
    assert stage.visit(url).headers["Location"] == TARGET
    changed = f"id,user_id,short_code,original_url\n{url['id']},{url['user_id']},{url['short_code']},https://example.org/new\n"
    assert desk.done(changed, "urls", dry_run="true")["updated"] == 1
    assert stage.visit(url).headers["Location"] == TARGET
    assert desk.done(changed, "urls")["updated"] == 1
    assert stage.visit(url).headers["Location"] == "https://example.org/new"


@pytest.mark.parametrize("kind", ["users", "urls", "events"])
def test_rows_without_a_time_get_that_of_their_job(desk: Desk, stage: Stage, kind: str) -> None:
    user = stage.user()
    data = {
        "users": "username,email\na,a@example.com\n",
        "urls": f"user_id,original_url\n{user['id']},{TARGET}\n",
        "events": "event_type\nseen\n",
    }
    path = desk.sent(data[kind], kind)
    desk.run("UPDATE import_job SET created_at = '2020-01-02 03:04:05'")
    desk.work()
    assert desk.counts(path) == {"inserted": 1}
    column = "timestamp" if kind == "events" else "created_at"
    assert ("2020-01-02 03:04:05",) in desk.rows(f"SELECT {column}::text FROM {kind}")  # noqa: S608 - of constants


@pytest.mark.usefixtures("small")
def test_an_import_that_is_cancelled_ends_between_two_batches(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    path, advance, turns = desk.sent(USERS + users(1, 50)), claims.advance, [0]

    def cancelled_before_the_third(*arguments: Any, **named: Any) -> None:
        turns[0] += 1
        if turns[0] == 3:
            assert desk.client.post(f"{path}/cancel").status_code == 200
        advance(*arguments, **named)

    monkeypatch.setattr(jobs, "advance", cancelled_before_the_third)
    desk.work()
    job = desk.job(path)
    assert (job["status"], job["inserted"], job["ended_at"] is not None) == ("cancelled", 20, True)
    assert desk.rows("SELECT count(*) FROM users") == [(20,)]


def test_a_job_is_worked_on_by_one_of_many_workers(desk: Desk) -> None:
    paths = [desk.sent(USERS + users(100 * n + 1, 100 * n + 50)) for n in range(6)]
    crew_ = [threading.Thread(target=desk.work) for _ in range(4)]
    for member in crew_:
        member.start()
    for member in crew_:
        member.join()
    assert [desk.counts(path) for path in paths] == [{"inserted": 50}] * 6
    assert {attempts for (attempts,) in desk.rows("SELECT attempts FROM import_job")} == {0}


@pytest.mark.usefixtures("small")
def test_of_two_workers_that_both_believe_to_have_a_job_one_loses_it_and_each_row_counts_once(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, advance, turns = desk.sent(USERS + users(1, 50)), claims.advance, [0]

    def overtaken(*arguments: Any, **named: Any) -> None:
        turns[0] += 1
        if turns[0] == 3:
            desk.hurry()  # as if this worker had been away for long
            assert desk.work() == 1
        advance(*arguments, **named)

    monkeypatch.setattr(jobs, "advance", overtaken)
    desk.work()
    assert desk.counts(path) == {"inserted": 50}
    assert turns[0] == 2 + 1 + 3


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_a_worker_that_is_told_to_end_gives_its_job_back_and_another_goes_on_at_once(
    desk: Desk, pack: Callable[[bytes], bytes]
) -> None:
    path = desk.sent(pack((USERS + users(1, 50)).encode()))
    answers = iter([False, False, True])
    connection = desk.connect()
    assert replace(desk.importer, is_ending=lambda: next(answers)).work(connection)
    connection.close()
    before = desk.job(path)
    assert (before["status"], before["inserted"]) == ("running", 20)
    assert 0 < before["bytes_done"] <= before["bytes"]
    assert desk.work() == 1
    assert desk.counts(path) == {"inserted": 50}


class Passing(psycopg.errors.DiskFull):
    sqlstate = "53100"


def fails(times: int, error: Exception) -> Callable[..., Any]:
    """An import_batch that fails that often."""
    left, real = [times], progress.import_batch

    def batch(*arguments: Any, **named: Any) -> Any:
        outcome = real(*arguments, **named)
        if left[0]:
            left[0] -= 1
            raise error
        return outcome

    return batch


def work_through(desk: Desk, path: str, *, most: int) -> int:
    """Let time pass until the job has ended; how many claims it took."""
    for count in range(1, most + 1):
        assert desk.work() == 1
        if desk.job(path)["ended_at"]:
            return count
        assert desk.work() == 0  # not before its time
        desk.hurry()
    raise AssertionError("it goes on for ever")


@pytest.mark.parametrize("error", [psycopg.errors.UniqueViolation(), psycopg.errors.QueryCanceled(), KeyError("a fault")])
def test_what_fails_for_a_while_is_tried_again_and_loses_nothing(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(jobs, "import_batch", fails(3, error))
    path = desk.sent(USERS + users(1, 5))
    assert work_through(desk, path, most=10) == 4
    assert desk.counts(path) == {"inserted": 5}


def test_a_job_that_always_fails_is_given_up(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "import_batch", fails(1000, KeyError("a fault")))
    path = desk.sent(USERS + users(1, 5))
    assert work_through(desk, path, most=20) == jobs.ATTEMPTS + 1
    error = desk.job(path)["error"]
    assert error == {"code": "gave_up", "line": 2, "message": "6 attempts to import the rows from line 2 on came to nothing"}
    assert desk.rows("SELECT count(*) FROM users") == [(0,)]


@pytest.mark.usefixtures("small")
def test_attempts_count_from_the_last_batch_that_was_written(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    real, calls = progress.import_batch, [0]

    def every_other(*arguments: Any, **named: Any) -> Any:
        calls[0] += 1
        if calls[0] % 2:
            raise KeyError
        return real(*arguments, **named)

    monkeypatch.setattr(jobs, "import_batch", every_other)
    path = desk.sent(USERS + users(1, 100))
    assert work_through(desk, path, most=30) == 11
    assert desk.counts(path) == {"inserted": 100}


def test_troubles_of_the_database_are_waited_for_however_long_they_last(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "import_batch", fails(20, Passing()))
    path = desk.sent(USERS + users(1, 5))
    assert work_through(desk, path, most=30) == 21
    assert desk.counts(path) == {"inserted": 5}


@pytest.mark.parametrize("moment", ["advance", "end", "release"])
def test_a_lease_that_is_lost_at_any_moment_is_no_failure(desk: Desk, monkeypatch: pytest.MonkeyPatch, moment: str) -> None:
    path = desk.sent(USERS + users(1, 5))

    def lost(*_: Any, **__: Any) -> None:
        raise LostError

    with monkeypatch.context() as patched:
        patched.setattr(jobs, moment, lost)
        if moment == "release":
            patched.setattr(jobs, "import_batch", fails(1, KeyError("a fault")))
        assert desk.work() == 1
    desk.hurry()
    desk.work()
    assert desk.counts(path) == {"inserted": 5}


def test_a_file_that_is_dropped_while_it_is_read_ends_the_work(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    path, real = desk.sent(USERS + users(1, 5)), blobs.Source._piece

    def dropped(source: blobs.Source, number: int) -> bytes:
        desk.client.post(f"{path}/cancel")
        desk.sweep()
        return real(source, number)

    monkeypatch.setattr(blobs.Source, "_piece", dropped)
    assert desk.work() == 1
    assert desk.job(path)["status"] == "cancelled"
    assert desk.rows("SELECT count(*) FROM import_blob") == [(0,)]


def test_a_lease_is_renewed_while_a_long_file_is_passed_over(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.ingest.intake.PIECE", 64)
    renewed: list[float] = []

    def watched(*arguments: Any, seconds: float) -> None:
        renewed.append(seconds)
        claims.renew(*arguments, seconds=seconds)

    monkeypatch.setattr(jobs, "renew", watched)
    desk.sent(USERS + users(1, 8000))  # several slices, and so several pieces
    desk.work(replace(desk.importer, lease_seconds=0.001))
    assert len(renewed) > 2


@pytest.mark.usefixtures("small")
def test_a_damaged_pack_fails_after_the_rows_before_the_damage(desk: Desk) -> None:
    job = desk.done(gzip.compress((USERS + users(1, 25)).encode())[:-3])
    assert (job["status"], job["inserted"], job["error"]["code"]) == ("failed", 20, "bad_gzip")


def test_a_pack_that_grows_beyond_the_limit_is_refused(make_desk: MakeDesk) -> None:
    desk = make_desk(APP_MAX_UNPACKED_BYTES="200000")
    job = desk.done(gzip.compress(USERS.encode() + b"\n" * 10_000_000))
    assert (job["status"], job["error"]["code"]) == ("failed", "too_large")


@pytest.mark.parametrize("end", ["done", "failed", "cancelled"])
def test_the_file_of_a_job_that_has_ended_is_dropped(desk: Desk, end: str) -> None:
    path = desk.sent(USERS + (BAD if end == "failed" else ""), reject_limit=0)
    if end == "cancelled":
        desk.client.post(f"{path}/cancel")
    desk.work()
    desk.sweep()
    assert desk.job(path)["status"] == end
    assert desk.rows("SELECT count(*) FROM import_blob") == [(0,)]


def test_what_is_old_is_forgotten_and_what_is_young_is_kept(desk: Desk) -> None:
    old, young = desk.done(USERS + BAD), desk.done(USERS + BAD * 2)
    desk.run("UPDATE import_job SET ended_at = ended_at - interval '8 days' WHERE id = %s", old["id"])
    waiting = desk.sent(USERS)
    desk.run(
        "INSERT INTO import_job (kind, status, created_at, lease_until) VALUES"
        " ('users', 'receiving', now(), now() - interval '1 second'), ('users', 'receiving', now(), now() + interval '1 hour')"
    )
    assert (desk.sweep(), desk.sweep()) == (2, 0)
    kept = {str(job) for (job,) in desk.rows("SELECT id FROM import_job WHERE status <> 'receiving'")}
    assert kept == {young["id"], waiting.removeprefix("/imports/")}
    assert desk.rows("SELECT count(*) FROM import_job WHERE status = 'receiving'") == [(1,)]
    assert desk.rows("SELECT count(*) FROM import_reject") == [(2,)]


def test_a_crew_goes_on_after_an_outage_and_ends_when_it_is_told(
    desk: Desk, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("POLL_SECONDS", "REST_SECONDS", "SWEEP_SECONDS"):
        monkeypatch.setattr(crew, name, 0.01)
    ending, opened = threading.Event(), [0]

    def connect() -> Connection:
        opened[0] += 1
        return desk.connect()

    at_work = threading.Thread(target=crew.run, args=(desk.importer, connect), kwargs={"days": 7, "ending": ending})
    at_work.start()
    try:
        first = desk.sent(USERS + users(1, 5))
        assert wait_until(lambda: desk.job(first)["status"] == "done", seconds=20)
        postgres.kill()
        assert wait_until(lambda: opened[0] > 1, seconds=20)
        postgres.start()
        second = wait_for(lambda: desk.send(USERS + users(6, 9)))
        assert wait_until(lambda: desk.job(second)["status"] == "done", seconds=20)
    finally:
        ending.set()
        at_work.join(timeout=60)
    assert not at_work.is_alive()


def wait_for(send: Callable[[], Any]) -> str:
    answers: list[Any] = []

    def sent() -> bool:
        answers.append(send())
        return bool(answers[-1].status_code == 202)

    assert wait_until(sent, seconds=20)
    return str(answers[-1].headers["Location"])


def test_forgetting_happens_before_the_change_is_visible(desk: Desk, stage: Stage) -> None:
    url = stage.url()
    seen: list[tuple[list[str], str]] = []

    def forget(codes: Iterable[str]) -> None:
        seen.append((list(codes), desk.rows("SELECT original_url FROM urls")[0][0]))

    desk.sent(f"id,user_id,short_code,original_url\n{url['id']},{url['user_id']},,https://example.org/new\n", "urls")
    desk.work(replace(desk.importer, forget=forget))
    assert [(set(codes), target) for codes, target in seen] == [({url["short_code"]}, TARGET)]


def test_rows_are_counted_by_what_became_of_them_and_those_of_a_dry_run_are_not(desk: Desk) -> None:
    def counted() -> dict[str, float]:
        found = {name: REGISTRY.get_sample_value("app_import_rows_total", {"kind": "users", "outcome": name}) for name in COUNTS}
        return {name: number or 0.0 for name, number in found.items()}

    desk.done(USERS + users(1, 3))
    before = counted()
    desk.done(USERS + users(2, 7) + BAD, dry_run="true")
    desk.done(USERS + users(2, 7) + BAD)
    after = counted()
    assert {name: after[name] - before[name] for name in COUNTS} == {
        "inserted": 4, "updated": 0, "unchanged": 2, "duplicate": 0, "rejected": 1,
    }  # fmt: skip


def test_after_the_largest_id_of_a_file_the_service_still_has_ids_to_give(desk: Desk) -> None:
    desk.done("id,username,email\n2000000000,last,last@example.com\n2000000001,beyond,beyond@example.com\n")
    assert desk.rows("SELECT id FROM users") == [(2_000_000_000,)]
    answer = desk.client.post("/users", json={"username": "next", "email": "next@example.com"})
    assert (answer.status_code, answer.get_json()["id"]) == (201, 2_000_000_001)
