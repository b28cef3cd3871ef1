"""What is read back of what was written."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.target import SECOND, Target


def _written(swarm: Target, spec: dict[str, Any]) -> dict[str, Any]:
    swarm.create(spec)
    read: dict[str, Any] = swarm.service(spec["Name"])["Spec"]
    return read


def test_the_smallest_service_reads_back_with_its_defaults(swarm: Target) -> None:
    minimal = {"Name": "small", "TaskTemplate": {"ContainerSpec": {"Image": swarm.image}}}
    assert _written(swarm, minimal) == {
        "Name": "small",
        "Labels": {},
        "TaskTemplate": {
            "ContainerSpec": {"Image": swarm.image, "Isolation": "default"},
            "ForceUpdate": 0,
            "Runtime": "container",
        },
        "Mode": {"Replicated": {"Replicas": 1}},
    }


def test_empty_sections_that_were_sent_stay_and_those_left_out_stay_out(swarm: Target) -> None:
    spec = swarm.spec("s", template={"Resources": {}, "Placement": {}, "RestartPolicy": {}}, EndpointSpec={}, UpdateConfig={})
    read = _written(swarm, spec)
    template = read["TaskTemplate"]
    assert (template["Resources"], template["Placement"]) == ({}, {})
    assert template["RestartPolicy"] == {"Condition": "any", "MaxAttempts": 0}
    assert read["EndpointSpec"] == {"Mode": "vip"}
    assert read["UpdateConfig"] == {
        "Parallelism": 0,
        "FailureAction": "pause",
        "MaxFailureRatio": 0,
        "Order": "stop-first",
    }
    assert "RollbackConfig" not in read


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ({}, {"Replicated": {"Replicas": 1}}),
        ({"Replicated": {}}, {"Replicated": {"Replicas": 1}}),
        ({"Replicated": {"Replicas": 0}}, {"Replicated": {"Replicas": 0}}),
        ({"Global": {}}, {"Global": {}}),
        ({"ReplicatedJob": {}}, {"ReplicatedJob": {"MaxConcurrent": 1, "TotalCompletions": 1}}),
        ({"ReplicatedJob": {"MaxConcurrent": 2}}, {"ReplicatedJob": {"MaxConcurrent": 2, "TotalCompletions": 2}}),
        ({"GlobalJob": {}}, {"GlobalJob": {}}),
    ],
)
def test_a_mode_is_completed(swarm: Target, sent: dict[str, Any], kept: dict[str, Any]) -> None:
    nowhere = {"Placement": {"Constraints": ["node.labels.none==1"]}}
    assert _written(swarm, swarm.spec("s", template=nowhere, Mode=sent))["Mode"] == kept


def test_ports_are_completed(swarm: Target) -> None:
    ports = [
        {"TargetPort": 80},
        {"TargetPort": 53, "PublishedPort": 8053, "Protocol": "udp", "PublishMode": "host"},
        {"TargetPort": 81, "PublishedPort": 8081, "Protocol": "nonsense"},
    ]
    assert _written(swarm, swarm.spec("s", EndpointSpec={"Ports": ports}))["EndpointSpec"]["Ports"] == [
        {"Protocol": "tcp", "TargetPort": 80, "PublishMode": "ingress"},
        {"Protocol": "udp", "TargetPort": 53, "PublishedPort": 8053, "PublishMode": "host"},
        {"Protocol": "tcp", "TargetPort": 81, "PublishedPort": 8081, "PublishMode": "ingress"},
    ]


def test_mounts_lose_what_swarm_does_not_keep(swarm: Target) -> None:
    mounts = [
        {"Source": "/x", "Target": "/x"},
        {"Type": "bind", "Source": "/y", "Target": "/y", "BindOptions": {}, "Consistency": "cached"},
        {"Type": "bind", "Source": "/z", "Target": "/z", "BindOptions": {"Propagation": "rslave"}, "ReadOnly": True},
        {"Type": "tmpfs", "Target": "/t", "TmpfsOptions": {"SizeBytes": 100_000}},
        {"Type": "volume", "Source": "v", "Target": "/v", "VolumeOptions": {"Labels": {"a": "b"}, "NoCopy": True}},
        {"Type": "volume", "Source": "w", "Target": "/w", "VolumeOptions": {}},
    ]
    assert _written(swarm, swarm.spec("s", container={"Mounts": mounts}))["TaskTemplate"]["ContainerSpec"]["Mounts"] == [
        {"Type": "bind", "Source": "/x", "Target": "/x"},
        {"Type": "bind", "Source": "/y", "Target": "/y"},
        {"Type": "bind", "Source": "/z", "Target": "/z", "ReadOnly": True, "BindOptions": {"Propagation": "rslave"}},
        {"Type": "tmpfs", "Target": "/t", "TmpfsOptions": {"SizeBytes": 100_000}},
        {"Type": "volume", "Source": "v", "Target": "/v", "VolumeOptions": {"NoCopy": True, "Labels": {"a": "b"}}},
        {"Type": "volume", "Source": "w", "Target": "/w", "VolumeOptions": {}},
    ]


def test_a_full_container_reads_back_field_by_field(swarm: Target) -> None:
    kept = {
        "Labels": {"l": "1"},
        "Command": ["sh"],
        "Args": ["-c", "true"],
        "Hostname": "h-{{.Task.Slot}}",
        "Env": ["B=2", "A=1"],
        "Dir": "/tmp",  # noqa: S108 - a path inside the container
        "User": "0",
        "Groups": ["g"],
        "Init": False,
        "StopSignal": "SIGINT",
        "TTY": True,
        "ReadOnly": True,
        "StopGracePeriod": 0,
        "Healthcheck": {"Test": ["CMD", "true"], "Interval": SECOND, "Timeout": SECOND, "StartPeriod": SECOND, "Retries": 2},
        "Hosts": ["192.0.2.1 a"],
        "DNSConfig": {"Nameservers": ["192.0.2.2"], "Search": ["example.org"]},
        "Sysctls": {"net.core.somaxconn": "1"},
        "CapabilityAdd": ["CAP_NET_RAW"],
        "CapabilityDrop": ["ALL"],
        "Ulimits": [{"Name": "nofile", "Hard": 20, "Soft": 10}],
    }
    sent = {**kept, "Isolation": "nonsense", "OpenStdin": False, "Unknown": 1, "Privileges": {"CredentialSpec": None}}
    read = _written(swarm, swarm.spec("s", container=sent))["TaskTemplate"]["ContainerSpec"]
    assert read.pop("Privileges") == {"CredentialSpec": None, "SELinuxContext": None}
    assert read == {"Image": swarm.image, "Isolation": "default", **kept}


def test_a_template_reads_back_field_by_field(swarm: Target) -> None:
    kept = {
        "Resources": {
            "Limits": {"NanoCPUs": SECOND, "MemoryBytes": 1 << 24, "Pids": 9},
            "Reservations": {"MemoryBytes": 1 << 23, "GenericResources": [{"DiscreteResourceSpec": {"Kind": "x", "Value": 1}}]},
        },
        "RestartPolicy": {"Condition": "on-failure", "Delay": 0, "MaxAttempts": 3, "Window": SECOND},
        "Placement": {
            "Constraints": ["node.role==manager"],
            "Preferences": [{"Spread": {"SpreadDescriptor": "node.labels.rack"}}],
            "MaxReplicas": 2,
            "Platforms": [{"Architecture": "amd64", "OS": "linux"}],
        },
        "LogDriver": {"Name": "json-file", "Options": {"max-size": "1m"}},
        "ForceUpdate": 3,
    }
    read = _written(swarm, swarm.spec("s", template=kept))["TaskTemplate"]
    assert {key: read[key] for key in kept} == kept


def test_an_update_config_reads_back_field_by_field(swarm: Target) -> None:
    config = {
        "Parallelism": 2,
        "Delay": SECOND,
        "FailureAction": "rollback",
        "Monitor": SECOND,
        "MaxFailureRatio": 0.5,
        "Order": "start-first",
    }
    read = _written(swarm, swarm.spec("s", UpdateConfig=config, RollbackConfig=config))
    assert (read["UpdateConfig"], read["RollbackConfig"]) == (config, config)


def test_networks_are_kept_by_id_whatever_they_were_called(swarm: Target) -> None:
    network = swarm.network("n")
    read = _written(swarm, swarm.spec("s", template={"Networks": [{"Target": "n", "Aliases": ["a", "b"]}]}))
    assert read["TaskTemplate"]["Networks"] == [{"Target": network, "Aliases": ["a", "b"]}]
    assert _written(swarm, swarm.spec("t", template={"Networks": [{"Target": network}]}))["TaskTemplate"]["Networks"] == [
        {"Target": network}
    ]


def test_insert_defaults_shows_what_is_only_implied(swarm: Target) -> None:
    swarm.create(swarm.spec("s"))
    spec = swarm.must("GET", "/services/s?insertDefaults=true")["Spec"]
    update = {"Parallelism": 1, "FailureAction": "pause", "Monitor": 5 * SECOND, "MaxFailureRatio": 0, "Order": "stop-first"}
    assert (spec["UpdateConfig"], spec["RollbackConfig"]) == (update, update)
    template = spec["TaskTemplate"]
    assert template["RestartPolicy"] == {"Condition": "any", "Delay": 5 * SECOND, "MaxAttempts": 0}
    assert (template["Resources"], template["Placement"], template["ContainerSpec"]["DNSConfig"]) == ({}, {}, {})
    assert "UpdateConfig" not in swarm.service("s")["Spec"]


def test_a_new_service_has_no_history(swarm: Target) -> None:
    swarm.create(swarm.spec("s"))
    service = swarm.service("s")
    assert service["Endpoint"] == {"Spec": {}}
    assert not {"PreviousSpec", "UpdateStatus", "JobStatus", "ServiceStatus"} & set(service)


def test_ports_left_to_swarm_are_shown_in_the_endpoint_only(swarm: Target) -> None:
    swarm.create(swarm.spec("s", EndpointSpec={"Ports": [{"TargetPort": 80}]}))
    endpoint = swarm.wait(lambda: swarm.service("s")["Endpoint"], lambda seen: "Ports" in seen)
    assert endpoint["Ports"][0]["PublishedPort"] >= 30000
    assert "PublishedPort" not in endpoint["Spec"]["Ports"][0]
    assert [vip["NetworkID"] for vip in endpoint["VirtualIPs"]] == [swarm.must("GET", "/networks/ingress")["Id"]]
