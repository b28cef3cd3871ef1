"""Versions, what a write leaves behind, and what it may not change."""

from __future__ import annotations

import pytest

from tests.contract.target import Target

OUT_OF_SEQUENCE = "rpc error: code = Unknown desc = update out of sequence"


@pytest.mark.parametrize("offset", [-1, 1000])
def test_a_write_on_another_version_is_out_of_sequence(swarm: Target, offset: int) -> None:
    swarm.create(swarm.spec("s"))
    version = swarm.service("s")["Version"]["Index"] + offset
    answer = swarm.call("POST", f"/services/s/update?version={version}", swarm.spec("s", Labels={"a": "b"}))
    assert (answer.status, answer.message) == (500, OUT_OF_SEQUENCE)
    assert swarm.service("s")["Spec"]["Labels"] == {}


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("services", "invalid service version 'x': strconv.ParseUint: parsing \"x\": invalid syntax"),
        ("configs", "invalid config version"),
        ("secrets", "invalid secret version"),
    ],
)
def test_a_version_that_is_no_number_is_refused(swarm: Target, kind: str, text: str) -> None:
    answer = swarm.call("POST", f"/{kind}/nope/update?version=x", swarm.spec("s"))
    assert (answer.status, answer.message) == (400, text)


def test_every_write_raises_the_version_even_one_that_changes_nothing(swarm: Target) -> None:
    swarm.create(swarm.spec("s"))
    before = swarm.service("s")
    assert swarm.update(swarm.spec("s")).body == {"Warnings": None}
    after = swarm.service("s")
    assert after["Version"]["Index"] > before["Version"]["Index"]
    assert (after["CreatedAt"], after["UpdatedAt"] > before["UpdatedAt"]) == (before["CreatedAt"], True)


def test_one_counter_counts_the_writes_of_all_objects(swarm: Target) -> None:
    swarm.create(swarm.spec("s"))
    swarm.content("configs", "c")
    swarm.content("secrets", "x")
    indexes = [swarm.must("GET", path)["Version"]["Index"] for path in ("/services/s", "/configs/c", "/secrets/x")]
    assert indexes == sorted(set(indexes))


def test_every_write_overwrites_the_previous_spec(swarm: Target) -> None:
    swarm.create(swarm.spec("s", Labels={"n": "1"}))
    for number in ("2", "3"):
        assert swarm.update(swarm.spec("s", Labels={"n": number})).status == 200
    service = swarm.service("s")
    assert (service["Spec"]["Labels"], service["PreviousSpec"]["Labels"]) == ({"n": "3"}, {"n": "2"})


def test_a_service_cannot_be_renamed_or_change_its_mode(swarm: Target) -> None:
    swarm.create(swarm.spec("s"))
    version = swarm.service("s")["Version"]["Index"]
    renamed = swarm.call("POST", f"/services/s/update?version={version}", swarm.spec("t"))
    changed = swarm.call("POST", f"/services/s/update?version={version}", swarm.spec("s", Mode={"Global": {}}))
    assert (renamed.status, renamed.message.partition("desc = ")[2]) == (501, "renaming services is not supported")
    assert (changed.status, changed.message.partition("desc = ")[2]) == (501, "service mode change is not allowed")


def test_an_update_of_an_unknown_service_is_not_found(swarm: Target) -> None:
    answer = swarm.call("POST", "/services/nope/update?version=3", swarm.spec("nope"))
    assert (answer.status, answer.message) == (404, "service nope not found")


def test_a_first_version_cannot_be_rolled_back(swarm: Target) -> None:
    service_id = swarm.create(swarm.spec("s"))
    answer = swarm.update(swarm.spec("s"), query="&rollback=previous")
    assert answer.status == 400
    assert answer.message.endswith(f"FailedPrecondition desc = service {service_id} does not have a previous spec")


def test_a_rollback_by_hand_swaps_the_two_specs_and_a_second_one_swaps_them_back(swarm: Target) -> None:
    swarm.create(swarm.spec("s", Labels={"n": "1"}))
    swarm.update(swarm.spec("s", Labels={"n": "2"}))
    for current, previous in (("1", "2"), ("2", "1")):
        assert swarm.update(swarm.spec("s"), query="&rollback=previous").status == 200
        service = swarm.service("s")
        assert (service["Spec"]["Labels"], service["PreviousSpec"]["Labels"]) == ({"n": current}, {"n": previous})
        swarm.wait_for_state("s", "rollback_completed")


def test_an_update_leaves_out_of_the_mode_means_one_replica(swarm: Target) -> None:
    swarm.create(swarm.spec("s", template={"Placement": {"Constraints": ["node.labels.none==1"]}}))
    spec = swarm.spec("s", template={"Placement": {"Constraints": ["node.labels.none==1"]}})
    del spec["Mode"]
    assert swarm.update(spec).status == 200
    assert swarm.service("s")["Spec"]["Mode"] == {"Replicated": {"Replicas": 1}}


def test_an_object_is_found_by_id_by_name_and_by_the_beginning_of_its_id(swarm: Target) -> None:
    service_id = swarm.create(swarm.spec("s"))
    assert {swarm.service(reference)["ID"] for reference in (service_id, "s", service_id[:8])} == {service_id}


def test_a_node_written_on_a_stale_version_is_out_of_sequence(swarm: Target) -> None:
    node = swarm.must("GET", "/nodes")[0]
    answer = swarm.call("POST", f"/nodes/{node['ID']}/update?version=1", node["Spec"])
    assert (answer.status, answer.message) == (500, OUT_OF_SEQUENCE)


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({"Role": "foo", "Availability": "active"}, 'invalid Role: "foo"'),
        ({"Role": "worker", "Availability": "active"}, "attempting to demote the last manager of the swarm"),
    ],
)
def test_the_only_manager_stays_one(swarm: Target, spec: dict[str, str], reason: str) -> None:
    node = swarm.must("GET", "/nodes")[0]
    answer = swarm.call("POST", f"/nodes/{node['ID']}/update?version={node['Version']['Index']}", spec)
    assert (answer.status, reason in answer.message) == (400, True), answer


def test_the_only_manager_cannot_be_removed(swarm: Target) -> None:
    node = swarm.must("GET", "/nodes")[0]
    answer = swarm.call("DELETE", f"/nodes/{node['ID']}")
    assert (answer.status, "is a cluster manager and is a member of the raft cluster" in answer.message) == (400, True)
