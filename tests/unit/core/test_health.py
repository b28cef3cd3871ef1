"""Sync and health of a service, from one snapshot."""

from __future__ import annotations

from typing import Any

import pytest

from controller.core.health import is_converged, may_be_depended_on, service_status
from controller.core.replicas import current_tasks, replica_counts
from controller.model.observation import Snapshot
from controller.model.plan import Action, Notice, ObjectKind, Reason, Verb
from controller.model.spec import Json
from controller.model.status import Health, ServiceStatus, Sync
from tests.support.specs import body, live, service, snapshot

WEB = service()
ACTION = Action(Verb.UPDATE, ObjectKind.SERVICE, "shop_web", Reason.DRIFT)


def seen(*, running: int = 1, desired: int = 1, mode: dict[str, Any] | None = None, **parts: Any) -> Json:
    status = {"RunningTasks": running, "DesiredTasks": desired, "CompletedTasks": parts.pop("completed", 0)}
    return live(body(Mode=mode or {"Replicated": {"Replicas": desired}}), ServiceStatus=status, **parts)


def status(found: Json | None, *, action: Action | None = None, notice: Notice | None = None, **parts: Any) -> ServiceStatus:
    return service_status(WEB, snapshot(*([found] if found else [])), action, notice, **parts)


def notice(reason: Reason) -> Notice:
    return Notice(ObjectKind.SERVICE, "shop_web", reason, "for a reason")


def test_a_service_as_declared_with_all_replicas_is_synced_and_healthy() -> None:
    assert status(seen(running=3, desired=3)) == ServiceStatus("shop_web", Sync.SYNCED, Health.HEALTHY, 3, 3)


def test_a_service_that_is_not_there_is_missing() -> None:
    assert status(None, action=ACTION) == ServiceStatus("shop_web", Sync.OUT_OF_SYNC, Health.MISSING, 0, 0, "is not there")
    assert status(None, notice=notice(Reason.WAITS)).message == "for a reason"


@pytest.mark.parametrize(
    ("action", "told", "expected"),
    [
        (None, None, Sync.SYNCED),
        (ACTION, None, Sync.OUT_OF_SYNC),
        (None, Reason.DRIFT_REPORTED, Sync.OUT_OF_SYNC),
        (None, Reason.PAUSED, Sync.OUT_OF_SYNC),
        (None, Reason.DRIFT_IGNORED, Sync.SYNCED),
        (None, Reason.UNKNOWN_CONTENT, Sync.SYNCED),
    ],
)
def test_sync_says_whether_anything_differs_that_counts(action: Action | None, told: Reason | None, expected: Sync) -> None:
    assert status(seen(), action=action, notice=notice(told) if told else None).sync is expected


@pytest.mark.parametrize(
    ("state", "expected", "message"),
    [
        ("updating", Health.PROGRESSING, "updating: in progress"),
        ("rollback_started", Health.PROGRESSING, "rollback started: in progress"),
        ("paused", Health.DEGRADED, "its update is paused: in progress"),
        ("rollback_paused", Health.DEGRADED, "its rollback is paused: in progress"),
        ("completed", Health.HEALTHY, ""),
        ("rollback_completed", Health.HEALTHY, ""),
    ],
)
def test_swarms_updater_decides_before_the_counts(state: str, expected: Health, message: str) -> None:
    found = status(seen(UpdateStatus={"State": state, "Message": "in progress"}))

    assert (found.health, found.message) == (expected, message)


@pytest.mark.parametrize(
    ("running", "desired", "expected"),
    [(1, 3, Health.PROGRESSING), (4, 3, Health.HEALTHY), (0, 0, Health.SUSPENDED), (2, 0, Health.PROGRESSING)],
)
def test_replicas_that_lack_are_progress_and_none_asked_for_is_a_state(running: int, desired: int, expected: Health) -> None:
    assert status(seen(running=running, desired=desired)).health is expected


def test_a_paused_service_is_suspended_whatever_it_does() -> None:
    found = status(seen(running=0, desired=3, UpdateStatus={"State": "updating"}), paused=True)

    assert (found.health, found.message) == (Health.SUSPENDED, "paused")


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ({"ReplicatedJob": {"MaxConcurrent": 1, "TotalCompletions": 5}}, (5, 5)),
        ({"ReplicatedJob": {}}, (5, 1)),
        ({"GlobalJob": {}}, (5, 7)),
        ({"Global": {}}, (5, 7)),
        ({"Replicated": {"Replicas": 2}}, (5, 2)),
    ],
)
def test_finished_tasks_of_a_job_count_and_each_mode_knows_what_it_wants(mode: dict[str, Any], expected: tuple[int, int]) -> None:
    found = {**seen(running=3, completed=2, desired=7), "Spec": {**body(), "Mode": mode}}

    assert replica_counts(found, snapshot(found)) == expected


def test_a_completed_job_is_healthy() -> None:
    job = {"ReplicatedJob": {"MaxConcurrent": 1, "TotalCompletions": 2}}

    assert status(seen(running=0, completed=2, desired=0, mode=job)).health is Health.HEALTHY


def test_a_live_service_without_status_or_mode_counts_nothing() -> None:
    bare = {"ID": "x", "Spec": {"Name": "shop_web"}}

    assert replica_counts(bare, snapshot(bare)) == (0, 0)
    assert status(bare).health is Health.HEALTHY


# Tasks, where a decision asked for them.

_LIVE = live(body(Mode={"Replicated": {"Replicas": 2}}), ident="web")
_NODES = [{"ID": "n1", "Status": {"State": "ready"}}, {"ID": "n2", "Status": {"State": "down"}}]


def task(**parts: Any) -> dict[str, Any]:
    spec = {**_LIVE["Spec"]["TaskTemplate"], **parts.pop("spec", {})}
    return {"NodeID": "n1", "DesiredState": "running", "Status": {"State": "running"}, "Spec": spec, **parts}


_COUNTED = {
    "that runs": (task(), True),
    "that starts": (task(Status={"State": "starting"}), False),
    "that is to stop": (task(DesiredState="shutdown"), False),
    "on a node that is down": (task(NodeID="n2"), False),
    "of an older image": (task(spec={"ContainerSpec": {"Image": "nginx:0"}}), False),
    "from before a forced restart": (task(spec={"ForceUpdate": 3}), False),
    "with an older log driver": (task(spec={"LogDriver": {"Name": "syslog"}}), False),
    "whose placement alone is older": (task(spec={"Placement": {"Constraints": ["a==b"]}}), True),
    "without anything": ({}, False),
}


@pytest.mark.parametrize(("found", "counts"), _COUNTED.values(), ids=_COUNTED.keys())
def test_a_replica_is_a_task_of_the_current_spec_that_runs_on_a_ready_node(found: Json, *, counts: bool) -> None:
    assert current_tasks(_LIVE, [found], _NODES) == ([found] if counts else [])


def test_without_a_list_of_nodes_every_node_counts() -> None:
    assert len(current_tasks(_LIVE, [task(NodeID="n9")], [])) == 1


def test_tasks_are_trusted_more_than_the_engines_count() -> None:
    found = {**_LIVE, "ServiceStatus": {"RunningTasks": 2, "DesiredTasks": 2}}
    looked = Snapshot((1, 47), {"shop_web": found}, {}, {}, {}, _NODES, {"web": [task(), task(NodeID="n2")]})

    assert replica_counts(found, looked) == (1, 2)
    assert replica_counts(found, Snapshot((1, 47), {"shop_web": found}, {}, {}, {}, _NODES, {})) == (0, 2)


@pytest.mark.parametrize("health", list(Health))
def test_healthy_and_suspended_are_where_a_wait_ends(health: Health) -> None:
    found = ServiceStatus("shop_web", Sync.SYNCED, health, 0, 0)

    assert is_converged(found) == (health in (Health.HEALTHY, Health.SUSPENDED))


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (None, False),
        (seen(running=2, desired=2), True),
        (seen(running=1, desired=2), False),
        (seen(running=1, desired=2, UpdateStatus={"State": "updating"}), True),
        (seen(running=0, desired=2, UpdateStatus={"State": "updating"}), False),
        (seen(running=0, desired=0), True),
    ],
)
def test_others_may_follow_a_service_that_runs_or_is_being_updated_under_load(found: Json | None, *, expected: bool) -> None:
    assert may_be_depended_on(WEB, snapshot(*([found] if found else []))) == expected
