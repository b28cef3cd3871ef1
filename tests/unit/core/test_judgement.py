"""When a revision is proven, when it is bad, and when nothing can be said yet."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from controller.core.judgement import Judgement, Look, began, failures, is_overlooked, judge, running, sortable, wanted_replicas
from controller.core.rollout import Turn
from controller.model.policy import RollbackPolicy
from controller.model.spec import Json
from tests.support.specs import body, live

SECOND = 1_000_000_000
POLICY = RollbackPolicy(deadline=timedelta(seconds=60), min_healthy=timedelta(seconds=10))
BEGAN, EARLIER, LATER = "2026-01-01T00:00:10.5Z", "2026-01-01T00:00:10.25Z", "2026-01-01T00:00:10.75Z"
NODES = [{"ID": "n1", "Status": {"State": "ready"}}]
NOTHING = Judgement()
PROVEN = Judgement(Turn.PROVEN, "all replicas up for 10 s")


def web(
    replicas: int = 2,
    *,
    state: str = "",
    updates: Json | None = None,
    task: Json | None = None,
    container: Json | None = None,
    mode: Json | None = None,
) -> Json:
    spec = body(
        Mode=mode or {"Replicated": {"Replicas": replicas}},
        UpdateConfig=updates or {},
        task=task or {},
        container=container or {},
    )
    found = live(spec, UpdatedAt=BEGAN)
    return {**found, "UpdateStatus": {"State": state, "StartedAt": BEGAN, "Message": "told"}} if state else found


def task(
    service: Json,
    slot: int,
    state: str = "running",
    *,
    wanted: str = "running",
    error: str = "",
    made: str = LATER,
    ident: str = "",
) -> Json:
    return {
        "ID": ident or f"{slot}-{state}-{made}",
        "Slot": slot,
        "NodeID": "n1",
        "CreatedAt": made,
        "DesiredState": wanted,
        "Spec": service["Spec"]["TaskTemplate"],
        "Status": {"State": state, "Timestamp": made, **({"Err": error} if error else {"Message": f"is {state}"})},
    }


def failed(service: Json, slot: int, *, nth: int = 1, error: str = "task: non-zero exit (1)", state: str = "failed") -> Json:
    made = LATER.replace("75", f"8{nth}")
    return task(service, slot, state, wanted="shutdown", error=error, made=made, ident=f"{slot}-{state}-{nth}")


def look(service: Json, *tasks: Json, healthy: float = 0.0, idle: float = 0.0) -> Look:
    return Look(service, tasks, NODES, POLICY, healthy_for=healthy, idle_for=idle)


def up(service: Json, count: int) -> list[Json]:
    return [task(service, slot) for slot in range(1, count + 1)]


# Proven


@pytest.mark.parametrize(("seconds", "expected"), [(9.9, NOTHING), (10.0, PROVEN)])
def test_it_is_proven_once_all_replicas_were_up_for_long_enough(seconds: float, expected: Judgement) -> None:
    service = web()
    assert judge(look(service, *up(service, 2)).at(healthy_for=seconds, idle_for=0.0)) == expected
    assert judge(look(web(state="completed"), *up(service, 2), healthy=seconds)) == expected


def test_it_is_not_proven_while_a_replica_is_missing_or_swarm_is_at_work_or_a_question_open() -> None:
    service = web()
    whole = look(service, *up(service, 2), healthy=100)

    assert judge(replace(whole, tasks=up(service, 1))) == NOTHING
    assert judge(replace(whole, live=web(state="updating"))) == NOTHING
    assert judge(replace(whole, live=web(state="rollback_started"))) == NOTHING
    assert judge(replace(whole, is_conclusive=False)) == NOTHING
    assert judge(replace(whole, is_proven=True)) == NOTHING
    assert judge(whole) == PROVEN


def test_only_tasks_of_its_own_spec_on_nodes_that_are_there_are_replicas() -> None:
    service, other = web(), web(container={"Env": ["A=1"]})
    assert running(look(service, *up(service, 2))) == 2
    assert running(look(other, *up(service, 2))) == 0
    assert running(Look(service, up(service, 2), [{"ID": "n1", "Status": {"State": "down"}}], POLICY)) == 0


@pytest.mark.parametrize("condition", ["none", "on-failure"])
def test_a_task_that_may_end_and_ended_well_is_a_replica_and_no_failure(condition: str) -> None:
    service = web(task={"RestartPolicy": {"Condition": condition}})
    done = [task(service, 1, "complete", wanted="shutdown"), task(service, 2, "complete", wanted="shutdown", ident="x")]

    assert judge(look(service, *done, healthy=10)) == PROVEN
    assert failures(look(service, *done)) == []
    assert judge(look({**service, "UpdateStatus": {"State": "paused"}, "UpdatedAt": BEGAN}, *done, healthy=10)) == PROVEN
    old = [task(service, 1, "complete", made=EARLIER), task(web(), 2, "complete")]
    assert running(look(service, *old[:1])) == 0


def test_a_task_that_should_run_on_and_ended_is_a_failure() -> None:
    service = web(task={"RestartPolicy": {"Condition": "any"}})
    ended = task(service, 1, "complete", wanted="shutdown")
    assert failures(look(service, ended)) == [ended]
    assert judge(look(service, ended)).turn is Turn.FOUND_BAD


# Paused, measured


@pytest.mark.parametrize("state", ["paused", "rollback_paused"])
def test_an_update_that_swarm_paused_is_bad(state: str) -> None:
    service = web(state=state)
    assert judge(look(service, *up(service, 1))) == Judgement(Turn.FOUND_BAD, "its update is paused: told")
    assert judge(look(service, *up(service, 2), failed(service, 1, error="boom"))) == Judgement(
        Turn.FOUND_BAD, "its update is paused: task 1 failed: boom"
    )


@pytest.mark.parametrize("state", ["", "updating", "completed"])
@pytest.mark.parametrize("is_proven", [True, False])
def test_what_measurements_say_counts_at_once(state: str, is_proven: bool) -> None:
    service = web(state=state)
    bad = replace(look(service, *up(service, 2)), evidence=("one", "two"), is_proven=is_proven)
    assert judge(bad) == Judgement(Turn.FOUND_BAD, "one; two")


# Failures


def test_a_single_failure_is_one_too_many_until_it_is_proven() -> None:
    service = web()
    seen = look(service, *up(service, 2), failed(service, 1), healthy=100)
    assert judge(seen) == Judgement(Turn.FOUND_BAD, "1 of its tasks failed: task 1 failed: task: non-zero exit (1)")
    assert judge(replace(seen, is_proven=True)) == NOTHING


def test_of_a_task_that_left_without_an_error_it_is_told_how_it_ended() -> None:
    service = web()
    ended = [task(service, 1, "complete"), task(service, 2, "complete", made=BEGAN)]
    assert judge(look(service, *ended)).why == "2 of its tasks failed: task 1 complete: is complete"


@pytest.mark.parametrize("state", ["updating", "rollback_started"])
def test_while_swarm_is_at_work_failures_are_its_own_to_judge(state: str) -> None:
    service = web(state=state)
    assert judge(look(service, failed(service, 1), failed(service, 2))) == NOTHING


@pytest.mark.parametrize(
    ("state", "updates", "seconds", "is_bad"),
    [
        ("updating", {}, 1.0, True),
        ("updating", {}, 0.9, False),
        ("updating", {"FailureAction": "rollback"}, 1.0, True),
        ("updating", {"FailureAction": "continue"}, 1.0, False),
        ("updating", {"MaxFailureRatio": 0.5}, 1.0, False),
        ("rollback_started", {}, 1.0, False),
    ],
)
def test_what_fails_while_swarm_is_at_work_and_does_not_stop_it_counts(
    state: str, updates: Json, seconds: float, is_bad: bool
) -> None:
    service = web(state=state, updates=updates)
    seen = look(service, task(service, 2), failed(service, 1))
    assert is_overlooked(seen) is (is_bad or seconds < 1.0)
    lasting = seconds if is_overlooked(seen) else 0.0
    assert (judge(replace(seen, overlooked_for=lasting)).turn is Turn.FOUND_BAD) is is_bad


@pytest.mark.parametrize(("ratio", "count", "is_bad"), [(0.25, 1, False), (0.25, 2, True), (0.0, 1, True), (0.24, 1, True)])
def test_as_many_may_fail_as_the_file_allows(ratio: float, count: int, is_bad: bool) -> None:
    service = web(4, updates={"MaxFailureRatio": ratio})
    tasks = [failed(service, slot) for slot in range(1, count + 1)]
    assert (judge(look(service, *up(service, 4), *tasks)).turn is Turn.FOUND_BAD) is is_bad


@pytest.mark.parametrize("state", ["failed", "rejected", "orphaned"])
def test_only_what_ended_by_itself_since_the_write_is_a_failure(state: str) -> None:
    service, other = web(), web(container={"Env": ["A=1"]})
    own = failed(service, 1, state=state)
    stopped = task(service, 1, "shutdown", wanted="shutdown")
    of_before = task(service, 1, state, made=EARLIER)
    of_another = failed(other, 1, state=state)
    assert failures(look(service, own, stopped, of_before, of_another, *up(service, 1))) == [own]


LENIENT = {
    "one slot, once": ([(1, 1)], 1, False),
    "one slot, twice, and all are up again": ([(1, 1), (1, 2)], 3, False),
    "one slot, twice": ([(1, 1), (1, 2)], 2, True),
    "two of three slots": ([(1, 1), (2, 1)], 1, False),
    "every slot": ([(1, 1), (2, 1), (3, 1)], 0, True),
    "every slot, and all are up again": ([(1, 1), (2, 1), (3, 1)], 3, False),
}


@pytest.mark.parametrize("name", LENIENT)
def test_a_proven_revision_is_bad_when_a_slot_fails_again_or_every_slot_failed(name: str) -> None:
    slots, running_now, expected = LENIENT[name]
    service = web(3)
    seen = look(service, *up(service, running_now), *(failed(service, slot, nth=nth) for slot, nth in slots))
    assert (judge(replace(seen, is_proven=True)).turn is Turn.FOUND_BAD) is expected


@pytest.mark.parametrize("updates", [{"FailureAction": "continue"}, {}])
def test_where_failures_are_to_be_overcome_only_a_slot_that_fails_again_counts(updates: Json) -> None:
    """As `failure_action: continue` says, and where nothing is left to go back to."""
    service = web(2, updates=updates)
    once = replace(look(service, failed(service, 1), failed(service, 2)), is_last=not updates)
    assert judge(once) == NOTHING
    assert judge(replace(once, tasks=[*once.tasks, failed(service, 2, nth=2)])).turn is Turn.FOUND_BAD


def test_of_a_proven_single_replica_the_second_failure_counts() -> None:
    service = web(1)
    seen = replace(look(service, failed(service, 1)), is_proven=True)
    assert judge(seen) == NOTHING
    assert judge(replace(seen, tasks=[*seen.tasks, failed(service, 1, nth=2)])).turn is Turn.FOUND_BAD


def test_slots_of_a_global_service_are_its_nodes() -> None:
    service = {**web(mode={"Global": {}}), "ServiceStatus": {"DesiredTasks": 2}}
    on = [{**failed(service, 0, nth=nth), "Slot": 0, "NodeID": node} for nth, node in ((1, "n1"), (2, "n2"))]
    seen = replace(look(service, *on), is_last=True)
    assert judge(seen) == NOTHING
    assert judge(replace(seen, tasks=[*on, {**failed(service, 0, nth=3), "NodeID": "n2"}])).why.endswith(
        "task n2 failed: task: non-zero exit (1)"
    )


def test_more_failures_than_the_file_allows_are_needed_of_a_proven_one_too() -> None:
    service = web(8, updates={"MaxFailureRatio": 0.25})
    seen = replace(look(service, failed(service, 1, nth=1), failed(service, 1, nth=2)), is_proven=True)
    assert judge(seen) == NOTHING
    assert judge(replace(seen, tasks=[*seen.tasks, failed(service, 1, nth=3)])).turn is Turn.FOUND_BAD


# The deadline


@pytest.mark.parametrize("state", ["", "updating", "completed"])
@pytest.mark.parametrize(("idle", "is_bad"), [(59.9, False), (60.0, True)])
def test_without_progress_for_the_deadline_it_is_bad(state: str, idle: float, is_bad: bool) -> None:
    service = web(state=state)
    waiting = task(service, 2, "pending", error="no suitable node")
    judged = judge(look(service, *up(service, 1), waiting, idle=idle))
    assert judged == (Judgement(Turn.FOUND_BAD, "no progress for 60 s: task 2 pending: no suitable node") if is_bad else NOTHING)


def test_where_no_replica_is_missing_there_is_no_deadline() -> None:
    service = web(state="updating")
    assert judge(look(service, *up(service, 2), idle=1000)) == NOTHING


def test_what_stands_still_is_told_in_words() -> None:
    service = web()
    assert judge(look(service, idle=60)).why == "no progress for 60 s: 0 of 2 replicas run"
    newest = task(service, 2, "preparing", made="2026-01-01T00:00:12Z")
    seen = look(service, task(service, 1, "pending"), newest, idle=60)
    assert judge(seen).why == "no progress for 60 s: task 2 preparing: is preparing"
    assert judge(replace(seen, is_last=True, tasks=[*seen.tasks, failed(service, 1)])).why.endswith("non-zero exit (1)")
    silent = replace(seen, is_last=True, tasks=[newest, failed(service, 1, error="")])
    assert judge(silent).why == "no progress for 60 s: task 2 preparing: is preparing"


def test_between_two_steps_the_declared_delay_is_waited_out() -> None:
    service = web(state="updating", updates={"Delay": 90 * SECOND})
    seen = look(service, *up(service, 1), idle=149.9)
    assert judge(seen) == NOTHING
    assert judge(replace(seen, idle_for=150.0)).turn is Turn.FOUND_BAD
    stuck = replace(seen, tasks=[*seen.tasks, task(service, 2, "preparing")], idle_for=60.0)
    assert judge(stuck).turn is Turn.FOUND_BAD  # it is no delay that it waits for
    rests = web(updates={"Delay": 90 * SECOND})
    assert judge(look(rests, *up(rests, 1), idle=60)).turn is Turn.FOUND_BAD


def test_a_task_has_the_time_to_become_healthy_that_its_check_gives() -> None:
    service = web(state="updating", container={"Healthcheck": {"Test": ["CMD", "x"], "StartPeriod": 100 * SECOND}})
    seen = look(service, *up(service, 1), task(service, 2, "starting"), idle=159.9)
    assert judge(seen) == NOTHING
    assert judge(replace(seen, idle_for=160.0)).turn is Turn.FOUND_BAD
    unchecked = web(state="updating")
    assert judge(look(unchecked, task(unchecked, 2, "starting"), idle=60)).turn is Turn.FOUND_BAD


def test_the_restart_delay_is_waited_out() -> None:
    service = web(task={"RestartPolicy": {"Delay": 100 * SECOND}})
    seen = replace(look(service, *up(service, 1), task(service, 2, "ready", wanted="ready"), idle=159.9), is_proven=True)
    assert judge(seen) == NOTHING
    assert judge(replace(seen, idle_for=160.0)).turn is Turn.FOUND_BAD


def test_a_task_that_is_to_stop_is_not_waited_for() -> None:
    service = web(container={"Healthcheck": {"StartPeriod": 100 * SECOND}})
    stopping = task(service, 2, "starting", wanted="shutdown")
    assert judge(look(service, *up(service, 1), stopping, idle=60)).why == "no progress for 60 s: 1 of 2 replicas run"


# Words


def test_no_secret_that_an_error_quotes_is_told() -> None:
    service = web()
    error = 'exec: "run --password=S3CR3T": executable file not found'
    told = [
        judge(look(service, failed(service, 1, error=error))),
        judge(look(web(state="paused"), failed(service, 1, error=error))),
        judge(look(service, task(service, 1, "pending", error=error), idle=60)),
    ]
    assert all(judgement.turn is Turn.FOUND_BAD and "S3CR3T" not in judgement.why for judgement in told)


# Facts


def test_times_of_the_engine_are_compared_to_the_last_digit() -> None:
    stamps = ["2026-01-01T00:00:10Z", "2026-01-01T00:00:10.1Z", "2026-01-01T00:00:10.12Z", "2026-01-01T00:00:10.2Z"]
    assert sorted(stamps, key=sortable) == stamps
    assert sortable(None) == ""
    assert began(web(state="updating")) == began(web()) == sortable(BEGAN)


def test_replicas_are_asked_for_by_mode() -> None:
    assert wanted_replicas(web(3)) == 3
    assert wanted_replicas(web(0)) == 0
    assert wanted_replicas({"Spec": {"Mode": {"Replicated": None}}}) == 1
    assert wanted_replicas({**web(mode={"Global": {}}), "ServiceStatus": {"DesiredTasks": 4}}) == 4
    assert wanted_replicas({"Spec": {}}) == 0
