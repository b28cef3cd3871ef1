"""Edits that cannot work are refused before anything is written; what is in doubt goes ahead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from controller.core.preflight import impossible, objection
from controller.model.observation import Snapshot
from controller.model.plan import Action, Change, ObjectKind, Reason, Restart, Verb
from controller.model.spec import Json
from tests.support.nodes import GIB, node, nodes, task
from tests.support.specs import body, live, snapshot

PORT = {"PublishMode": "host", "PublishedPort": 8080, "TargetPort": 80, "Protocol": "tcp"}
HOST_PORT: dict[str, Any] = {"EndpointSpec": {"Ports": [PORT]}}
START_FIRST: dict[str, Any] = {"UpdateConfig": {"Parallelism": 1, "Order": "start-first"}}


def spec(replicas: int = 1, key: str = "web", **parts: Any) -> Json:
    chosen = parts.pop("mode", {"Replicated": {"Replicas": replicas}})
    template = {"Placement": parts.pop("placement", {}), **parts.pop("task", {})}
    return body(key, Mode=chosen, task=template, **parts)


def seen(found: Sequence[Json], *services: Json, **parts: Any) -> Snapshot:
    return snapshot(*services, nodes=found, **parts)


def running(found: Json, count: int, *, wanted: int | None = None, **parts: Any) -> Json:
    status = {"RunningTasks": count, "DesiredTasks": count if wanted is None else wanted, "CompletedTasks": 0}
    return live(found, ServiceStatus=status, **parts)


def reserving(**asked: Any) -> dict[str, Any]:
    return {"Resources": {"Reservations": asked}}


def test_a_plain_service_on_a_plain_node_is_possible() -> None:
    assert impossible(spec(50), None, seen(nodes(1))) == ""


def test_a_spec_without_mode_is_one_replica() -> None:
    assert impossible({"TaskTemplate": {}}, None, seen(nodes(1))) == ""
    unreplicated = spec(mode={"Replicated": {}}, placement={"Constraints": ["node.role == manager"]})
    assert impossible(unreplicated, None, seen(nodes(1))) != ""


def test_a_constraint_that_no_ready_node_meets_is_named_with_the_number_of_nodes() -> None:
    asked = spec(placement={"Constraints": ["node.role == worker", "node.labels.disk == ssd"]})

    told = "deploy.placement.constraints: no ready node meets node.labels.disk == ssd (3 nodes looked at)"
    assert impossible(asked, None, seen([*nodes(3), node("node4", state="down", labels={"disk": "ssd"})])) == told


def test_constraints_that_exclude_each_other_are_told_together() -> None:
    asked = spec(placement={"Constraints": ["node.hostname == node1", "node.labels.disk == ssd"]})
    found = seen([node("node1"), node("node2", labels={"disk": "ssd"})])

    assert "no ready node meets all of node.hostname == node1, node.labels.disk == ssd" in impossible(asked, None, found)


@pytest.mark.parametrize("found", [[], nodes(2, availability="drain"), nodes(2, state="down")])
def test_a_swarm_without_any_node_for_tasks_is_not_the_specs_fault(found: list[Json]) -> None:
    assert impossible(spec(placement={"Constraints": ["node.labels.disk == ssd"]}), None, seen(found)) == ""


@pytest.mark.parametrize(
    "mode",
    [
        {"Replicated": {"Replicas": 0}},
        {"ReplicatedJob": {"TotalCompletions": 0}},
        {"Global": {}},  # on no node it is complete
        {"GlobalJob": {}},
    ],
)
def test_what_asks_for_no_task_waits_for_none(mode: Json) -> None:
    assert impossible(spec(mode=mode, placement={"Constraints": ["node.labels.disk == ssd"]}), None, seen(nodes(1))) == ""


def test_a_job_needs_a_place_for_one_task_at_a_time() -> None:
    job = spec(mode={"ReplicatedJob": {"TotalCompletions": 9}}, placement={"MaxReplicas": 1})

    assert impossible(job, None, seen(nodes(1))) == ""
    assert "constraints" in impossible(
        {**job, **spec(mode=job["Mode"], placement={"Constraints": ["x.y == z"]})}, None, seen(nodes(1))
    )


def test_an_image_for_other_machines_is_refused() -> None:
    asked = spec(placement={"Platforms": [{"OS": "linux", "Architecture": "arm64"}]})

    told = "image: is built for linux/arm64, and none of 2 fitting nodes runs that"
    assert impossible(asked, None, seen(nodes(2))) == told
    assert impossible({**asked, "Mode": {"Global": {}}}, None, seen(nodes(2))) == told


def test_a_driver_that_no_node_has_is_refused() -> None:
    asked = spec(task={"LogDriver": {"Name": "loki"}})

    told = "logging.driver: none of 1 fitting node has the plugin loki"
    assert impossible(asked, None, seen(nodes(1, plugins=[{"Type": "Log", "Name": "json-file"}]))) == told
    assert impossible(asked, None, seen(nodes(1))) == ""


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"NanoCPUs": 8_000_000_000}, "cpus: 8 asked for, the most that one of 2 fitting nodes has is 4"),
        ({"MemoryBytes": 16 * GIB}, "memory: 16384 MiB asked for, the most that one of 2 fitting nodes has is 8192 MiB"),
        (
            {"GenericResources": [{"DiscreteResourceSpec": {"Kind": "gpu", "Value": 2}}]},
            "generic_resources: 2 gpu asked for, the most that one of 2 fitting nodes has is 0 gpu",
        ),
    ],
)
def test_more_than_any_node_has_is_refused(asked: dict[str, Any], told: str) -> None:
    assert impossible(spec(task=reserving(**asked)), None, seen(nodes(2))) == f"deploy.resources.reservations.{told}"


def test_more_replicas_than_the_nodes_can_hold_are_refused() -> None:
    told = "deploy.placement.max_replicas_per_node: 2 fitting nodes can hold 4 of 5 replicas"
    assert impossible(spec(5, placement={"MaxReplicas": 2}), None, seen(nodes(2))) == told
    assert impossible(spec(4, placement={"MaxReplicas": 2}), None, seen(nodes(2))) == ""

    told = "deploy.resources.reservations.memory: 2 fitting nodes can hold 4 of 5 replicas"
    assert impossible(spec(5, task=reserving(MemoryBytes=3 * GIB)), None, seen(nodes(2))) == told


def test_bounds_that_suffice_alone_may_not_together() -> None:
    small, large = node("small", resources={"MemoryBytes": 4 * GIB}), node("large", resources={"MemoryBytes": 64 * GIB})
    asked = spec(4, placement={"MaxReplicas": 2}, task={"Placement": {"MaxReplicas": 2}, **reserving(MemoryBytes=3 * GIB)})

    told = (
        "deploy.placement.max_replicas_per_node, deploy.resources.reservations.memory: 2 fitting nodes can hold 3 of 4 replicas"
    )
    assert impossible(asked, None, seen([small, large])) == told


def test_a_node_that_does_not_tell_what_it_has_holds_any_number() -> None:
    assert impossible(spec(50, task=reserving(MemoryBytes=GIB)), None, seen([node(resources=None)])) == ""


def test_a_port_of_the_host_serves_one_task_a_node() -> None:
    told = "ports: 8080/tcp of the host is free on 2 of 2 fitting nodes, for 3 replicas"
    assert impossible(spec(3, **HOST_PORT), None, seen(nodes(2))) == told
    assert impossible(spec(2, **HOST_PORT), None, seen(nodes(2))) == ""


def test_a_port_that_another_service_holds_on_every_node_is_refused() -> None:
    other = running(spec(2, "db", **HOST_PORT), 2)

    told = "ports: 8080/tcp of the host is free on 0 of 2 fitting nodes besides shop_db, for 1 replicas"
    assert impossible(spec(1, **HOST_PORT), None, seen(nodes(2), other)) == told
    assert impossible(spec(1, mode={"Global": {}}, **HOST_PORT), None, seen(nodes(2), other)) == told
    assert impossible(spec(1, **HOST_PORT), None, seen(nodes(3), other)) == ""


@pytest.mark.parametrize(
    "other",
    [
        running(spec(2, "db", **HOST_PORT), 2, UpdateStatus={"State": "updating"}),  # some of its tasks may not hold it yet
        running(spec(1, "db", **HOST_PORT), 2, wanted=1),  # one of them is stopping
        running(spec(2, "db"), 2),
        live(spec(2, "db", **HOST_PORT)),  # an engine that tells no counts
        running(spec(2, "web", **HOST_PORT), 2),  # itself
    ],
)
def test_a_port_that_may_be_free_is_no_obstacle(other: Json) -> None:
    assert impossible(spec(1, **HOST_PORT), None, seen(nodes(2), other)) == ""


def test_tasks_tell_on_which_nodes_a_port_is_taken() -> None:
    other = running(spec(1, "db", **HOST_PORT), 1)
    asked = spec(1, placement={"Constraints": ["node.hostname == node1"]}, **HOST_PORT)

    def found(*tasks: Json) -> Snapshot:
        return seen(nodes(2), other, tasks={other["ID"]: tasks})

    assert "free on 0 of 1 fitting node besides shop_db" in impossible(asked, None, found(task("node1")))
    assert impossible(asked, None, found(task("node2"))) == ""
    assert impossible(asked, None, found(task("node1", state="failed"))) == ""
    assert impossible(asked, None, found(task("node1", desired="shutdown"))) == ""
    assert impossible(asked, None, found(task("", state="assigned"))) == ""


def test_start_first_waits_for_ever_where_old_tasks_hold_every_place() -> None:
    old = running(spec(2, **HOST_PORT), 2)

    told = "deploy.update_config.order: start-first needs a second place beside the old task, and 2 fitting nodes have none"
    assert impossible(spec(2, **HOST_PORT, **START_FIRST), old, seen(nodes(2), old)) == f"{told} (8080/tcp)"
    assert impossible(spec(2, **HOST_PORT, **START_FIRST), old, seen(nodes(3), old)) == ""
    assert impossible(spec(2, **HOST_PORT), old, seen(nodes(2), old)) == ""  # stop-first


def test_start_first_with_a_bound_of_replicas_needs_a_node_that_is_not_full() -> None:
    bound: dict[str, Any] = {"placement": {"MaxReplicas": 1}}
    old = running(spec(1, **bound), 1)

    assert "1 fitting node has none (deploy.placement.max_replicas_per_node)" in impossible(
        spec(1, **bound, **START_FIRST), old, seen(nodes(1), old)
    )
    assert impossible(spec(1, placement={"MaxReplicas": 2}, **START_FIRST), old, seen(nodes(1), old)) == ""


def test_start_first_with_scarce_memory_needs_it_twice() -> None:
    old = running(spec(1, task=reserving(MemoryBytes=5 * GIB)), 1)

    assert "(reservations)" in impossible(spec(1, task=reserving(MemoryBytes=5 * GIB), **START_FIRST), old, seen(nodes(1), old))
    assert impossible(spec(1, task=reserving(MemoryBytes=3 * GIB), **START_FIRST), old, seen(nodes(1), old)) == ""
    assert impossible(spec(1, task=reserving(MemoryBytes=5 * GIB), **START_FIRST), old, seen([node(resources=None)], old)) == ""


@pytest.mark.parametrize(
    "old",
    [
        running(spec(3, **HOST_PORT), 2),  # it is scaled down, and that makes room
        running(spec(2, **HOST_PORT), 1, wanted=2),  # one node may be free
        running(spec(2, **HOST_PORT), 2, UpdateStatus={"State": "updating"}),
        running(spec(2), 2),  # its tasks hold no port
    ],
)
def test_start_first_goes_ahead_where_a_place_may_be_free(old: Json) -> None:
    assert impossible(spec(2, **HOST_PORT, **START_FIRST), old, seen(nodes(2), old)) == ""


def test_start_first_is_possible_when_no_task_is_replaced() -> None:
    old = running(spec(2, **HOST_PORT), 2)

    assert impossible(spec(2, **HOST_PORT, **START_FIRST), old, seen(nodes(2), old), replaces_tasks=False) == ""
    assert impossible(spec(2, **HOST_PORT, **START_FIRST), None, seen(nodes(2), old)) == ""


def test_start_first_of_a_global_service_must_succeed_on_every_node() -> None:
    everywhere: dict[str, Any] = {"mode": {"Global": {}}}
    old = running(spec(**everywhere, **HOST_PORT), 1, wanted=1)
    edit = spec(**everywhere, **HOST_PORT, **START_FIRST)

    assert "start-first" in impossible(edit, old, seen(nodes(2), old, tasks={old["ID"]: [task("node1")]}))
    assert impossible(edit, old, seen(nodes(2), old, tasks={old["ID"]: []})) == ""


ACTION = Action(
    Verb.UPDATE,
    ObjectKind.SERVICE,
    "shop_web",
    Reason.EDITED,
    restart=Restart.ROLLING,
    body=spec(placement={"Constraints": ["node.labels.disk == ssd"]}),
)
REPLICAS = (Change("deploy.replicas", "1", "2"),)


@pytest.mark.parametrize(
    ("action", "refused"),
    [
        (ACTION, True),
        (replace(ACTION, restart=Restart.UNLESS_FITTING), True),
        (replace(ACTION, restart=Restart.NONE, changes=REPLICAS), True),
        (replace(ACTION, restart=Restart.NONE), False),  # places no task
        (replace(ACTION, reason=Reason.DRIFT), False),  # a repair leads back to where it was
        (replace(ACTION, verb=Verb.CREATE), False),  # some replicas are better than none
        (replace(ACTION, kind=ObjectKind.CONFIG), False),
    ],
)
def test_only_edits_that_place_tasks_are_judged(action: Action, refused: bool) -> None:
    old = running(spec(), 1)

    assert bool(objection(action, seen(nodes(1), old))) is refused


def test_a_mere_scaling_needs_no_second_place() -> None:
    old = running(spec(2, **HOST_PORT), 2)
    edit = replace(ACTION, restart=Restart.NONE, changes=REPLICAS, body=spec(2, **HOST_PORT, **START_FIRST))

    assert objection(edit, seen(nodes(2), old)) == ""
    assert objection(replace(edit, restart=Restart.ROLLING), seen(nodes(2), old)) != ""
