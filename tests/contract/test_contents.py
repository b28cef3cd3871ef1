"""Configs and secrets."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import pytest

from tests.contract.target import Target

LIMITS = {"configs": 1_024_000, "secrets": 512_000}
_FILE = {"Name": "x", "UID": "0", "GID": "0", "Mode": 292}

both = pytest.mark.parametrize("kind", LIMITS)


def _encoded(size: int) -> str:
    return b64encode(b"1" * size).decode()


@both
def test_what_was_created_reads_back(swarm: Target, kind: str) -> None:
    swarm.content(kind, "c", Labels={"a": "b"}, Templating={"Name": "golang"})
    spec = {"Name": "c", "Labels": {"a": "b"}, "Templating": {"Name": "golang"}}
    assert swarm.must("GET", f"/{kind}/c")["Spec"] == (spec | {"Data": "MQ=="} if kind == "configs" else spec)


@both
def test_a_second_of_one_name_is_a_conflict(swarm: Target, kind: str) -> None:
    swarm.content(kind, "c")
    answer = swarm.call("POST", f"/{kind}/create", {"Name": "c", "Data": "Mg=="})
    assert (answer.status, answer.message) == (409, f"rpc error: code = AlreadyExists desc = {kind[:-1]} c already exists")


@both
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "name must be provided"),
        ("a b", "invalid name, only 64"),
        ("a" * 65, "invalid name, only 64"),
        ("-a", "invalid name, only 64"),
    ],
)
def test_a_name_must_be_one(swarm: Target, kind: str, name: str, reason: str) -> None:
    answer = swarm.call("POST", f"/{kind}/create", {"Name": name, "Data": "MQ=="})
    assert (answer.status, reason in answer.message) == (400, True), answer


@both
def test_its_size_has_bounds(swarm: Target, kind: str) -> None:
    limit = LIMITS[kind]
    for size in (0, limit):
        answer = swarm.call("POST", f"/{kind}/create", {"Name": "c", "Data": _encoded(size)})
        assert answer.status == 400
        assert answer.message.endswith(f"{kind[:-1]} data must be larger than 0 and less than {limit} bytes")
    swarm.content(kind, "full", _encoded(limit - 1))


@both
def test_data_that_is_no_base64_is_refused(swarm: Target, kind: str) -> None:
    answer = swarm.call("POST", f"/{kind}/create", {"Name": "c", "Data": "***"})
    assert (answer.status, answer.message) == (400, "illegal base64 data at input byte 0")


@both
@pytest.mark.parametrize("change", [{"Data": "Mg=="}, {"Name": "other"}])
def test_only_its_labels_can_be_changed(swarm: Target, kind: str, change: dict[str, str]) -> None:
    swarm.content(kind, "c")
    version = swarm.must("GET", f"/{kind}/c")["Version"]["Index"]
    answer = swarm.call("POST", f"/{kind}/c/update?version={version}", {"Name": "c", "Data": "MQ==", **change})
    assert (answer.status, answer.message.partition("desc = ")[2]) == (400, "only updates to Labels are allowed")


@both
def test_its_labels_are_a_compare_and_swap_store(swarm: Target, kind: str) -> None:
    swarm.content(kind, "c")
    version = swarm.must("GET", f"/{kind}/c")["Version"]["Index"]
    path = f"/{kind}/c/update?version={version}"
    assert swarm.call("POST", path, {"Name": "c", "Labels": {"holder": "a"}}).status == 200
    stale = swarm.call("POST", path, {"Name": "c", "Labels": {"holder": "b"}})
    assert (stale.status, "update out of sequence" in stale.message) == (500, True)
    read = swarm.must("GET", f"/{kind}/c")
    assert (read["Spec"]["Labels"], read["Version"]["Index"] > version) == ({"holder": "a"}, True)


def _user(swarm: Target, kind: str, name: str) -> dict[str, Any]:
    own = kind[:-1].title()
    reference = {f"{own}ID": swarm.must("GET", f"/{kind}/c")["ID"], f"{own}Name": "c", "File": _FILE}
    return swarm.spec(name, container={kind.title(): [reference]})


@both
def test_it_stays_as_long_as_a_service_uses_it(swarm: Target, kind: str) -> None:
    swarm.content(kind, "c")
    swarm.create(_user(swarm, kind, "user"))
    answer = swarm.call("DELETE", f"/{kind}/c")
    assert (answer.status, answer.message.partition("desc = ")[2]) == (
        400,
        f"{kind[:-1]} 'c' is in use by the following service: user",
    )
    swarm.must("DELETE", "/services/user")
    assert swarm.call("DELETE", f"/{kind}/c").status == 204
    assert swarm.call("GET", f"/{kind}/c").status == 404


@both
def test_a_previous_spec_does_not_keep_it(swarm: Target, kind: str) -> None:
    swarm.content(kind, "c")
    swarm.create(_user(swarm, kind, "user"))
    assert swarm.update(swarm.spec("user")).status == 200
    assert swarm.call("DELETE", f"/{kind}/c").status == 204
    assert swarm.update(swarm.spec("user"), query="&rollback=previous").status == 200


@both
def test_lists_are_filtered_by_the_beginning_of_a_name_and_by_label(swarm: Target, kind: str) -> None:
    swarm.content(kind, "alpha", Labels={"k": "v"})
    swarm.content(kind, "alps", Labels={"k": "w"})
    swarm.content(kind, "beta")

    def names(**filters: list[str]) -> set[str]:
        return {entry["Spec"]["Name"] for entry in swarm.listed(kind, filters)}

    assert names() == {"alpha", "alps", "beta"}
    assert names(name=["alp"]) == {"alpha", "alps"}
    assert names(label=["k"]) == {"alpha", "alps"}
    assert names(label=["k=v"]) == {"alpha"}
    assert names(label=["k=v"], name=["b"]) == set()
