"""A service becomes the ServiceSpec that docker's client sends."""

from __future__ import annotations

from typing import Any

import pytest

from controller.stackfile.capabilities import effective_capabilities
from tests.unit.stackfile.memory import container, load, service

PRIVILEGES = {"CredentialSpec": None, "NoNewPrivileges": False, "SELinuxContext": None}


def test_the_smallest_service() -> None:
    assert service("image: nginx") == {
        "Name": "s_a",
        "Labels": {"com.docker.stack.namespace": "s", "com.docker.stack.image": "nginx"},
        "TaskTemplate": {
            "ContainerSpec": {
                "Image": "nginx:latest",
                "Labels": {"com.docker.stack.namespace": "s"},
                "Privileges": PRIVILEGES,
            },
            "Resources": {},
            "Placement": {},
            "Networks": [{"Target": "s_default", "Aliases": ["a"]}],
            "ForceUpdate": 0,
        },
        "Mode": {"Replicated": {}},
        "EndpointSpec": {},
    }


def test_fields_that_are_sent_as_they_stand() -> None:
    fields = "hostname: '{{.Node.Hostname}}', working_dir: /w, user: u, stop_signal: S, tty: true, stdin_open: true"
    spec = container(f"{fields}, read_only: true, isolation: i, init: false, stop_grace_period: 0s, sysctls: [a=1]")
    assert (
        spec.items()
        >= {
            "Hostname": "{{.Node.Hostname}}",
            "Dir": "/w",
            "User": "u",
            "StopSignal": "S",
            "TTY": True,
            "OpenStdin": True,
            "ReadOnly": True,
            "Isolation": "i",
            "Init": False,
            "StopGracePeriod": 0,
            "Sysctls": {"a": "1"},
        }.items()
    )


def test_stack_labels_win_over_those_of_the_file() -> None:
    own = "com.docker.stack.namespace: mine, com.docker.stack.image: mine, a: b"
    body = service(f"image: 'docker.io/library/x', labels: {{{own}}}, deploy: {{labels: {{{own}}}}}")
    assert body["Labels"] == {"a": "b", "com.docker.stack.namespace": "s", "com.docker.stack.image": "docker.io/library/x"}
    labels = body["TaskTemplate"]["ContainerSpec"]["Labels"]
    assert labels == {"a": "b", "com.docker.stack.namespace": "s", "com.docker.stack.image": "mine"}


@pytest.mark.parametrize(
    ("deploy", "mode"),
    [
        ("{}", {"Replicated": {}}),
        ("{mode: ''}", {"Replicated": {}}),
        ("{mode: replicated, replicas: 0}", {"Replicated": {"Replicas": 0}}),
        ("{mode: global}", {"Global": {}}),
        ("{mode: replicated-job}", {"ReplicatedJob": {}}),
        ("{mode: replicated-job, replicas: 2}", {"ReplicatedJob": {"MaxConcurrent": 2, "TotalCompletions": 2}}),
        ("{mode: global-job}", {"GlobalJob": {}}),
    ],
)
def test_modes(deploy: str, mode: Any) -> None:
    assert service(f"deploy: {deploy}")["Mode"] == mode


def test_endpoint_modes_are_lower_case() -> None:
    assert service("deploy: {endpoint_mode: DNSRR}")["EndpointSpec"] == {"Mode": "dnsrr"}


@pytest.mark.parametrize(("name", "field"), [("update_config", "UpdateConfig"), ("rollback_config", "RollbackConfig")])
def test_update_configs(name: str, field: str) -> None:
    assert service(f"deploy: {{{name}: {{}}}}")[field] == {"Parallelism": 1, "MaxFailureRatio": 0, "Order": ""}
    full = "{parallelism: 0, delay: 1s, failure_action: pause, monitor: 2s, max_failure_ratio: 0.5, order: start-first}"
    assert service(f"deploy: {{{name}: {full}}}")[field] == {
        "Parallelism": 0,
        "Delay": 1_000_000_000,
        "FailureAction": "pause",
        "Monitor": 2_000_000_000,
        "MaxFailureRatio": 0.5,
        "Order": "start-first",
    }
    assert field not in service("deploy: {}")


@pytest.mark.parametrize(
    ("fields", "policy"),
    [
        ("user: u", None),
        ("restart: ''", None),
        ("restart: 'no'", None),
        ("restart: always", {"Condition": "any"}),
        ("restart: unless-stopped", {"Condition": "any"}),
        ("restart: on-failure", {"Condition": "on-failure", "MaxAttempts": 0}),
        ("restart: 'on-failure:5'", {"Condition": "on-failure", "MaxAttempts": 5}),
        ("deploy: {restart_policy: {}}", {}),
        ("restart: always, deploy: {restart_policy: {condition: none}}", {"Condition": "none"}),
        (
            "deploy: {restart_policy: {condition: any, delay: 0s, max_attempts: 0, window: 1m}}",
            {"Condition": "any", "Delay": 0, "MaxAttempts": 0, "Window": 60_000_000_000},
        ),
    ],
)
def test_restart_policies(fields: str, policy: Any) -> None:
    assert service(fields)["TaskTemplate"].get("RestartPolicy") == policy


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        ("{}", {}),
        ("{limits: {}}", {"Limits": {}}),
        (
            "{limits: {cpus: '0.5', memory: 1.5g, pids: 9}}",
            {"Limits": {"MemoryBytes": 1610612736, "Pids": 9, "NanoCPUs": 500000000}},
        ),
        ("{reservations: {cpus: '', memory: 64M}}", {"Reservations": {"MemoryBytes": 67108864}}),
        (
            "{reservations: {generic_resources: [{discrete_resource_spec: {kind: GPU, value: 2.9}}, {}]}}",
            {"Reservations": {"GenericResources": [{"DiscreteResourceSpec": {"Kind": "GPU", "Value": 2}}, {}]}},
        ),
    ],
)
def test_resources(resources: str, expected: Any) -> None:
    assert service(f"deploy: {{resources: {resources}}}")["TaskTemplate"]["Resources"] == expected


def test_placement() -> None:
    fields = "{constraints: ['a == b'], preferences: [{spread: node.labels.zone}, {}], max_replicas_per_node: 2}"
    assert service(f"deploy: {{placement: {fields}}}")["TaskTemplate"]["Placement"] == {
        "Constraints": ["a == b"],
        "MaxReplicas": 2,
        "Preferences": [{"Spread": {"SpreadDescriptor": "node.labels.zone"}}, {"Spread": {"SpreadDescriptor": ""}}],
    }


@pytest.mark.parametrize(
    ("healthcheck", "expected"),
    [
        ("{}", {}),
        ("{test: curl x}", {"Test": ["CMD-SHELL", "curl x"]}),
        ("{test: NONE}", {"Test": ["CMD-SHELL", "NONE"]}),
        ("{test: [NONE]}", {"Test": ["NONE"]}),
        ("{disable: true, interval: 5s}", {"Test": ["NONE"]}),
        ("{disable: false, interval: 5s, retries: 0}", {"Interval": 5_000_000_000}),
        (
            "{timeout: 1s, start_period: 2s, start_interval: 3s, retries: 4}",
            {"Timeout": 1_000_000_000, "StartPeriod": 2_000_000_000, "StartInterval": 3_000_000_000, "Retries": 4},
        ),
    ],
)
def test_healthchecks(healthcheck: str, expected: Any) -> None:
    assert container(f"healthcheck: {healthcheck}")["Healthcheck"] == expected


def test_logging() -> None:
    assert service("logging: {}")["TaskTemplate"]["LogDriver"] == {}
    task = service("logging: {driver: json-file, options: {max-file: 3, empty: }}")["TaskTemplate"]
    assert task["LogDriver"] == {"Name": "json-file", "Options": {"max-file": "3", "empty": ""}}


@pytest.mark.parametrize(
    ("add", "drop", "added", "dropped"),
    [
        ([" net_admin ", "CAP_NET_ADMIN", "sys_time"], [], ["CAP_NET_ADMIN", "CAP_SYS_TIME"], []),
        (["a"], ["a", "b"], ["CAP_A"], ["CAP_B"]),
        (["ALL", "a"], ["b"], ["ALL"], ["CAP_B"]),
        (["a"], ["ALL", "b"], ["CAP_A"], ["ALL"]),
        (["ALL"], ["ALL"], ["ALL"], []),
        (["RESET"], ["reset", "a"], [], ["CAP_A"]),
    ],
)
def test_capabilities(add: list[str], drop: list[str], added: list[str], dropped: list[str]) -> None:
    assert effective_capabilities(add, drop) == (added, dropped)


VOLUMES = """
volumes:
  plain:
  named: {name: fixed, labels: {a: b}}
  nfs: {driver: local, driver_opts: {type: nfs, port: 1}}
  opts: {driver_opts: {}}
  ext: {external: true}
  old: {external: {name: legacy}}
"""
LABELS = {"com.docker.stack.namespace": "s"}


@pytest.mark.parametrize(
    ("volume", "mount"),
    [
        ("/anon", {"Type": "volume", "Target": "/anon"}),
        ("{type: '', target: /a}", {"Type": "volume", "Target": "/a"}),
        ("{type: volume, target: /a, volume: {nocopy: true}}", {"Type": "volume", "Target": "/a"}),
        (
            "'plain:/a:ro'",
            {"Type": "volume", "Source": "s_plain", "Target": "/a", "ReadOnly": True, "VolumeOptions": {"Labels": LABELS}},
        ),
        (
            "{type: volume, source: named, target: /a, volume: {nocopy: true, subpath: x/y}}",
            {
                "Type": "volume",
                "Source": "fixed",
                "Target": "/a",
                "VolumeOptions": {"NoCopy": True, "Subpath": "x/y", "Labels": {"a": "b", **LABELS}},
            },
        ),
        (
            "'nfs:/a'",
            {
                "Type": "volume",
                "Source": "s_nfs",
                "Target": "/a",
                "VolumeOptions": {"Labels": LABELS, "DriverConfig": {"Name": "local", "Options": {"type": "nfs", "port": "1"}}},
            },
        ),
        (
            "'opts:/a'",
            {"Type": "volume", "Source": "s_opts", "Target": "/a", "VolumeOptions": {"Labels": LABELS, "DriverConfig": {}}},
        ),
        ("'ext:/a'", {"Type": "volume", "Source": "ext", "Target": "/a", "VolumeOptions": {}}),
        ("'old:/a'", {"Type": "volume", "Source": "legacy", "Target": "/a", "VolumeOptions": {}}),
        ("'/b:/a:rslave'", {"Type": "bind", "Source": "/b", "Target": "/a", "BindOptions": {"Propagation": "rslave"}}),
        (
            "{type: bind, source: /b, target: /a, bind: {create_host_path: true}, consistency: cached}",
            {"Type": "bind", "Source": "/b", "Target": "/a", "BindOptions": {}, "Consistency": "cached"},
        ),
        ("{type: tmpfs, target: /a}", {"Type": "tmpfs", "Target": "/a"}),
        ("{type: tmpfs, target: /a, tmpfs: {size: 9}}", {"Type": "tmpfs", "Target": "/a", "TmpfsOptions": {"SizeBytes": 9}}),
        ("{type: tmpfs, target: /a, tmpfs: {mode: 5}}", {"Type": "tmpfs", "Target": "/a", "TmpfsOptions": {}}),
        ("{type: npipe, source: p, target: /a}", {"Type": "npipe", "Source": "p", "Target": "/a"}),
        (
            "{type: cluster, source: plain, target: /a}",
            {"Type": "cluster", "Source": "s_plain", "Target": "/a", "ClusterOptions": {}},
        ),
        (
            "{type: cluster, source: 'group:g', target: /a}",
            {"Type": "cluster", "Source": "group:g", "Target": "/a", "ClusterOptions": {}},
        ),
    ],
)
def test_mounts(volume: str, mount: Any) -> None:
    assert container(f"volumes: [{volume}]", rest=VOLUMES)["Mounts"] == [mount]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("{}", None),
        ("{file: f}", {"Config": "", "File": "f", "Registry": ""}),
        ("{registry: r}", {"Config": "", "File": "", "Registry": "r"}),
        ("{config: c}", {"Config": "id:s_c", "File": "", "Registry": ""}),
        ("{config: e}", {"Config": "id:e", "File": "", "Registry": ""}),
    ],
)
def test_credential_specs(spec: str, expected: Any) -> None:
    rest = "configs: {c: {file: f}, e: {external: true}}"
    assert container(f"credential_spec: {spec}", rest=rest, files={"f": "x"})["Privileges"] == {
        **PRIVILEGES,
        "CredentialSpec": expected,
    }


def test_a_credential_config_is_referred_to_at_run_time() -> None:
    configs = container("credential_spec: {config: c}", rest="configs: {c: {file: f}}", files={"f": "x"})["Configs"]
    assert configs == [{"ConfigID": "id:s_c", "ConfigName": "s_c", "Runtime": {}}]


def test_dependencies_are_kept_for_the_planner() -> None:
    stack = load("services: {a: {image: x, depends_on: [c, b]}, b: {image: x}, c: {image: x, depends_on: [b]}}")
    assert {key: desired.depends_on for key, desired in stack.services.items()} == {"a": ("c", "b"), "b": (), "c": ("b",)}
