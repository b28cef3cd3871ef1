"""What means something else differs, under the name that it has in a stack file."""

from __future__ import annotations

from typing import Any

import pytest

from controller.core.values import SECOND
from tests.support.specs import body, mounted
from tests.unit.core.test_canonical_equivalences import changed, container, task

DIFFERENT: dict[str, tuple[dict[str, Any], dict[str, Any], list[str]]] = {
    "replicas": (body(), body(Mode={"Replicated": {"Replicas": 0}}), ["deploy.replicas"]),
    "mode": (body(), body(Mode={"Global": {}}), ["deploy.mode", "deploy.replicas"]),
    "a job's counts": (
        body(Mode={"ReplicatedJob": {"MaxConcurrent": 2, "TotalCompletions": 2}}),
        body(Mode={"ReplicatedJob": {"MaxConcurrent": 1, "TotalCompletions": 2}}),
        ["deploy.replicas.concurrent"],
    ),
    "all at once is not one by one": (body(UpdateConfig={}), body(), ["deploy.update_config.parallelism"]),
    "rollback order": (body(), body(RollbackConfig={"Parallelism": 1, "Order": "start-first"}), ["deploy.rollback_config.order"]),
    "endpoint mode": (body(), body(EndpointSpec={"Mode": "dnsrr"}), ["deploy.endpoint_mode"]),
    "a port published twice": (
        body(EndpointSpec={"Ports": [{"TargetPort": 80, "PublishedPort": 1}]}),
        body(EndpointSpec={"Ports": [{"TargetPort": 80, "PublishedPort": 1}, {"TargetPort": 80, "PublishedPort": 2}]}),
        ["ports.80/tcp"],
    ),
    "a port for another protocol": (
        body(EndpointSpec={"Ports": [{"TargetPort": 53, "Protocol": "udp"}]}),
        body(EndpointSpec={"Ports": [{"TargetPort": 53, "Protocol": "sctp"}]}),
        ["ports.53/sctp", "ports.53/udp"],
    ),
    "a port's mode": (
        body(EndpointSpec={"Ports": [{"TargetPort": 80, "PublishMode": "host"}]}),
        body(EndpointSpec={"Ports": [{"TargetPort": 80}]}),
        ["ports.80/tcp"],
    ),
    "limits and reservations": (
        task(Resources={"Limits": {"NanoCPUs": 1, "MemoryBytes": 1, "Pids": 1}, "Reservations": {"MemoryBytes": 1}}),
        task(),
        [
            "deploy.resources.limits.cpus",
            "deploy.resources.limits.memory",
            "deploy.resources.limits.pids",
            "deploy.resources.reservations.memory",
        ],
    ),
    "restart delay of zero is not absent": (
        task(RestartPolicy={"Delay": 0}),
        task(RestartPolicy={}),
        ["deploy.restart_policy.delay"],
    ),
    "preferences in another order": (
        task(Placement={"Preferences": [{"Spread": {"SpreadDescriptor": "a"}}, {"Spread": {"SpreadDescriptor": "b"}}]}),
        task(Placement={"Preferences": [{"Spread": {"SpreadDescriptor": "b"}}, {"Spread": {"SpreadDescriptor": "a"}}]}),
        ["deploy.placement.preferences"],
    ),
    "max replicas per node": (task(Placement={"MaxReplicas": 1}), task(), ["deploy.placement.max_replicas_per_node"]),
    "an alias": (task(Networks=[{"Target": "a", "Aliases": ["x"]}]), task(Networks=[{"Target": "a"}]), ["networks.a"]),
    "an attachment's options": (
        task(Networks=[{"Target": "a", "DriverOpts": {"mtu": "1"}}]),
        task(Networks=[{"Target": "a", "DriverOpts": {"mtu": "2"}}]),
        ["networks.a"],
    ),
    "logging": (
        task(LogDriver={"Name": "syslog", "Options": {"tag": "x"}}),
        task(LogDriver={"Name": "json-file"}),
        ["logging.driver", "logging.options.tag"],
    ),
    "a command in another order": (container(Args=["a", "b"]), container(Args=["b", "a"]), ["command"]),
    "an empty value is not unset": (container(Env=["A="]), container(Env=["A"]), ["environment.A"]),
    "init off is not unset": (container(Init=False), container(), ["init"]),
    "no grace period is not unset": (container(StopGracePeriod=0), container(), ["stop_grace_period"]),
    "no health check is not the image's": (container(Healthcheck={"Test": ["NONE"]}), container(), ["healthcheck.test"]),
    "a mount's source": (
        container(Mounts=[{"Type": "bind", "Source": "/a", "Target": "/t"}]),
        container(Mounts=[{"Type": "bind", "Source": "/b", "Target": "/t"}]),
        ["volumes./t"],
    ),
    "a template driver of a volume": (
        container(Mounts=[{"Type": "volume", "Target": "/t", "VolumeOptions": {"DriverConfig": {"Options": {"o": "a"}}}}]),
        container(Mounts=[{"Type": "volume", "Target": "/t", "VolumeOptions": {"DriverConfig": {"Options": {"o": "b"}}}}]),
        ["volumes./t"],
    ),
    "one secret at two places, one of them moved": (
        container(Secrets=[mounted("Secret", "a"), mounted("Secret", "a", "/x")]),
        container(Secrets=[mounted("Secret", "a"), mounted("Secret", "a", "/y")]),
        ["secrets./x", "secrets./y"],
    ),
    "another version of a config": (
        container(Configs=[mounted("Config", "a-12345678", "/c")]),
        container(Configs=[mounted("Config", "a", "/c")]),
        ["configs./c"],
    ),
    "the config of a credential spec": (
        container(Configs=[{"ConfigID": "id:cred", "ConfigName": "cred", "Runtime": {}}]),
        container(),
        ["configs.(runtime)"],
    ),
    "dns": (
        container(DNSConfig={"Nameservers": ["1.1.1.1"], "Search": ["a"], "Options": ["ndots:1"]}),
        container(),
        ["dns", "dns_opt", "dns_search"],
    ),
    "credential spec by file": (
        container(Privileges={"CredentialSpec": {"File": "a", "Registry": "b"}}),
        container(),
        ["credential_spec.file", "credential_spec.registry"],
    ),
    "plain fields": (
        container(Hostname="h", Dir="/", User="u", StopSignal="s", TTY=True, OpenStdin=True, ReadOnly=True, OomScoreAdj=1),
        container(),
        ["hostname", "oom_score_adj", "read_only", "stdin_open", "stop_signal", "tty", "user", "working_dir"],
    ),
    "labels, sysctls and ulimits": (
        container(Labels={"a": "1"}, Sysctls={"net.x": "1"}, Ulimits=[{"Name": "nofile", "Soft": 1}]),
        container(Labels={"b": "1"}),
        ["labels.a", "labels.b", "sysctls.net.x", "ulimits.nofile"],
    ),
}


@pytest.mark.parametrize("case", DIFFERENT.values(), ids=DIFFERENT.keys())
def test_another_meaning_is_a_difference(case: tuple[dict[str, Any], dict[str, Any], list[str]]) -> None:
    declared, live, expected = case

    assert changed(declared, live) == expected


BY_HAND: dict[str, tuple[dict[str, Any], str]] = {
    "in the container": (container(Groups=["audio"]), "ContainerSpec.Groups"),
    "in the privileges": (container(Privileges={"SELinuxContext": {"Disable": True}}), "Privileges.SELinuxContext"),
    "in the resources": (task(Resources={"SwapBytes": 5}), "deploy.resources.SwapBytes"),
    "in the task template": (task(PluginSpec={"Name": "x"}), "TaskTemplate.PluginSpec"),
    "another runtime": (task(Runtime="plugin"), "TaskTemplate.Runtime"),
}


@pytest.mark.parametrize("case", BY_HAND.values(), ids=BY_HAND.keys())
def test_what_no_stack_file_can_say_counts_as_drift_when_set_by_hand(case: tuple[dict[str, Any], str]) -> None:
    live, field = case

    assert changed(body(), live) == [field]


def test_durations_are_nanoseconds_on_both_sides() -> None:
    assert changed(container(StopGracePeriod=10 * SECOND), container(StopGracePeriod=10)) == ["stop_grace_period"]
