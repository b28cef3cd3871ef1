"""What is written back: equal sections to the letter, ignored fields as they are live."""

from __future__ import annotations

from typing import Any

import pytest

from controller.core.canonical import Section
from controller.core.compose import composed, ignorable, is_covered
from controller.core.diff import difference
from controller.core.values import Context
from controller.model.spec import Json
from controller.stackfile.policy import IGNORABLE_FIELDS, KEYED_FIELDS
from tests.support.specs import CONTEXT, body, mounted


def written(declared: Json, live: Json, *, ignore: tuple[str, ...] = (), context: Context = CONTEXT) -> dict[str, Any]:
    return composed(declared, live, difference(declared, live, context, ignore=ignore).sections, ignore=ignore)


def test_equal_sections_are_sent_back_to_the_letter() -> None:
    live = body(
        container={"Env": ["B=2", "A=1"], "StopGracePeriod": 10_000_000_000},
        task={"Networks": [{"Target": "n2"}, {"Target": "n1"}], "ForceUpdate": 4, "Runtime": "container"},
        EndpointSpec={"Mode": "vip", "Ports": [{"TargetPort": 81}, {"TargetPort": 80}]},
        UpdateConfig={"Parallelism": 1, "FailureAction": "pause"},
    )
    declared = body(
        labels={"tier": "front"},
        container={"Env": ["A=1", "B=2"]},
        task={"Networks": [{"Target": "n1"}, {"Target": "n2"}]},
        EndpointSpec={"Ports": [{"TargetPort": 80}, {"TargetPort": 81}]},
    )

    assert written(declared, live) == {**live, "Labels": declared["Labels"]}


def test_a_section_that_differs_is_taken_as_declared_and_force_update_is_kept() -> None:
    live = body(container={"Env": ["A=1"]}, task={"ForceUpdate": 4})
    declared = body(container={"Env": ["A=2"], "Hostname": "h"})

    result = written(declared, live)

    assert result["TaskTemplate"]["ContainerSpec"] == declared["TaskTemplate"]["ContainerSpec"]
    assert result["TaskTemplate"]["ForceUpdate"] == 4


def test_a_section_that_is_not_declared_is_left_out() -> None:
    live = body(UpdateConfig={"Parallelism": 2}, task={"LogDriver": {"Name": "syslog"}})

    result = written(body(), live)

    assert "UpdateConfig" not in result
    assert "LogDriver" not in result["TaskTemplate"]


def test_what_was_set_by_hand_in_the_task_template_is_taken_away() -> None:
    live = body(task={"PluginSpec": {"Name": "x"}, "ForceUpdate": 1})

    result = written(body(), live)["TaskTemplate"]

    assert "PluginSpec" not in result
    assert result["ForceUpdate"] == 1


def test_a_live_spec_without_a_task_template_gets_the_declared_one() -> None:
    assert written(body(), {"Name": "shop_web"})["TaskTemplate"]["ContainerSpec"]["Image"] == "nginx:1"


def test_the_live_spec_itself_is_never_changed() -> None:
    live = body(container={"Env": ["A=1"], "Labels": {"a": "1"}})
    before = repr(live)

    written(body(container={"Env": ["A=2"], "Labels": {"a": "2", "b": "2"}}), live, ignore=("environment.A", "labels.a"))

    assert repr(live) == before


# Two values for every field that may be ignored: what is declared, and what is live.
_GPU = {"GenericResources": [{"DiscreteResourceSpec": {"Kind": "gpu", "Value": 1}}]}
_VALUES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "image": ({"Image": "nginx:1"}, {"Image": "nginx:2"}),
    "command": ({"Args": ["a"]}, {"Args": ["b"]}),
    "entrypoint": ({"Command": ["a"]}, {"Command": ["b"]}),
    "environment": ({"Env": ["A=1"]}, {"Env": ["A=2", "B=1"]}),
    "labels": ({"Labels": {"a": "1"}}, {"Labels": {"a": "2", "b": "1"}}),
    "hostname": ({"Hostname": "a"}, {"Hostname": "b"}),
    "working_dir": ({"Dir": "/a"}, {"Dir": "/b"}),
    "user": ({"User": "a"}, {}),
    "stop_signal": ({}, {"StopSignal": "SIGINT"}),
    "stop_grace_period": ({"StopGracePeriod": 1}, {"StopGracePeriod": 2}),
    "tty": ({"TTY": True}, {}),
    "stdin_open": ({"OpenStdin": True}, {}),
    "read_only": ({"ReadOnly": True}, {}),
    "init": ({"Init": True}, {"Init": False}),
    "isolation": ({"Isolation": "process"}, {"Isolation": "hyperv"}),
    "extra_hosts": ({"Hosts": ["1.1.1.1 a"]}, {"Hosts": ["1.1.1.1 b"]}),
    "dns": ({"DNSConfig": {"Nameservers": ["1.1.1.1"]}}, {"DNSConfig": {"Nameservers": ["2.2.2.2"]}}),
    "dns_search": ({"DNSConfig": {"Search": ["a"]}}, {"DNSConfig": {"Search": ["b"]}}),
    "cap_add": ({"CapabilityAdd": ["CAP_A"]}, {"CapabilityAdd": ["CAP_B"]}),
    "cap_drop": ({"CapabilityDrop": ["CAP_A"]}, {"CapabilityDrop": ["CAP_B"]}),
    "sysctls": ({"Sysctls": {"a": "1"}}, {"Sysctls": {"a": "2"}}),
    "ulimits": ({"Ulimits": [{"Name": "a", "Soft": 1}]}, {"Ulimits": [{"Name": "a", "Soft": 2}]}),
    "healthcheck": ({"Healthcheck": {"Test": ["CMD", "a"]}}, {"Healthcheck": {"Test": ["CMD", "b"], "Retries": 2}}),
    "volumes": ({"Mounts": [{"Source": "/a", "Target": "/t"}]}, {"Mounts": [{"Source": "/b", "Target": "/t"}]}),
    "configs": ({"Configs": [mounted("Config", "a", "/t")]}, {"Configs": [mounted("Config", "b", "/t")]}),
    "secrets": ({"Secrets": [mounted("Secret", "a", "/t")]}, {"Secrets": [mounted("Secret", "b", "/t")]}),
    "credential_spec": (
        {"Privileges": {"CredentialSpec": {"File": "a"}}},
        {"Privileges": {"CredentialSpec": {"File": "b"}, "SELinuxContext": None}},
    ),
    "deploy.labels": ({"Labels": {"a": "1"}}, {"Labels": {"a": "2", "b": "1"}}),
    "deploy.replicas": ({"Mode": {"Replicated": {"Replicas": 1}}}, {"Mode": {"Replicated": {"Replicas": 5}}}),
    "deploy.update_config": ({"UpdateConfig": {"Parallelism": 1}}, {"UpdateConfig": {"Parallelism": 2, "Delay": 1}}),
    "deploy.rollback_config": ({}, {"RollbackConfig": {"Parallelism": 2}}),
    "deploy.endpoint_mode": ({"EndpointSpec": {"Mode": "vip"}}, {"EndpointSpec": {"Mode": "dnsrr"}}),
    "ports": ({"EndpointSpec": {"Ports": [{"TargetPort": 80}]}}, {"EndpointSpec": {"Ports": [{"TargetPort": 81}]}}),
    "deploy.resources": ({"Resources": {"Limits": {"Pids": 1}}}, {"Resources": {"Reservations": _GPU, "SwapBytes": 5}}),
    "deploy.resources.limits": ({"Resources": {"Limits": {"Pids": 1}}}, {"Resources": {"Limits": {"Pids": 2}}}),
    "deploy.resources.reservations": ({"Resources": {}}, {"Resources": {"Reservations": _GPU}}),
    "deploy.restart_policy": ({"RestartPolicy": {"Condition": "none"}}, {"RestartPolicy": {"Condition": "any", "Delay": 1}}),
    "deploy.placement": ({"Placement": {"MaxReplicas": 1}}, {"Placement": {"Constraints": ["a==b"]}}),
    "deploy.placement.constraints": ({"Placement": {"Constraints": ["a==a"]}}, {"Placement": {"Constraints": ["a==b"]}}),
    "deploy.placement.preferences": (
        {"Placement": {"Preferences": [{"Spread": {"SpreadDescriptor": "a"}}]}},
        {"Placement": {"Preferences": [{"Spread": {"SpreadDescriptor": "b"}}]}},
    ),
    "networks": ({"Networks": [{"Target": "a"}]}, {"Networks": [{"Target": "a", "Aliases": ["x"]}, {"Target": "b"}]}),
    "logging": ({}, {"LogDriver": {"Name": "syslog", "Options": {"tag": "x"}}}),
}
_TASK = {"Resources", "RestartPolicy", "Placement", "Networks", "LogDriver"}
_SERVICE = {"Mode", "UpdateConfig", "RollbackConfig", "EndpointSpec"}


def spec(path: str, parts: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A service with the parts where they belong, and with `more` in every section."""
    if path == "deploy.labels":
        made = body(labels={**parts["Labels"], "other": more["other"]})
    else:
        made = body(labels={"other": more["other"]})
    task = made["TaskTemplate"]
    task["ContainerSpec"]["Args"] = [more["other"]]
    for key, value in parts.items():
        if path != "deploy.labels" and key in _SERVICE | {"Labels"} and path != "labels":
            made[key] = value
        elif key in _TASK:
            task[key] = value
        elif path != "deploy.labels":
            task["ContainerSpec"][key] = value
    return made


def test_every_field_that_a_file_may_ignore_is_known_here() -> None:
    assert set(_VALUES) == set(IGNORABLE_FIELDS)
    assert all(ignorable(path) for path in IGNORABLE_FIELDS)
    assert all(ignorable(f"{path}.KEY.with.dots") for path in KEYED_FIELDS)


@pytest.mark.parametrize("path", ["", "deploy", "deploy.mode", "environment.", "networks.a", "image.tag", "deploy.labels."])
def test_what_is_no_single_field_cannot_be_ignored(path: str) -> None:
    assert not ignorable(path)


@pytest.mark.parametrize("path", sorted(_VALUES))
def test_an_ignored_field_is_no_difference_and_keeps_its_live_value(path: str) -> None:
    mine, theirs = _VALUES[path]
    declared, live = spec(path, mine, other="new"), spec(path, theirs, other="old")

    assert difference(spec(path, mine, other="same"), spec(path, theirs, other="same"), CONTEXT).sections, (
        "the values must differ"
    )
    found = difference(declared, live, CONTEXT, ignore=(path,))
    result = composed(declared, live, found.sections, ignore=(path,))

    assert found.sections
    left = difference(result, live, CONTEXT).changes
    assert [change.field for change in left] == [change.field for change in found.changes]
    assert not difference(declared, result, CONTEXT, ignore=(path,)).sections


@pytest.mark.parametrize("path", sorted(_VALUES))
def test_an_ignored_field_keeps_its_live_value_also_where_its_whole_section_is_written(path: str) -> None:
    mine, theirs = _VALUES[path]
    declared, live = spec(path, mine, other="new"), spec(path, theirs, other="old")

    result = composed(declared, live, frozenset(Section), ignore=(path,))

    assert not [change for change in difference(result, live, CONTEXT).changes if is_covered(change.field, (path,))]


@pytest.mark.parametrize(
    ("path", "declared", "live", "expected"),
    [
        ("environment.DEBUG", ["A=1", "DEBUG=0"], ["A=0", "DEBUG=1"], ["A=1", "DEBUG=1"]),
        ("environment.DEBUG", ["A=1", "DEBUG=0"], ["A=0"], ["A=1"]),
        ("environment.DEBUG", ["A=1"], ["A=0", "DEBUG"], ["A=1", "DEBUG"]),
        ("environment.DEBUG", [], ["A=0", "DEBUG=1", "DEBUGGER=1"], ["DEBUG=1"]),
    ],
)
def test_a_single_variable_may_be_ignored(path: str, declared: list[str], live: list[str], expected: list[str]) -> None:
    result = written(body(container={"Env": declared}), body(container={"Env": live}), ignore=(path,))

    assert result["TaskTemplate"]["ContainerSpec"]["Env"] == expected


@pytest.mark.parametrize("path", ["labels.a", "sysctls.a", "deploy.labels.a"])
def test_a_single_key_of_a_mapping_may_be_ignored(path: str) -> None:
    def made(a: str, b: str) -> dict[str, Any]:
        values = {"a": a, "b": b}
        return body(labels=values, container={"Labels": values, "Sysctls": values})

    result = written(made("1", "1"), made("2", "2"), ignore=(path,))

    container = result["TaskTemplate"]["ContainerSpec"]
    found = {"labels": container["Labels"], "sysctls": container["Sysctls"], "deploy.labels": result["Labels"]}
    assert found[path.removesuffix(".a")]["a"] == "2"
    assert found[path.removesuffix(".a")]["b"] == "1"


def test_an_ignored_key_that_is_not_live_is_not_written_either() -> None:
    declared = body(container={"Sysctls": {"a": "1", "b": "1"}})

    assert written(declared, body(), ignore=("sysctls.a",))["TaskTemplate"]["ContainerSpec"]["Sysctls"] == {"b": "1"}


def test_an_ignored_key_covers_no_longer_key() -> None:
    live = body(labels={"traefik.enable": "no"})

    found = difference(body(labels={"traefik.enable": "yes"}), live, CONTEXT, ignore=("deploy.labels.traefik",))

    assert [change.field for change in found.changes] == ["deploy.labels.traefik.enable"]


def test_an_ignored_key_in_a_section_that_is_equal_leaves_the_order_of_its_list() -> None:
    live = body(container={"Env": ["Z=1", "DEBUG=1", "A=1"]})
    declared = body(labels={"new": "1"}, container={"Env": ["A=1", "DEBUG=0", "Z=1"]})

    result = written(declared, live, ignore=("environment.DEBUG", "ports", "dns"))

    assert result["TaskTemplate"] == live["TaskTemplate"]
    assert result["EndpointSpec"] == live["EndpointSpec"]


def test_ignoring_name_servers_still_puts_search_domains_back() -> None:
    live = body(container={"DNSConfig": {"Nameservers": ["2.2.2.2"], "Search": ["old"]}})
    declared = body(container={"DNSConfig": {"Nameservers": ["1.1.1.1"], "Search": ["new"]}})

    result = written(declared, live, ignore=("dns",))

    assert result["TaskTemplate"]["ContainerSpec"]["DNSConfig"] == {"Nameservers": ["2.2.2.2"], "Search": ["new"]}
