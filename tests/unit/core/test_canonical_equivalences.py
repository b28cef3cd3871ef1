"""What means the same is equal: the daemon's defaults, lost fields and orders without meaning (stack-files 2.9)."""

from __future__ import annotations

from typing import Any

import pytest

from controller.core.diff import difference
from controller.core.values import SECOND, Context
from tests.support.specs import CONTEXT, body, mounted


def changed(declared: dict[str, Any], live: dict[str, Any], context: Context = CONTEXT) -> list[str]:
    """The fields that differ; the same ones whichever side is declared."""
    forth = [change.field for change in difference(declared, live, context).changes]
    back = [change.field for change in difference(live, declared, context).changes]
    assert forth == back
    return forth


def task(**parts: Any) -> dict[str, Any]:
    return body(task=parts)


def container(**parts: Any) -> dict[str, Any]:
    return body(container=parts)


_UPDATE = {
    "Parallelism": 1, "Delay": 0, "FailureAction": "pause", "Monitor": 5 * SECOND, "MaxFailureRatio": 0, "Order": "stop-first",
}  # fmt: skip
_GPU = {"DiscreteResourceSpec": {"Kind": "gpu", "Value": 2}}
_SSD = {"DiscreteResourceSpec": {"Value": 1, "Kind": "ssd"}}

SAME = {
    "labels null or empty": (body(labels={}), {**body(), "Labels": {**body()["Labels"]}}),
    "replicas absent are one": (body(Mode={"Replicated": {}}), body(Mode={"Replicated": {"Replicas": 1}})),
    "mode absent is replicated": (body(Mode=None), body(Mode={"Replicated": {"Replicas": 1}})),
    "mode empty is replicated": (body(Mode={}), body(Mode={"Replicated": None})),
    "job counts absent are one": (
        body(Mode={"ReplicatedJob": {}}),
        body(Mode={"ReplicatedJob": {"MaxConcurrent": 1, "TotalCompletions": 1}}),
    ),
    "job completions absent are its concurrency": (
        body(Mode={"ReplicatedJob": {"MaxConcurrent": 3}}),
        body(Mode={"ReplicatedJob": {"MaxConcurrent": 3, "TotalCompletions": 3}}),
    ),
    "global with a null body": (body(Mode={"Global": {}}), body(Mode={"Global": None})),
    "global job": (body(Mode={"GlobalJob": {}}), body(Mode={"GlobalJob": None})),
    "endpoint absent": (body(EndpointSpec=None), body(EndpointSpec={"Mode": "vip"})),
    "endpoint mode empty is vip": (body(EndpointSpec={"Mode": ""}), body(EndpointSpec={"Mode": "vip", "Ports": None})),
    "protocol empty or unknown is tcp": (
        body(EndpointSpec={"Ports": [{"TargetPort": 80, "PublishedPort": 8080}, {"TargetPort": 81, "Protocol": "carrier"}]}),
        body(
            EndpointSpec={
                "Mode": "vip",
                "Ports": [
                    {"TargetPort": 81, "Protocol": "tcp", "PublishMode": "ingress"},
                    {"TargetPort": 80, "PublishedPort": 8080, "Protocol": "tcp", "PublishMode": "ingress"},
                ],
            }
        ),
    ),
    "one target published twice, in any order": (
        body(EndpointSpec={"Ports": [{"TargetPort": 80, "PublishedPort": 1}, {"TargetPort": 80, "PublishedPort": 2}]}),
        body(EndpointSpec={"Ports": [{"TargetPort": 80, "PublishedPort": 2}, {"TargetPort": 80, "PublishedPort": 1}]}),
    ),
    "update config absent acts as its defaults": (body(), body(UpdateConfig=_UPDATE)),
    "rollback config absent acts as its defaults": (body(), body(RollbackConfig=_UPDATE)),
    "update config with empty words": (
        body(UpdateConfig={"Parallelism": 2, "FailureAction": "", "Order": ""}),
        body(UpdateConfig={**_UPDATE, "Parallelism": 2}),
    ),
    "monitor of zero acts as five seconds": (
        body(UpdateConfig={"Parallelism": 1, "Monitor": 0}),
        body(UpdateConfig={"Parallelism": 1, "Monitor": 5 * SECOND}),
    ),
    "parallelism left out of a config that is there is zero": (
        body(UpdateConfig={}),
        body(UpdateConfig={**_UPDATE, "Parallelism": 0}),
    ),
    "failure ratio in single precision": (
        body(UpdateConfig={"Parallelism": 1, "MaxFailureRatio": 0.123456789}),
        body(UpdateConfig={"Parallelism": 1, "MaxFailureRatio": 0.12345679}),
    ),
    "restart policy absent": (task(RestartPolicy=None), task(RestartPolicy={"Condition": "any", "MaxAttempts": 0})),
    "restart condition empty is any": (
        task(RestartPolicy={"Condition": "", "Delay": 5 * SECOND, "Window": 0}),
        task(RestartPolicy={"Condition": "any"}),
    ),
    "task template parts absent": (
        body(task={"Resources": None, "Placement": None, "Networks": None, "LogDriver": None}),
        body(task={"LogDriver": {}, "Runtime": "container"}),
    ),
    "force update counts restarts that were asked for": (task(ForceUpdate=0), task(ForceUpdate=7)),
    "platforms come from the registry": (
        task(Placement={}),
        task(Placement={"Platforms": [{"OS": "linux", "Architecture": "amd64"}]}),
    ),
    "constraints in any order and spacing": (
        task(Placement={"Constraints": ["node.role==manager", "node.labels.disk != ssd"]}),
        task(Placement={"Constraints": ["node.labels.disk!=ssd", "node.role == manager"]}),
    ),
    "resources empty": (task(Resources={}), task(Resources={"Limits": {}, "Reservations": {"GenericResources": []}})),
    "generic resources in any order of items and keys": (
        task(Resources={"Reservations": {"GenericResources": [_GPU, _SSD]}}),
        task(Resources={"Reservations": {"GenericResources": [{"DiscreteResourceSpec": {"Kind": "ssd", "Value": 1}}, _GPU]}}),
    ),
    "aliases in any order": (
        task(Networks=[{"Target": "a", "Aliases": ["x", "web"]}, {"Target": "b"}]),
        task(Networks=[{"Target": "b", "Aliases": [], "DriverOpts": {}}, {"Target": "a", "Aliases": ["web", "x", "x"]}]),
    ),
    "log driver without options": (task(LogDriver={"Name": "syslog", "Options": {}}), task(LogDriver={"Name": "syslog"})),
    "env in any order": (container(Env=["A=1", "B=2"]), container(Env=["B=2", "A=1"])),
    "env given twice, where the last one counts": (container(Env=["A=1", "A=2"]), container(Env=["A=2"])),
    "stop grace period absent is ten seconds": (container(StopGracePeriod=None), container(StopGracePeriod=10 * SECOND)),
    "isolation empty is default": (container(Isolation=""), container(Isolation="default")),
    "init unset": (container(Init=None), container()),
    "health check empty": (container(Healthcheck={}), container(Healthcheck={"Interval": 0, "Retries": 0, "Test": None})),
    "dns empty": (container(DNSConfig={"Nameservers": []}), container(DNSConfig=None)),
    "privileges without content": (
        container(Privileges={"CredentialSpec": None, "SELinuxContext": None}),
        container(Privileges={"CredentialSpec": None, "NoNewPrivileges": False, "Seccomp": {"Mode": ""}}),
    ),
    "capabilities and ulimits in any order": (
        container(CapabilityAdd=["A", "B"], Ulimits=[{"Name": "a", "Soft": 1, "Hard": 2}, {"Name": "b"}]),
        container(CapabilityAdd=["B", "A"], Ulimits=[{"Name": "b", "Soft": 0, "Hard": 0}, {"Name": "a", "Soft": 1, "Hard": 2}]),
    ),
    "mounts in any order, empty options, lost consistency": (
        container(
            Mounts=[
                {"Type": "volume", "Source": "v", "Target": "/v", "VolumeOptions": {}, "Consistency": "cached"},
                {"Type": "bind", "Source": "/srv", "Target": "/b", "BindOptions": {"Propagation": ""}},
            ]
        ),
        container(
            Mounts=[
                {"Source": "/srv", "Target": "/b"},
                {"Type": "volume", "Source": "v", "Target": "/v", "ReadOnly": False, "VolumeOptions": {"DriverConfig": {}}},
            ]
        ),
    ),
    "references in any order, owners spelled out or not": (
        container(Secrets=[mounted("Secret", "a"), mounted("Secret", "a", "/other")]),
        container(
            Secrets=[
                mounted("Secret", "a", "/other", SecretID="real"),
                mounted("Secret", "a", SecretID="real", File={"Name": "a", "UID": "", "GID": "", "Mode": 0o444}),
            ]
        ),
    ),
    "what no file can say, and is not set": (container(), container(Groups=[], CapabilityDrop=None, Sysctls={})),
    "bookkeeping labels": (body(), body(labels={"prodbreaker.revision": "0123"})),
}


@pytest.mark.parametrize("pair", SAME.values(), ids=SAME.keys())
def test_two_ways_to_say_the_same_are_no_difference(pair: tuple[dict[str, Any], dict[str, Any]]) -> None:
    assert changed(*pair) == []


def test_a_live_spec_without_a_task_template_differs_only_by_what_is_declared() -> None:
    assert changed(body(), {"Name": "shop_web", "Labels": None}) == [
        "deploy.labels.com.docker.stack.image",
        "deploy.labels.com.docker.stack.namespace",
        "image",
        "labels.com.docker.stack.namespace",
    ]


def test_a_network_id_means_the_network_of_that_name() -> None:
    context = Context({"n1": "shop_back"}, {}, (1, 47))

    assert changed(task(Networks=[{"Target": "shop_back"}]), task(Networks=[{"Target": "n1"}]), context) == []


def test_an_attachment_to_a_network_that_is_gone_is_a_difference() -> None:
    fields = changed(task(Networks=[{"Target": "shop_back"}]), task(Networks=[{"Target": "n1"}]))

    assert fields == ["networks.n1", "networks.shop_back"]


def test_a_credential_spec_by_config_id_means_the_config_of_that_name() -> None:
    context = Context({}, {"c1": "shop_cred"}, (1, 47))
    declared = container(Privileges={"CredentialSpec": {"Config": "id:shop_cred"}})

    assert changed(declared, container(Privileges={"CredentialSpec": {"Config": "c1"}}), context) == []
    assert changed(declared, container(Privileges={"CredentialSpec": {"Config": "c2"}}), context) == ["credential_spec.config"]


@pytest.mark.parametrize(("api", "expected"), [((1, 43), []), ((1, 44), ["healthcheck.start_interval"])])
def test_a_start_interval_counts_only_where_the_engine_keeps_it(api: tuple[int, int], expected: list[str]) -> None:
    declared = container(Healthcheck={"Test": ["CMD", "true"], "StartInterval": SECOND})
    live = container(Healthcheck={"Test": ["CMD", "true"]})

    assert changed(declared, live, Context({}, {}, api)) == expected


@pytest.mark.parametrize(("api", "expected"), [((1, 44), []), ((1, 45), ["volumes./v"])])
def test_a_volume_subpath_counts_only_where_the_engine_keeps_it(api: tuple[int, int], expected: list[str]) -> None:
    mount = {"Type": "volume", "Source": "v", "Target": "/v"}
    declared = container(Mounts=[{**mount, "VolumeOptions": {"Subpath": "sub"}}])

    assert changed(declared, container(Mounts=[mount]), Context({}, {}, api)) == expected
