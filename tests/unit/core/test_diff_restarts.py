"""The forecast: which change restarts tasks (swarm.md: what was checked on a real engine)."""

from __future__ import annotations

from typing import Any

import pytest

from controller.core.diff import difference
from controller.model.plan import Restart
from tests.support.specs import CONTEXT, body

NONE, ROLLING, FITTING = Restart.NONE, Restart.ROLLING, Restart.UNLESS_FITTING

_FORECAST: dict[str, tuple[dict[str, Any], Restart]] = {
    "nothing": ({}, NONE),
    "service labels": ({"labels": {"a": "1"}}, NONE),
    "replicas": ({"Mode": {"Replicated": {"Replicas": 3}}}, NONE),
    "update config": ({"UpdateConfig": {"Parallelism": 2}}, NONE),
    "rollback config": ({"RollbackConfig": {"Parallelism": 2}}, NONE),
    "all of these": ({"labels": {"a": "1"}, "UpdateConfig": {"Parallelism": 2}, "Mode": {"Replicated": {"Replicas": 3}}}, NONE),
    "constraints": ({"task": {"Placement": {"Constraints": ["node.role==worker"]}}}, FITTING),
    "constraints and labels": ({"labels": {"a": "1"}, "task": {"Placement": {"MaxReplicas": 1}}}, FITTING),
    "constraints and env": ({"container": {"Env": ["A=1"]}, "task": {"Placement": {"MaxReplicas": 1}}}, ROLLING),
    "env": ({"container": {"Env": ["A=1"]}}, ROLLING),
    "image": ({"container": {"Image": "nginx:2"}}, ROLLING),
    "container labels": ({"container": {"Labels": {"a": "1"}}}, ROLLING),
    "networks": ({"task": {"Networks": [{"Target": "a"}]}}, ROLLING),
    "resources": ({"task": {"Resources": {"Limits": {"Pids": 1}}}}, ROLLING),
    "restart delay": ({"task": {"RestartPolicy": {"Delay": 1}}}, ROLLING),
    "log driver": ({"task": {"LogDriver": {"Name": "syslog"}}}, ROLLING),
    "ports": ({"EndpointSpec": {"Ports": [{"TargetPort": 80}]}}, ROLLING),
    "endpoint mode": ({"EndpointSpec": {"Mode": "dnsrr"}}, ROLLING),
    "what no file can say": ({"task": {"Runtime": "plugin"}}, ROLLING),
}


@pytest.mark.parametrize(("parts", "expected"), _FORECAST.values(), ids=_FORECAST.keys())
def test_a_change_restarts_what_swarm_would_restart(parts: dict[str, Any], expected: Restart) -> None:
    assert difference(body(**parts), body(), CONTEXT).restart is expected


@pytest.mark.parametrize("mode", [{"ReplicatedJob": {}}, {"GlobalJob": {}}])
def test_any_write_runs_a_job_again(mode: dict[str, Any]) -> None:
    assert difference(body(Mode=mode, labels={"a": "1"}), body(Mode=mode), CONTEXT).restart is ROLLING
    assert difference(body(Mode=mode), body(Mode=mode), CONTEXT).restart is NONE


def test_a_change_shows_the_old_and_the_new_value() -> None:
    declared = body(Mode={"Replicated": {"Replicas": 3}}, labels={"tier": "front"})
    live = body(Mode={"Replicated": {"Replicas": 1}}, labels={"stray": "yes"})

    shown = [(change.field, change.old, change.new) for change in difference(declared, live, CONTEXT).changes]

    assert shown == [
        ("deploy.labels.stray", "yes", None),
        ("deploy.labels.tier", None, "front"),
        ("deploy.replicas", "1", "3"),
    ]
