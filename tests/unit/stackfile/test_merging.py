"""Several -c files become one stack as docker's client merges them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from controller.stackfile.merge import merge_services
from tests.unit.stackfile.memory import load, problem, problems, warnings

OBJECTS = """
networks: {n: , m: }
volumes: {one: , two: , three: }
configs: {c: {external: true}, d: {external: true}}
secrets: {c: {external: true}, d: {external: true}}
"""


def merged(*fields: str) -> Mapping[str, Any]:
    """The service `a` of several files, each given by its fields; the first brings the image and all objects."""
    texts = [f"services: {{a: {{{'image: x, ' if not index else ''}{field}}}}}" for index, field in enumerate(fields)]
    body: Mapping[str, Any] = load(texts[0] + OBJECTS, *texts[1:]).services["a"].body
    return body


def merged_container(*fields: str) -> Mapping[str, Any]:
    spec: Mapping[str, Any] = merged(*fields)["TaskTemplate"]["ContainerSpec"]
    return spec


@pytest.mark.parametrize(
    ("base", "override", "field", "expected"),
    [
        ("user: a", "user: b", "User", "b"),
        ("user: a", "user: ''", "User", "a"),
        ("tty: true", "tty: false", "TTY", True),
        ("init: true", "init: false", "Init", True),
        ("tty: true", "init: false", "Init", False),
        ("stop_grace_period: 5s", "stop_grace_period: 0s", "StopGracePeriod", 5_000_000_000),
        ("command: [a]", "command: [b]", "Args", ["b"]),
        ("command: [a]", "command: ''", "Args", ["a"]),
        ("entrypoint: [a, b]", "entrypoint: c", "Command", ["c"]),
        ("cap_add: [a]", "cap_add: [b]", "CapabilityAdd", ["CAP_A", "CAP_B"]),
        ("dns: [1.1.1.1]", "dns: [2.2.2.2, 1.1.1.1]", "DNSConfig", {"Nameservers": ["1.1.1.1", "2.2.2.2", "1.1.1.1"]}),
        ("extra_hosts: ['a:1.1.1.1']", "extra_hosts: ['a:2.2.2.2']", "Hosts", ["1.1.1.1 a", "2.2.2.2 a"]),
        ("environment: {A: 1, B: 2}", "environment: {A: '', C: 3}", "Env", ["A=1", "B=2", "C=3"]),
        ("environment: {A: }", "environment: {A: 1}", "Env", ["A=1"]),
        ("environment: {A: }", "environment: {A: ''}", "Env", ["A="]),
        ("sysctls: {a: 1, b: 2}", "sysctls: {a: ''}", "Sysctls", {"a": "", "b": "2"}),
        (
            "healthcheck: {test: [CMD, a], interval: 5s, retries: 3}",
            "healthcheck: {test: [CMD, b], interval: 0s, retries: 0, timeout: 1s}",
            "Healthcheck",
            {"Test": ["CMD", "a", "CMD", "b"], "Interval": 5_000_000_000, "Timeout": 1_000_000_000},
        ),
        (
            "ulimits: {nofile: {soft: 1, hard: 2}, nproc: 5}",
            "ulimits: {nofile: 0}",
            "Ulimits",
            [{"Name": "nofile", "Hard": 0, "Soft": 0}, {"Name": "nproc", "Hard": 5, "Soft": 5}],
        ),
    ],
)
def test_fields_of_a_container(base: str, override: str, field: str, expected: Any) -> None:
    assert merged_container(base, override)[field] == expected


def test_labels_are_merged_and_an_empty_one_wins() -> None:
    body = merged("labels: {a: 1, b: 2}, deploy: {labels: {a: 1}}", "labels: {a: ''}, deploy: {labels: [a=]}")
    assert body["TaskTemplate"]["ContainerSpec"]["Labels"].items() >= {"a": "", "b": "2"}.items()
    assert body["Labels"]["a"] == ""


def test_deploy_is_merged_field_by_field_and_numbers_that_docker_points_to_may_become_zero() -> None:
    base = (
        "deploy: {replicas: 3, endpoint_mode: vip, update_config: {parallelism: 2, delay: 3s, max_failure_ratio: 0.5},"
        " restart_policy: {condition: any, delay: 5s, max_attempts: 3},"
        " resources: {limits: {cpus: '1', memory: 1G, pids: 5}, reservations: {memory: 1G}},"
        " placement: {constraints: [a==b], max_replicas_per_node: 3}}"
    )
    override = (
        "deploy: {replicas: 0, endpoint_mode: '', update_config: {parallelism: 0, delay: 0s, max_failure_ratio: 0},"
        " restart_policy: {condition: '', delay: 0s, max_attempts: 0},"
        " resources: {limits: {cpus: '0', memory: '0', pids: 0}, reservations: {memory: 2G}},"
        " placement: {constraints: [c==d], max_replicas_per_node: 0}}"
    )
    body = merged(base, override)
    assert body["Mode"] == {"Replicated": {"Replicas": 0}}
    assert body["EndpointSpec"] == {"Mode": "vip"}
    assert body["UpdateConfig"] == {"Parallelism": 0, "Delay": 3_000_000_000, "MaxFailureRatio": 0.5, "Order": ""}
    task = body["TaskTemplate"]
    assert task["RestartPolicy"] == {"Condition": "any", "Delay": 5_000_000_000, "MaxAttempts": 0}
    assert task["Resources"] == {"Limits": {"MemoryBytes": 1024**3, "Pids": 5}, "Reservations": {"MemoryBytes": 2 * 1024**3}}
    assert task["Placement"] == {"Constraints": ["a==b", "c==d"], "MaxReplicas": 3}


def test_a_deploy_without_a_value_changes_nothing() -> None:
    assert merged("deploy: {replicas: 2}", "deploy: ")["Mode"] == {"Replicated": {"Replicas": 2}}
    assert merged("deploy: ", "deploy: {replicas: 2}")["Mode"] == {"Replicated": {"Replicas": 2}}


def test_ports_are_keyed_by_what_they_publish() -> None:
    ports = merged("ports: ['80:80', '81:81/udp', '90']", "ports: ['80:8080', '81:81', '91']")["EndpointSpec"]["Ports"]
    assert [(port.get("PublishedPort"), port["TargetPort"], port["Protocol"]) for port in ports] == [
        (None, 91, "tcp"),
        (80, 8080, "tcp"),
        (81, 81, "tcp"),
    ]


def test_ports_collide_even_when_the_override_has_none() -> None:
    ports = merged("ports: ['80:80', '80:80/udp']", "user: u")["EndpointSpec"]["Ports"]
    assert [port["Protocol"] for port in ports] == ["udp"]


def test_ports_of_the_override_alone_are_taken_as_they_are() -> None:
    assert len(merged("user: u", "ports: []", "ports: ['80:80', '80:80/udp']")["EndpointSpec"]["Ports"]) == 2


def test_volumes_are_keyed_and_sorted_by_target() -> None:
    mounts = merged_container("volumes: ['one:/z', 'two:/a']", "volumes: ['three:/z']")["Mounts"]
    assert [(mount["Target"], mount["Source"]) for mount in mounts] == [("/a", "s_two"), ("/z", "s_three")]


@pytest.mark.parametrize(("section", "field"), [("configs", "Configs"), ("secrets", "Secrets")])
def test_references_are_keyed_by_source(section: str, field: str) -> None:
    entries = merged_container(f"{section}: [d, c]", f"{section}: [{{source: c, target: t}}]")[field]
    assert [entry["File"]["Name"] for entry in entries] == ["t", "d"]


def test_networks_are_united_and_aliases_replaced() -> None:
    base = "networks: {n: {aliases: [q], driver_opts: {a: b}}}"
    targets = merged(base, "networks: {n: {driver_opts: {c: d}}, m: {aliases: [z]}}")["TaskTemplate"]["Networks"]
    assert targets == [
        {"Target": "s_m", "Aliases": ["z", "a"]},
        {"Target": "s_n", "Aliases": ["a"], "DriverOpts": {"a": "b"}},
    ]
    assert merged(base, "networks: [n]")["TaskTemplate"]["Networks"][0]["Aliases"] == ["q", "a"]
    assert merged("networks: [n]", base)["TaskTemplate"]["Networks"][0]["Aliases"] == ["q", "a"]


@pytest.mark.parametrize(
    ("base", "override", "driver"),
    [
        (
            "{driver: a, options: {x: 1, y: 2}}",
            "{options: {x: '', z: 3}}",
            {"Name": "a", "Options": {"x": "", "y": "2", "z": "3"}},
        ),
        ("{options: {x: 1}}", "{driver: b}", {"Name": "b", "Options": {"x": "1"}}),
        ("{driver: a, options: {x: 1}}", "{driver: a}", {"Name": "a", "Options": {"x": "1"}}),
        ("{driver: a, options: {x: 1}}", "{driver: b}", {"Name": "b"}),
        ("{driver: a}", "{options: {x: 1}}", {"Name": "a"}),
    ],
)
def test_logging_is_merged_unless_the_driver_changes(base: str, override: str, driver: Any) -> None:
    assert merged(f"logging: {base}", f"logging: {override}")["TaskTemplate"]["LogDriver"] == driver


def test_objects_of_the_override_replace_those_of_the_base_whole() -> None:
    base = "services: {a: {image: x}}\nnetworks: {default: {driver: d, attachable: true}}\n"
    assert load(base, "networks: {default: {internal: true}}").networks["s_default"].body["Driver"] == "overlay"
    assert load(base, "networks: {default: }").networks["s_default"].body["Attachable"] is False


def test_services_of_several_files_are_sorted_by_name() -> None:
    assert list(load("services: {b: {image: x}}", "services: {a: {image: x}}").services) == ["a", "b"]
    assert list(load("services: {b: {image: x}, a: {image: x}}").services) == ["b", "a"]


def test_policies_are_merged_deeply_and_lists_appended() -> None:
    base = "x-prodbreaker: {drift: report, ignore: [image], budget: {actions: 2, per: 1m}}"
    override = "x-prodbreaker: {drift: revert, ignore: [ports], budget: {actions: 3}}"
    policy = load(f"services: {{a: {{image: x, {base}}}}}", f"services: {{a: {{{override}}}}}").services["a"].policy
    assert (policy.drift, policy.ignore, policy.budget.actions) == ("revert", ("image", "ports"), 3)
    assert policy.budget.per.total_seconds() == 60


def test_a_stack_policy_counts_only_in_the_first_file() -> None:
    texts = ("x-prodbreaker: {prune: true}", "x-prodbreaker: {prune: false}")
    assert load(*texts).policy.prune
    assert warnings(*texts) == ["x-prodbreaker: is read only in the first file"]


def test_three_files_are_merged_from_left_to_right() -> None:
    assert merged_container("user: a", "user: b", "user: c")["User"] == "c"


def test_merging_leaves_its_inputs_as_they_were() -> None:
    base: dict[str, dict[str, Any]] = {"a": {"labels": {"x": "1"}, "ports": [{"target": 80, "published": 80}]}}
    override: dict[str, dict[str, Any]] = {"a": {"labels": {"y": "2"}}, "b": {"image": "x"}}
    merge_services(base, override)
    assert base == {"a": {"labels": {"x": "1"}, "ports": [{"target": 80, "published": 80}]}}


def test_a_fault_is_located_in_the_file_that_decided() -> None:
    found = problem("services: {a: {image: x, user: u}}", "\nservices:\n  a: {image: 'not an image'}")
    assert (found.file, found.line, found.path) == ("2.yml", 3, "services.a.image")


def test_a_fault_in_a_merged_list_is_located_by_what_it_names() -> None:
    base = "services: {a: {image: x, volumes: [{type: volume, volume: {nocopy: true}, source: zz, target: /z}]}}"
    found = problem(base, "services: {a: {volumes: ['one:/a']}}\nvolumes: {one: }")
    assert (found.file, found.path) == ("1.yml", "services.a.volumes[0]")


def test_an_entry_that_is_wrong_in_one_file_is_not_judged_again() -> None:
    found = problems("services: {a: {tty: 5}, b: {image: x, depends_on: [a]}}", "services: {a: {user: u}}")
    assert [fault.path for fault in found] == ["services.a.tty"]
