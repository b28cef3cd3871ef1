"""Which nodes a task may run on: swarmkit's own rules."""

from __future__ import annotations

from typing import Any

import pytest

from controller.core.placement import (
    Reservation,
    constraints,
    has_plugin,
    host_ports,
    is_available,
    plugins,
    reservations,
    runs_on,
)
from controller.model.spec import Json
from tests.support.nodes import GIB, node

NODE = node("Alpha", labels={"disk": "ssd"}, engine={"gpu": "NVIDIA"}, address="10.1.2.3")


def meets(text: str, subject: Json = NODE) -> bool:
    (constraint,) = constraints({"Constraints": [text]})
    return constraint.is_met_by(subject)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("node.id == id-of-Alpha", True),
        ("node.id==ID-OF-ALPHA", True),  # values do not mind their case
        ("NODE.ID == id-of-Alpha", True),  # nor do keys
        ("node.hostname == alpha", True),
        ("node.hostname != alpha", False),
        ("node.role == worker", True),
        ("node.role == manager", False),
        ("node.platform.os == linux", True),
        ("node.platform.arch == x86_64", True),
        ("node.platform.arch == amd64", False),  # compared to the letter, unlike an image's
        ("node.labels.disk == SSD", True),
        ("Node.Labels.disk == ssd", True),
        ("node.labels.Disk == ssd", False),  # a label's name minds its case
        ("node.labels.zone != a", True),  # a label that is not there is empty
        ("node.labels.zone == a", False),
        ("engine.labels.gpu == nvidia", True),
        ("engine.labels.gpu != nvidia", False),
        ("node.ip == 10.1.2.3", True),
        ("node.ip == 10.1.0.0/16", True),
        ("node.ip != 10.1.0.0/16", False),
        ("node.ip == 10.2.0.0/16", False),
        ("node.ip == nonsense", False),
        ("node.ip != nonsense", False),
        ("node.label.disk == ssd", False),  # nobody knows the key
        ("node.label.disk != ssd", False),
        ("node.labels. == x", False),
    ],
)
def test_a_constraint_is_met_as_swarmkit_reads_it(text: str, expected: bool) -> None:
    assert meets(text) is expected


def test_a_node_without_labels_or_description_has_them_empty() -> None:
    bare = {"ID": "n", "Spec": {"Labels": None, "Role": "worker"}}

    assert meets("node.labels.disk != ssd", bare)
    assert meets("engine.labels.gpu != nvidia", bare)
    assert not meets("node.hostname == alpha", bare)


def test_an_address_that_is_not_told_is_no_proof() -> None:
    assert meets("node.ip == 10.9.9.9", {"ID": "n"})


def test_a_role_that_changes_may_be_either() -> None:
    promoted = {**node(role="manager"), "ManagerStatus": None}  # wanted as manager, not one yet

    assert meets("node.role == manager", promoted)
    assert meets("node.role == worker", promoted)


@pytest.mark.parametrize("text", ["node.role", "role = x", "x == y", "node.labels.a == ä", "node.labels.a =="])
def test_constraints_of_which_one_cannot_be_read_are_the_managers_to_refuse(text: str) -> None:
    assert constraints({"Constraints": ["node.role == manager", text]}) == ()


def test_a_constraint_is_shown_as_people_write_it() -> None:
    assert [str(item) for item in constraints({"Constraints": ["a.b==c", "a.b !=c"]})] == ["a.b == c", "a.b != c"]
    assert constraints({"Constraints": None}) == ()


@pytest.mark.parametrize(
    ("state", "availability", "expected"),
    [("ready", "active", True), ("down", "active", False), ("ready", "pause", False), ("ready", "drain", False)],
)
def test_only_ready_and_active_nodes_get_tasks(state: str, availability: str, expected: bool) -> None:
    assert is_available(node(state=state, availability=availability)) is expected


@pytest.mark.parametrize(
    ("platforms", "expected"),
    [
        ([], True),
        ([{"Architecture": "amd64", "OS": "linux"}], True),
        ([{"Architecture": "x86_64", "OS": "linux"}], True),
        ([{"Architecture": "arm64", "OS": "linux"}], False),
        ([{"Architecture": "arm64", "OS": "linux"}, {"Architecture": "amd64", "OS": "linux"}], True),
        ([{"Architecture": "amd64", "OS": "windows"}], False),
        ([{"OS": "linux"}], True),  # docker's client leaves `arm` out: nodes call it by its variant
        ([{}], True),
    ],
)
def test_an_image_runs_where_one_of_its_platforms_is_the_nodes(platforms: list[Json], expected: bool) -> None:
    assert runs_on(platforms, node()) is expected


def test_arm_has_two_names_and_a_node_that_tells_none_counts_as_fitting() -> None:
    assert runs_on([{"Architecture": "arm64", "OS": "linux"}], node(platform={"Architecture": "aarch64", "OS": "linux"}))
    assert runs_on([{"Architecture": "arm64", "OS": "linux"}], {"ID": "n"})


def test_drivers_of_volumes_and_of_logs_are_plugins_of_the_node() -> None:
    mounts: list[dict[str, Any]] = [
        {"Type": "volume", "VolumeOptions": {"DriverConfig": {"Name": "rexray"}}},
        {"Type": "volume", "VolumeOptions": {"DriverConfig": {"Name": "local"}}},
        {"Type": "volume"},
        {"Type": "bind", "VolumeOptions": {"DriverConfig": {"Name": "odd"}}},
    ]
    task = {"ContainerSpec": {"Mounts": mounts}, "LogDriver": {"Name": "loki"}}

    assert plugins(task) == (("volumes", "Volume", "rexray"), ("logging.driver", "Log", "loki"))
    assert plugins({"LogDriver": {"Name": "none"}}) == plugins({}) == ()


def test_a_plugin_is_there_by_its_name_with_or_without_latest() -> None:
    has = node(plugins=[{"Type": "Volume", "Name": "rexray:latest"}, {"Type": "Log", "Name": "json-file"}])

    assert has_plugin("Volume", "rexray", has)
    assert has_plugin("Log", "json-file", has)
    assert not has_plugin("Volume", "json-file", has)
    assert has_plugin("Network", "weave", has)  # no word about networks: it has not said what it has
    assert has_plugin("Volume", "rexray", {"ID": "n"})


def test_reservations_are_read_with_their_amounts() -> None:
    asked = {
        "NanoCPUs": 1_500_000_000,
        "MemoryBytes": 512 << 20,
        "GenericResources": [
            {"DiscreteResourceSpec": {"Kind": "gpu", "Value": 2}},
            {"NamedResourceSpec": {"Kind": "x", "Value": "y"}},
        ],
    }
    found = reservations({"Resources": {"Reservations": asked}})

    assert [(item.field.rpartition(".")[2], item.told(item.asked)) for item in found] == [
        ("cpus", "1.5"),
        ("memory", "512 MiB"),
        ("generic_resources", "2 gpu"),
    ]
    assert reservations({"Resources": None}) == ()


@pytest.mark.parametrize(
    ("generic", "expected"),
    [
        ([{"DiscreteResourceSpec": {"Kind": "gpu", "Value": 3}}], 3),
        ([{"NamedResourceSpec": {"Kind": "gpu", "Value": name}} for name in "ab"], 2),
        ([{"DiscreteResourceSpec": {"Kind": "ssd", "Value": 3}}], 0),
        (None, 0),
    ],
)
def test_generic_resources_are_counted_or_named(generic: Any, expected: int) -> None:
    assert Reservation("deploy.resources.reservations.generic_resources", "gpu", 1).stock(node(generic=generic)) == expected


def test_a_node_that_does_not_tell_its_resources_has_room_for_any_number() -> None:
    memory = Reservation("deploy.resources.reservations.memory", "MemoryBytes", 3 * GIB)

    assert memory.room(node()) == 2
    assert memory.room({"ID": "n"}) is None
    assert memory.room(node(resources={"NanoCPUs": 1})) is None


def test_only_numbered_ports_in_host_mode_are_the_nodes() -> None:
    ports = [
        {"PublishMode": "host", "PublishedPort": 80, "TargetPort": 80, "Protocol": "udp"},
        {"PublishMode": "host", "PublishedPort": 81, "TargetPort": 80},
        {"PublishMode": "host", "TargetPort": 82},
        {"PublishMode": "ingress", "PublishedPort": 83, "TargetPort": 80},
    ]

    assert host_ports({"EndpointSpec": {"Ports": ports}}) == {(80, "udp"), (81, "tcp")}
    assert host_ports({"EndpointSpec": None}) == frozenset()
