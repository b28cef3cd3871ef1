"""Which Swarm is used, made or refused."""

from __future__ import annotations

from typing import Any

import pytest

from scripts import swarm
from scripts.console import Progress, Refusal
from scripts.state import Made, load
from scripts.swarm import SwarmStep
from tests.unit.scripts.conftest import FakeHost

MANAGER = {"LocalNodeState": "active", "ControlAvailable": True, "Nodes": 1, "Cluster": {"ID": "c1"}}
NONE = {"LocalNodeState": "inactive"}


@pytest.mark.parametrize(
    ("found", "step"),
    [({}, SwarmStep.INIT), (NONE, SwarmStep.INIT), (MANAGER, SwarmStep.USE), ({"LocalNodeState": "pending"}, SwarmStep.WAIT)],
)
def test_the_step_follows_from_the_nodes_state(found: dict[str, Any], step: SwarmStep) -> None:
    assert swarm.decide(found) is step


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        ({"LocalNodeState": "active", "ControlAvailable": False}, "This node is a worker of a Swarm: run make up on a manager."),
        ({"LocalNodeState": "locked"}, "This node's Swarm is locked"),
        ({**MANAGER, "Nodes": 3}, "This Swarm has 3 nodes"),
    ],
)
def test_where_make_up_has_no_business_it_says_why(found: dict[str, Any], sentence: str) -> None:
    with pytest.raises(Refusal, match=sentence):
        swarm.decide(found)


def test_a_swarm_that_is_there_is_used_and_not_called_ours(fake_host: FakeHost, made: Made, progress: Progress) -> None:
    fake_host.api["/info"] = {"Swarm": MANAGER}
    swarm.ensure(made, progress)
    swarm.leave(made)
    assert (fake_host.ran, made.swarm) == ([], None)


def test_a_swarm_is_made_on_loopback_recorded_and_dissolved(fake_host: FakeHost, made: Made, progress: Progress) -> None:
    fake_host.api["/info"] = lambda: {"Swarm": MANAGER if fake_host.ran else NONE}
    swarm.ensure(made, progress)
    assert fake_host.ran == ["docker swarm init --advertise-addr 127.0.0.1 --listen-addr 127.0.0.1:2377"]
    assert load(made.path).swarm == "c1"
    swarm.leave(made)
    assert "docker swarm leave --force" in fake_host.ran


def test_another_swarm_than_the_one_made_is_never_left(fake_host: FakeHost, made: Made) -> None:
    made.swarm = "c0"
    fake_host.api["/info"] = {"Swarm": MANAGER}
    swarm.leave(made)
    assert fake_host.ran == []


def test_a_swarm_that_does_not_come_up_is_refused_with_its_reason(fake_host: FakeHost, made: Made, progress: Progress) -> None:
    fake_host.api["/info"] = {"Swarm": {"LocalNodeState": "error", "Error": "raft log damaged"}}
    with pytest.raises(Refusal, match="in state error: raft log damaged"):
        swarm.ensure(made, progress, patience=0.0)
