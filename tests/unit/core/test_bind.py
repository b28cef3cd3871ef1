"""References: the version that stands for a name, the id that stands for a version."""

from __future__ import annotations

import pytest

from controller.core.bind import bound, renamed
from controller.model.plan import ObjectKind
from tests.support.specs import body, mounted

CONFIG, SECRET = ObjectKind.CONFIG, ObjectKind.SECRET
_CREDENTIAL = {"ConfigID": "id:cred", "ConfigName": "cred", "Runtime": {}}
SPEC = body(
    container={
        "Configs": [_CREDENTIAL, mounted("Config", "x", "/a"), mounted("Config", "x", "/b"), mounted("Config", "y")],
        "Secrets": [mounted("Secret", "x")],
        "Privileges": {"CredentialSpec": {"Config": "id:cred"}, "SELinuxContext": None},
    }
)


def test_every_reference_to_a_name_gets_its_version_and_a_symbolic_id() -> None:
    container = renamed(SPEC, {(CONFIG, "x"): "x-2", (CONFIG, "cred"): "cred-2"})["TaskTemplate"]["ContainerSpec"]

    assert [(item["ConfigName"], item["ConfigID"]) for item in container["Configs"]] == [
        ("cred-2", "id:cred-2"),
        ("x-2", "id:x-2"),
        ("x-2", "id:x-2"),
        ("y", "id:y"),
    ]
    assert [item["SecretName"] for item in container["Secrets"]] == ["x"]
    assert container["Privileges"] == {"CredentialSpec": {"Config": "id:cred-2"}, "SELinuxContext": None}


def test_symbolic_ids_become_real_ones_and_real_ones_stay() -> None:
    ids = {(CONFIG, "cred"): "c1", (CONFIG, "x"): "c2", (CONFIG, "y"): "c3", (SECRET, "x"): "s1"}

    once = bound(SPEC, ids)

    container = once["TaskTemplate"]["ContainerSpec"]
    assert [item["ConfigID"] for item in container["Configs"]] == ["c1", "c2", "c2", "c3"]
    assert [item["SecretID"] for item in container["Secrets"]] == ["s1"]
    assert container["Privileges"]["CredentialSpec"]["Config"] == "c1"
    assert bound(once, {}) == once


def test_an_unknown_name_is_an_error() -> None:
    with pytest.raises(KeyError):
        bound(SPEC, {})


def test_a_spec_without_references_stays_as_it_is() -> None:
    assert renamed(body(), {}) == body()
    assert bound(body(), {}) == body()
