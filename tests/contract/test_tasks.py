"""A service's tasks: where they run, when they do not, and what follows their end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.contract.target import MISSING_IMAGE, SECOND, Target


def _words(task: dict[str, Any]) -> tuple[str, str, str]:
    return task["Status"]["State"], task["DesiredState"], task["Status"].get("Err", "")


def _fresh_each(delay: int) -> dict[str, Any]:
    return {"RestartPolicy": {"Condition": "any", "Delay": delay}}


@contextmanager
def _availability(swarm: Target, word: str) -> Iterator[None]:
    node_id = swarm.must("GET", "/nodes")[0]["ID"]

    def put(availability: str) -> None:
        node = swarm.must("GET", f"/nodes/{node_id}")
        spec = {**node["Spec"], "Availability": availability}
        swarm.must("POST", f"/nodes/{node_id}/update?version={node['Version']['Index']}", spec)

    put(word)
    try:
        yield
    finally:
        put("active")


def test_replicas_run_in_slots_from_one_up(swarm: Target) -> None:
    tasks = swarm.start(swarm.spec("s", replicas=3))
    assert [task["Slot"] for task in tasks] == [1, 2, 3]
    assert {task["Status"]["Message"] for task in tasks} == {"started"}
    assert all(task["NodeID"] and task["Status"]["ContainerStatus"]["ContainerID"] for task in tasks)
    assert swarm.status("s") == {"RunningTasks": 3, "DesiredTasks": 3, "CompletedTasks": 0}


def test_a_scale_up_adds_tasks_and_a_scale_down_takes_some_away(swarm: Target) -> None:
    [first] = swarm.start(swarm.spec("s", replicas=1))
    swarm.update(swarm.spec("s", replicas=3))
    three = swarm.wait(lambda: swarm.running("s"), lambda tasks: len(tasks) == 3)
    assert first["ID"] in {task["ID"] for task in three}
    swarm.update(swarm.spec("s", replicas=0))
    swarm.wait(lambda: swarm.tasks("s"), lambda tasks: not tasks)
    assert swarm.status("s") == {"RunningTasks": 0, "DesiredTasks": 0, "CompletedTasks": 0}


def test_a_removed_services_tasks_go_with_it(swarm: Target) -> None:
    [task] = swarm.start(swarm.spec("s", replicas=1))
    swarm.must("DELETE", "/services/s")
    assert swarm.call("GET", "/services/s").status == 404
    swarm.wait(lambda: swarm.call("GET", f"/tasks/{task['ID']}").status, lambda status: status == 404)


def test_a_global_service_runs_once_on_each_node_and_its_tasks_have_no_slot(swarm: Target) -> None:
    swarm.create(swarm.spec("s", Mode={"Global": {}}))
    [task] = swarm.wait(lambda: swarm.running("s"), lambda tasks: len(tasks) == 1)
    assert "Slot" not in task
    assert swarm.status("s") == {"RunningTasks": 1, "DesiredTasks": 1, "CompletedTasks": 0}


@pytest.mark.parametrize(
    ("template", "endpoint", "fits", "reason"),
    [
        ({"Placement": {"Constraints": ["node.labels.none==1"]}}, {}, 0, "scheduling constraints not satisfied on 1 node"),
        ({"Placement": {"Constraints": ["foo==bar"]}}, {}, 0, "scheduling constraints not satisfied on 1 node"),
        ({"Resources": {"Reservations": {"MemoryBytes": 1 << 50}}}, {}, 0, "insufficient resources on 1 node"),
        ({"Placement": {"MaxReplicas": 1}}, {}, 1, "max replicas per node limit exceed"),
        (
            {},
            {"Ports": [{"TargetPort": 80, "PublishedPort": 8075, "PublishMode": "host"}]},
            1,
            "host-mode port already in use on 1 node",
        ),
    ],
    ids=["constraint", "unknown-key", "memory", "max-replicas", "host-port"],
)
def test_a_task_that_fits_nowhere_stays_pending_and_says_why(
    swarm: Target, template: dict[str, Any], endpoint: dict[str, Any], fits: int, reason: str
) -> None:
    swarm.create(swarm.spec("s", replicas=2, template=template, EndpointSpec=endpoint))
    swarm.wait(lambda: swarm.running("s"), lambda tasks: len(tasks) == fits)
    told = swarm.wait(
        lambda: [_words(task) for task in swarm.tasks("s") if _words(task)[2]],
        lambda words: len(words) == 2 - fits,
    )
    assert set(told) == {("pending", "running", f"no suitable node ({reason})")}


def test_a_constraint_that_the_node_meets_lets_the_task_run(swarm: Target) -> None:
    met = ["node.role == manager", "node.role!=worker", "node.platform.os==linux", "node.labels.none!=1", "NODE.ROLE==MANAGER"]
    for number, constraint in enumerate(met):
        swarm.create(swarm.spec(f"s{number}", replicas=1, template={"Placement": {"Constraints": [constraint]}}))
    for number in range(len(met)):
        swarm.wait(lambda: swarm.running(f"s{number}"), bool)  # noqa: B023 - called at once


def test_a_drained_node_loses_its_tasks_and_gets_new_ones_when_it_is_back(swarm: Target) -> None:
    [before] = swarm.start(swarm.spec("s", replicas=1))
    with _availability(swarm, "drain"):
        pending = swarm.wait(
            lambda: [t for t in swarm.tasks("s") if _words(t)[2].startswith("no suitable")], lambda tasks: len(tasks) == 1
        )
        assert _words(pending[0])[2] == "no suitable node (1 node not available for new tasks)"
        gone = swarm.wait(lambda: swarm.must("GET", f"/tasks/{before['ID']}"), lambda t: t["Status"]["State"] == "shutdown")
        assert gone["DesiredState"] == "shutdown"
    [after] = swarm.wait(lambda: swarm.running("s"), lambda tasks: len(tasks) == 1)
    assert after["ID"] == pending[0]["ID"]


def test_a_paused_node_keeps_its_tasks_and_takes_no_more(swarm: Target) -> None:
    [before] = swarm.start(swarm.spec("s", replicas=1))
    with _availability(swarm, "pause"):
        swarm.update(swarm.spec("s", replicas=2))
        swarm.wait(lambda: [t for t in swarm.tasks("s") if _words(t)[2].startswith("no suitable")], lambda tasks: len(tasks) == 1)
        assert [task["ID"] for task in swarm.running("s")] == [before["ID"]]
    swarm.wait(lambda: swarm.running("s"), lambda tasks: len(tasks) == 2)


def test_a_failed_task_is_replaced_after_its_delay_and_its_slot_keeps_five(swarm: Target) -> None:
    swarm.create(swarm.spec("s", replicas=1, args=["false"], template=_fresh_each(SECOND // 5)))
    seen: dict[str, dict[str, Any]] = {}

    def look() -> int:
        tasks = swarm.tasks("s")
        seen.update({task["ID"]: task for task in tasks})
        assert len(tasks) <= 6  # the sixth goes a moment after it is one too many
        return len(seen)

    swarm.wait(look, lambda count: count >= 7)
    ended = [task for task in seen.values() if task["Status"]["State"] == "failed"]
    assert {_words(task)[1:] for task in ended} == {("shutdown", "task: non-zero exit (1)")}
    assert {task["Status"]["ContainerStatus"]["ExitCode"] for task in ended} == {1}
    assert {task["Slot"] for task in seen.values()} == {1}


@pytest.mark.parametrize(("condition", "args", "last"), [("none", "false", "failed"), ("on-failure", "true", "complete")])
def test_a_restart_policy_can_leave_it_at_that(swarm: Target, condition: str, args: str, last: str) -> None:
    swarm.create(swarm.spec("s", replicas=1, args=[args], template={"RestartPolicy": {"Condition": condition, "Delay": 0}}))
    swarm.wait(lambda: [_words(task)[:2] for task in swarm.tasks("s")], lambda words: words == [(last, "shutdown")])
    swarm.start(swarm.spec("later", replicas=1))
    assert len(swarm.tasks("s")) == 1


def test_attempts_are_counted(swarm: Target) -> None:
    policy = {"RestartPolicy": {"Condition": "any", "Delay": SECOND // 10, "MaxAttempts": 2}}
    swarm.create(swarm.spec("s", replicas=1, args=["false"], template=policy))
    swarm.wait(lambda: [_words(task)[0] for task in swarm.tasks("s")], lambda words: words == ["failed"] * 3)
    swarm.start(swarm.spec("later", replicas=1))
    assert len(swarm.tasks("s")) == 3


def test_an_image_that_is_nowhere_is_rejected(swarm: Target) -> None:
    image = MISSING_IMAGE
    swarm.create(swarm.spec("missing", replicas=1, container={"Image": image}, template=_fresh_each(60 * SECOND)))
    words = swarm.wait(
        lambda: [_words(task) for task in swarm.tasks("missing")], lambda seen: seen[0][0] == "rejected" if seen else False
    )
    assert words[0] == ("rejected", "shutdown", f"No such image: {image}")
    assert words[1][1] == "ready"


def test_a_task_with_a_health_check_runs_when_it_is_healthy(swarm: Target) -> None:
    check = {"Test": ["CMD", "true"], "Interval": SECOND}
    swarm.create(swarm.spec("s", replicas=1, container={"Healthcheck": check}))
    swarm.wait(lambda: [_words(task)[0] for task in swarm.tasks("s")], lambda words: words == ["starting"])
    swarm.wait(lambda: [_words(task)[0] for task in swarm.tasks("s")], lambda words: words == ["running"])


@pytest.mark.parametrize(
    ("args", "state", "err"),
    [
        ([], "complete", ""),  # the image's own command answers SIGTERM with 0
        (["sleep", "1000"], "failed", "task: non-zero exit (137): dockerexec: unhealthy container"),
    ],
    ids=["leaves-in-peace", "is-killed"],
)
def test_an_unhealthy_task_is_stopped_and_replaced_and_how_it_took_the_stop_is_its_end(
    swarm: Target, args: list[str], state: str, err: str
) -> None:
    check = {"Test": ["CMD", "false"], "Interval": SECOND // 2, "Retries": 2}
    container = {"Healthcheck": check, "StopGracePeriod": SECOND if not args else SECOND // 10}
    swarm.create(swarm.spec("s", replicas=1, args=args, container=container, template=_fresh_each(SECOND // 10)))
    words = swarm.wait(lambda: [_words(task) for task in swarm.tasks("s")], lambda seen: len(seen) > 1)
    assert words[0] == (state, "shutdown", err)


def test_a_job_runs_to_its_end_and_again_when_it_is_written(swarm: Target) -> None:
    job = swarm.spec("j", args=["true"], Mode={"ReplicatedJob": {"MaxConcurrent": 1, "TotalCompletions": 2}})
    swarm.create(job)
    assert swarm.service("j")["JobStatus"]["JobIteration"] == {}
    swarm.wait(lambda: swarm.status("j")["CompletedTasks"], lambda count: count == 2)
    assert {_words(task) for task in swarm.tasks("j")} == {("complete", "complete", "")}
    swarm.update(job)
    assert "Index" in swarm.service("j")["JobStatus"]["JobIteration"]
    swarm.wait(lambda: swarm.status("j")["CompletedTasks"], lambda count: count == 2)


def test_tasks_are_filtered_by_what_is_wanted_of_them(swarm: Target) -> None:
    swarm.start(swarm.spec("s", replicas=2))
    assert len(swarm.tasks("s", **{"desired-state": ["running"]})) == 2
    assert swarm.tasks("s", **{"desired-state": ["shutdown"]}) == []
    node = swarm.must("GET", "/nodes")[0]["ID"]
    assert {task["ID"] for task in swarm.listed("tasks", {"node": [node]})} >= {task["ID"] for task in swarm.tasks("s")}
    assert len(swarm.listed("tasks", {"name": ["s.2"]})) == 1
