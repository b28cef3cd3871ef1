"""What pre-flight refuses, Swarm really leaves waiting, and what it lets through comes up."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from controller.core.preflight import impossible
from controller.model.observation import Snapshot
from tests.contract.target import SECOND, Target

PORTS = {"Ports": [{"TargetPort": 80, "PublishedPort": 8074, "PublishMode": "host"}]}
START_FIRST = {"Order": "start-first", "Parallelism": 1, "Monitor": SECOND // 5}
WAITS_SECONDS = 2.0  # many times what a task needs to come up here
Shape = Callable[[Target], dict[str, Any]]


def snapshot(swarm: Target) -> Snapshot:
    services = {item["Spec"]["Name"]: item for item in swarm.listed("services", query="status=true")}
    return Snapshot((1, 41), services, networks={}, configs={}, secrets={}, nodes=swarm.must("GET", "/nodes"))


def constrained(constraint: str) -> Shape:
    return lambda _: {"template": {"Placement": {"Constraints": [constraint]}}}


def reserving(share: float) -> Shape:
    """Memory, as a share of what the node has."""

    def shape(swarm: Target) -> dict[str, Any]:
        has = swarm.must("GET", "/nodes")[0]["Description"]["Resources"]["MemoryBytes"]
        return {"template": {"Resources": {"Reservations": {"MemoryBytes": int(has * share)}}}}

    return shape


def published(_: Target) -> dict[str, Any]:
    return {"EndpointSpec": PORTS}


def bounded(_: Target) -> dict[str, Any]:
    return {"template": {"Placement": {"MaxReplicas": 1}}}


def plain(_: Target) -> dict[str, Any]:
    return {}


@pytest.mark.parametrize(
    ("old", "new", "order"),
    [
        (plain, constrained("node.labels.disk == ssd"), {}),
        (plain, constrained("node.hostname == nowhere"), {}),
        (plain, reserving(1.2), {}),
        (bounded, bounded, START_FIRST),
        (published, published, START_FIRST),
        (reserving(0.6), reserving(0.6), START_FIRST),
    ],
    ids=["label", "hostname", "memory", "max-replicas-start-first", "host-port-start-first", "memory-start-first"],
)
def test_an_edit_that_is_refused_would_wait_in_swarm(swarm: Target, old: Shape, new: Shape, order: dict[str, Any]) -> None:
    swarm.start(swarm.spec("s", replicas=1, **old(swarm)))
    edit = swarm.spec("s", replicas=1, container={"Env": ["NEW=1"]}, UpdateConfig=order or None, **new(swarm))
    swarm.wait(lambda: swarm.status("s")["RunningTasks"], lambda count: count == 1)
    seen = snapshot(swarm)

    assert impossible(edit, seen.services["s"], seen)
    assert swarm.update(edit).status == 200
    swarm.wait_for_state("s", "updating")
    time.sleep(WAITS_SECONDS)
    assert swarm.update_state("s") == "updating"
    assert not [task for task in swarm.running("s") if task["Spec"]["ContainerSpec"].get("Env")]


def test_a_port_that_another_service_holds_on_the_only_node_is_refused_and_waits(swarm: Target) -> None:
    swarm.start(swarm.spec("other", replicas=1, EndpointSpec=PORTS))
    swarm.wait(lambda: swarm.status("other")["RunningTasks"], lambda count: count == 1)
    wanted = swarm.spec("s", replicas=1, EndpointSpec=PORTS)

    assert "besides other" in impossible(wanted, None, snapshot(swarm))
    swarm.create(wanted)
    time.sleep(WAITS_SECONDS)
    assert not swarm.running("s")


@pytest.mark.parametrize(
    ("old", "new", "order"),
    [
        (plain, constrained("node.labels.disk != ssd"), {}),
        (bounded, bounded, {}),
        (published, published, {}),
        (published, plain, START_FIRST),
        (reserving(0.6), reserving(0.6), {}),
        (reserving(0.3), reserving(0.6), START_FIRST),
    ],
    ids=["label", "max-replicas", "host-port", "no-port-any-more", "memory", "memory-start-first"],
)
def test_an_edit_that_goes_ahead_comes_up(swarm: Target, old: Shape, new: Shape, order: dict[str, Any]) -> None:
    swarm.start(swarm.spec("s", replicas=1, **old(swarm)))
    edit = swarm.spec("s", replicas=1, container={"Env": ["NEW=1"]}, UpdateConfig=order or None, **new(swarm))
    swarm.wait(lambda: swarm.status("s")["RunningTasks"], lambda count: count == 1)
    seen = snapshot(swarm)

    assert not impossible(edit, seen.services["s"], seen)
    assert swarm.update(edit).status == 200
    swarm.wait(lambda: [t for t in swarm.running("s") if t["Spec"]["ContainerSpec"].get("Env")], bool)
