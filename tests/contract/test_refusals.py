"""What a service may not be: the same status and the same reason."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from tests.contract.target import API, Target

_FILE = {"Name": "x", "UID": "0", "GID": "0", "Mode": 292}

REFUSED: dict[str, tuple[dict[str, Any], int, str]] = {
    "no image": ({"container": {"Image": ""}}, 400, "ContainerSpec: image reference must be provided"),
    "an image in capitals": ({"container": {"Image": "UPPER"}}, 400, '"UPPER" is not a valid repository/tag'),
    "too little memory": (
        {"template": {"Resources": {"Limits": {"MemoryBytes": 100}}}},
        400,
        "invalid memory value 100: Must be at least 4MiB",
    ),
    "too little memory reserved": (
        {"template": {"Resources": {"Reservations": {"MemoryBytes": 100}}}},
        400,
        "invalid memory value 100: Must be at least 4MiB",
    ),
    "too little cpu": (
        {"template": {"Resources": {"Limits": {"NanoCPUs": 100}}}},
        400,
        "invalid cpu value 1e-07: Must be at least 0.001",
    ),
    "a constraint without an operator": (
        {"template": {"Placement": {"Constraints": ["node.role manager"]}}},
        500,
        "constraint expected one operator from ==, !=",
    ),
    "a constraint without a value": ({"template": {"Placement": {"Constraints": ["node.role=="]}}}, 500, "value '' is invalid"),
    "a constraint with a blank in its key": (
        {"template": {"Placement": {"Constraints": ["no de.role==a"]}}},
        500,
        "key 'no de.role' is invalid",
    ),
    "an unknown network": ({"template": {"Networks": [{"Target": "nope"}]}}, 500, "network nope not found"),
    "a network that is none": (
        {"template": {"Networks": [{"Target": "none"}]}},
        404,
        "could not find the corresponding predefined swarm network: network none not found",
    ),
    "a mount of a cluster volume": (
        {"container": {"Mounts": [{"Type": "cluster", "Source": "v", "Target": "/x"}]}},
        400,
        'invalid MountType: "cluster"',
    ),
    "the ingress network": (
        {"template": {"Networks": [{"Target": "ingress"}]}},
        400,
        'Service cannot be explicitly attached to the ingress network "ingress"',
    ),
    "an ingress port with dnsrr": (
        {"EndpointSpec": {"Mode": "dnsrr", "Ports": [{"TargetPort": 80, "PublishedPort": 8055}]}},
        400,
        "EndpointSpec: port published with ingress mode can't be used with dnsrr mode",
    ),
    "one port twice": (
        {"EndpointSpec": {"Ports": [{"TargetPort": 80, "PublishedPort": 8055}, {"TargetPort": 81, "PublishedPort": 8055}]}},
        400,
        "EndpointSpec: duplicate published ports provided",
    ),
    "an unknown resolution mode": ({"EndpointSpec": {"Mode": "foo"}}, 400, 'invalid resolution mode: "foo"'),
    "two modes": ({"Mode": {"Replicated": {}, "Global": {}}}, 400, "must specify only one service mode"),
    "a job with an update config": (
        {"Mode": {"ReplicatedJob": {}}, "UpdateConfig": {}},
        400,
        "Jobs may not have an update config",
    ),
    "an update ratio of two": (
        {"UpdateConfig": {"MaxFailureRatio": 2}},
        400,
        "TaskSpec: update-maxfailureratio cannot be less than 0 or bigger than 1",
    ),
    "an unknown failure action": ({"UpdateConfig": {"FailureAction": "foo"}}, 400, "unrecognized update failure action foo"),
    "an unknown update order": ({"UpdateConfig": {"Order": "foo"}}, 400, "unrecognized update order foo"),
    "a negative update delay": ({"UpdateConfig": {"Delay": -1}}, 400, "TaskSpec: update-delay cannot be negative"),
    "a negative monitor time": ({"UpdateConfig": {"Monitor": -1}}, 400, "TaskSpec: update-monitor cannot be negative"),
    "a health interval of nothing": (
        {"container": {"Healthcheck": {"Test": ["CMD", "true"], "Interval": 100}}},
        400,
        "ContainerSpec: Interval in HealthConfig cannot be less than 1ms",
    ),
    "negative health retries": (
        {"container": {"Healthcheck": {"Test": ["CMD", "true"], "Retries": -1}}},
        400,
        "ContainerSpec: Retries in HealthConfig cannot be negative",
    ),
    "one mount point twice": (
        {"container": {"Mounts": [{"Type": "tmpfs", "Target": "/x"}, {"Type": "tmpfs", "Target": "/x"}]}},
        400,
        "ContainerSpec: duplicate mount point: /x",
    ),
    "an unknown mount type": ({"container": {"Mounts": [{"Type": "foo", "Target": "/x"}]}}, 400, 'invalid MountType: "foo"'),
    "an unknown restart condition": (
        {"template": {"RestartPolicy": {"Condition": "foo"}}},
        400,
        'invalid RestartCondition: "foo"',
    ),
    "a negative restart delay": (
        {"template": {"RestartPolicy": {"Delay": -1}}},
        400,
        "TaskSpec: restart-delay cannot be negative",
    ),
    "an unknown secret": (
        {"container": {"Secrets": [{"SecretID": "nope", "SecretName": "nope", "File": _FILE}]}},
        400,
        "secret not found: nope",
    ),
    "an unknown config": (
        {"container": {"Configs": [{"ConfigID": "nope", "ConfigName": "nope", "File": _FILE}]}},
        400,
        "config not found: nope",
    ),
    "a config without a target": (
        {"container": {"Configs": [{"ConfigID": "x", "ConfigName": "x"}]}},
        400,
        "invalid Config: either File or Runtime should be set",
    ),
    "a secret without a target": (
        {"container": {"Secrets": [{"SecretID": "x", "SecretName": "x"}]}},
        400,
        "malformed secret reference, no target provided",
    ),
    "an unknown runtime": ({"template": {"Runtime": "foo"}}, 400, "unsupported runtime"),
    "a negative number of replicas": ({"Mode": {"Replicated": {"Replicas": -1}}}, 400, "cannot unmarshal number -1"),
}


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.replace(" ", "-"))
def test_a_service_that_swarm_cannot_take_is_refused_with_the_reason(swarm: Target, case: str) -> None:
    change, status, reason = REFUSED[case]
    answer = swarm.call("POST", "/services/create", swarm.spec("refused", **change))
    assert (answer.status, reason in answer.message) == (status, True), answer
    assert swarm.listed("services") == []


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("-bad", "name must be valid as a DNS name component"),
        ("a.b", "name must be valid as a DNS name component"),
        ("a" * 64, "name must be 63 characters or fewer"),
    ],
)
def test_a_service_name_that_is_no_dns_label_is_refused(swarm: Target, name: str, reason: str) -> None:
    answer = swarm.call("POST", "/services/create", swarm.spec(name))
    assert (answer.status, answer.message) == (400, f"rpc error: code = InvalidArgument desc = {reason}")


def test_a_second_service_of_one_name_is_a_conflict(swarm: Target) -> None:
    swarm.create(swarm.spec("one"))
    answer = swarm.call("POST", "/services/create", swarm.spec("one"))
    assert answer.status == 409
    assert answer.message.endswith("name conflicts with an existing object: service one already exists")


@pytest.mark.parametrize(("owned", "as_what"), [("ingress", "an ingress port"), ("host", "a host-published port")])
def test_a_port_is_shared_only_among_services_that_all_take_it_on_the_host(swarm: Target, owned: str, as_what: str) -> None:
    def publishing(name: str, mode: str) -> dict[str, Any]:
        return swarm.spec(name, EndpointSpec={"Ports": [{"TargetPort": 80, "PublishedPort": 8061, "PublishMode": mode}]})

    owner = swarm.create(publishing("owner", owned))
    for mode in ("ingress", "host"):
        answer = swarm.call("POST", "/services/create", publishing(f"late-{mode}", mode))
        if (owned, mode) == ("host", "host"):
            assert answer.status == 201
        else:
            reason = f"port '8061' is already in use by service 'owner' ({owner}) as {as_what}"
            assert (answer.status, answer.message.partition("desc = ")[2]) == (400, reason)
    assert swarm.update(publishing("owner", owned)).status == 200


def test_references_of_one_target_are_refused(swarm: Target) -> None:
    config = swarm.content("configs", "c")
    refs = [{"ConfigID": config, "ConfigName": "c", "File": _FILE}] * 2
    answer = swarm.call("POST", "/services/create", swarm.spec("s", container={"Configs": refs}))
    assert (answer.status, "have a conflicting target: 'x'" in answer.message) == (400, True), answer


def test_a_config_is_referred_to_by_id_and_name_together(swarm: Target) -> None:
    refs = [{"ConfigID": swarm.content("configs", "c"), "ConfigName": "other", "File": _FILE}]
    answer = swarm.call("POST", "/services/create", swarm.spec("s", container={"Configs": refs}))
    assert (answer.status, answer.message) == (400, "rpc error: code = InvalidArgument desc = config not found: other")


@pytest.mark.parametrize("kind", ["service", "task", "config", "secret", "network", "node"])
def test_what_does_not_exist_is_not_found(swarm: Target, kind: str) -> None:
    answer = swarm.call("GET", f"/{kind}s/nope")
    assert (answer.status, answer.message) == (404, f"{kind} nope not found")


@pytest.mark.parametrize("kind", ["service", "config", "secret", "network"])
def test_removing_what_does_not_exist_is_not_found(swarm: Target, kind: str) -> None:
    answer = swarm.call("DELETE", f"/{kind}s/nope")
    assert (answer.status, answer.message) == (404, f"{kind} nope not found")


@pytest.mark.parametrize("kind", ["services", "tasks", "configs", "secrets", "networks"])
def test_an_unknown_filter_is_refused(swarm: Target, kind: str) -> None:
    answer = swarm.call("GET", f"/{kind}?filters=%7B%22bogus%22:%5B%22x%22%5D%7D")
    assert (answer.status, answer.message) == (400, "Invalid filter 'bogus'")


def test_filters_that_are_no_json_are_refused(swarm: Target) -> None:
    assert swarm.call("GET", "/services?filters=xx").status == 400


def test_tasks_of_an_unknown_service_are_not_found_rather_than_none(swarm: Target) -> None:
    answer = swarm.call("GET", "/tasks?filters=%7B%22service%22:%5B%22nope%22%5D%7D")
    assert (answer.status, answer.message) == (404, "service nope not found")


def test_a_body_of_the_wrong_type_is_refused(swarm: Target) -> None:
    answer = swarm.call("POST", "/services/create", "text")
    assert (answer.status, answer.message) == (400, "json: cannot unmarshal string into Go value of type swarm.ServiceSpec")


@pytest.mark.parametrize(("api", "path"), [(API, "/foo"), ("/vx", "/services"), ("", "/foo")])
def test_a_path_that_nobody_knows_is_not_found(swarm: Target, api: str, path: str) -> None:
    answer = swarm.call("GET", path, api=api)
    assert (answer.status, answer.message) == (404, "page not found")


def test_a_version_of_the_api_newer_than_the_engine_is_refused(swarm: Target) -> None:
    answer = swarm.call("GET", "/services", api="/v1.99")
    assert answer.status == 400
    assert answer.message.startswith("client version 1.99 is too new. Maximum supported API version is 1.")


def test_taken_although_it_looks_wrong(swarm: Target) -> None:
    taken: list[Mapping[str, Any]] = [
        swarm.spec("a", RollbackConfig={"MaxFailureRatio": 2}),
        swarm.spec("b", EndpointSpec={"Ports": [{"TargetPort": 80, "PublishedPort": 70000}]}),
        swarm.spec("c", template={"Placement": {"Constraints": ["foo==bar"]}}),
        swarm.spec("d", template={"Networks": [{"Target": "host"}]}),
        swarm.spec("e", Mode={"ReplicatedJob": {"MaxConcurrent": 0, "TotalCompletions": 0}}, RollbackConfig={}),
    ]
    for spec in taken:
        assert swarm.call("POST", "/services/create", spec).status == 201
