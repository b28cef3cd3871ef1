"""Versions of configs and secrets: adopted, rotated, collected."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Any

import pytest

from controller.core.contents import (
    BASE_LABEL,
    CONTENT_LABEL,
    NAME_LIMIT,
    Versions,
    choose_versions,
    fingerprint,
    sealed,
    undeclared,
    unused_versions,
    version_name,
)
from controller.core.state import STATE_NAME
from controller.model.observation import Knowledge, Snapshot
from controller.model.plan import Action, ObjectKind, Reason, Verb
from controller.model.spec import STACK_LABEL, DesiredContent, Json
from tests.support.specs import body, content, live, live_content, mounted, snapshot

CONFIG, SECRET = ObjectKind.CONFIG, ObjectKind.SECRET
KEY = b"k" * 32
KNOWN = Knowledge(content_key=KEY)


def choose(
    kind: ObjectKind, wanted: DesiredContent, seen: Snapshot, knowledge: Knowledge = KNOWN, *, stack: str = "shop"
) -> Versions:
    return choose_versions(stack, [(kind, wanted)], seen, knowledge)


def only(actions: Iterable[Action]) -> Action:
    (action,) = actions
    return action


def made(kind: ObjectKind, wanted: DesiredContent, name: str) -> Json:
    """The live object that our own create call leaves behind; a secret's data is never given back."""
    spec: dict[str, Any] = sealed(kind, wanted, name, KEY)
    if kind is SECRET:
        spec.pop("Data")
    return {"ID": f"id-of-{name}", "Version": {"Index": 5}, "Spec": spec}


def seen(kind: ObjectKind, *objects: Json, services: Iterable[Json] = ()) -> Snapshot:
    return snapshot(*services, configs=objects if kind is CONFIG else (), secrets=objects if kind is SECRET else ())


def user(reference: dict[str, Any], *, previous: dict[str, Any] | None = None) -> Json:
    """A service that uses one object, and did use another before its last update."""
    part = "Secrets" if "SecretID" in reference else "Configs"
    service = dict(live(body(container={part: [reference]})))
    if previous is not None:
        service["PreviousSpec"] = live(body(container={part: [previous]}))["Spec"]
    return service


def using(kind: ObjectKind, name: str) -> dict[str, Any]:
    word = kind.capitalize()
    return mounted(word, name, **{f"{word}ID": f"id-of-{name}"})


# Which version.


@pytest.mark.parametrize("kind", [CONFIG, SECRET])
def test_a_content_that_is_not_there_is_created_under_the_name_that_docker_gives_it(kind: ObjectKind) -> None:
    wanted = content("shop_x", b"one")

    versions = choose(kind, wanted, snapshot())

    action = only(versions.actions)
    assert (action.verb, action.kind, action.name, action.reason) == (Verb.CREATE, kind, "shop_x", Reason.MISSING)
    assert base64.b64decode(action.body["Data"]) == b"one"
    assert action.body["Labels"][BASE_LABEL] == "shop_x"
    assert versions.names == {(kind, "shop_x"): "shop_x"}


def test_a_config_that_docker_made_is_taken_over_without_a_write() -> None:
    versions = choose(CONFIG, content("shop_x"), snapshot(configs=[live_content("shop_x")]))

    assert versions == Versions({(CONFIG, "shop_x"): "shop_x"})


@pytest.mark.parametrize("key", [None, KEY])
def test_a_secret_that_docker_made_is_taken_over_with_a_word_of_doubt(key: bytes | None) -> None:
    versions = choose(SECRET, content("shop_x"), snapshot(secrets=[live_content("shop_x", None)]), Knowledge(content_key=key))

    assert versions.actions == ()
    assert versions.missing == frozenset()
    assert [notice.reason for notice in versions.notices] == [Reason.UNKNOWN_CONTENT]


def test_a_secret_whose_content_was_noted_at_first_sight_is_no_longer_in_doubt() -> None:
    knowledge = Knowledge(content_key=KEY, noted_secrets=frozenset({"id-of-shop_x"}))

    assert choose(SECRET, content("shop_x"), snapshot(secrets=[live_content("shop_x", None)]), knowledge).notices == ()


def test_a_noted_secret_whose_file_changed_gets_a_new_version() -> None:
    ident = frozenset({"id-of-shop_x"})
    knowledge = Knowledge(content_key=KEY, noted_secrets=ident, changed_secrets=ident)

    versions = choose(SECRET, content("shop_x", b"two"), snapshot(secrets=[live_content("shop_x", None)]), knowledge)

    assert only(versions.actions).reason is Reason.EDITED
    assert versions.names[SECRET, "shop_x"] == version_name(content("shop_x", b"two"), SECRET, KEY)


@pytest.mark.parametrize("kind", [CONFIG, SECRET])
def test_new_content_is_a_new_version_and_going_back_uses_the_first_again(kind: ObjectKind) -> None:
    one, two = content("shop_x", b"one"), content("shop_x", b"two")
    first = made(kind, one, "shop_x")

    rotated = choose(kind, two, seen(kind, first))
    later = rotated.names[kind, "shop_x"]

    action = only(rotated.actions)
    assert (action.verb, action.name, action.reason) == (Verb.CREATE, later, Reason.EDITED)
    assert later.startswith("shop_x-")
    assert len(later) == len("shop_x-") + 8
    second = made(kind, two, later)
    assert choose(kind, two, seen(kind, first, second)) == Versions({(kind, "shop_x"): later})
    assert choose(kind, one, seen(kind, first, second)) == Versions({(kind, "shop_x"): "shop_x"})


def test_a_long_name_is_cut_so_that_the_version_fits() -> None:
    name = version_name(content("x" * NAME_LIMIT), CONFIG, None)

    assert len(name) == NAME_LIMIT


@pytest.mark.parametrize("kind", [CONFIG, SECRET])
def test_another_template_driver_is_another_version(kind: ObjectKind) -> None:
    plain, templated = content("shop_x"), content("shop_x", Templating={"Name": "golang"})
    live_plain = made(kind, plain, "shop_x")

    assert only(choose(kind, templated, seen(kind, live_plain)).actions).reason is Reason.EDITED
    assert choose(kind, templated, seen(kind, made(kind, templated, "shop_x"))).actions == ()


def test_a_secret_with_a_driver_is_told_from_one_with_other_options() -> None:
    one = content("shop_x", b"", Driver={"Name": "vault", "Options": {"path": "a"}})
    two = content("shop_x", b"", Driver={"Name": "vault", "Options": {"path": "b"}})

    assert fingerprint(one, key=KEY) != fingerprint(two, key=KEY)
    assert choose(SECRET, one, seen(SECRET, made(SECRET, one, "shop_x"))).actions == ()
    assert only(choose(SECRET, two, seen(SECRET, made(SECRET, one, "shop_x"))).actions).reason is Reason.EDITED


def test_a_secrets_label_cannot_be_guessed_from_a_plain_hash() -> None:
    wanted = content("shop_x", b"hunter2")

    assert sealed(SECRET, wanted, "shop_x", KEY)["Labels"][CONTENT_LABEL] != fingerprint(wanted)
    assert sealed(CONFIG, wanted, "shop_x", KEY)["Labels"][CONTENT_LABEL] == fingerprint(wanted)


def test_a_hash_label_written_by_somebody_else_is_compared_and_never_breaks_the_plan() -> None:
    seen = snapshot(secrets=[live_content("shop_x", None, prodbreaker__content="größer")])

    assert only(choose(SECRET, content("shop_x"), seen).actions).reason is Reason.EDITED


def test_a_config_without_data_holds_nothing() -> None:
    config = live_content("shop_x", None)

    assert only(choose(CONFIG, content("shop_x"), snapshot(configs=[config])).actions).reason is Reason.EDITED


def test_a_secret_waits_until_the_cluster_has_its_key() -> None:
    versions = choose(SECRET, content("shop_x"), snapshot(), Knowledge())

    assert [(action.verb, action.name) for action in versions.actions] == [(Verb.CREATE, STATE_NAME)]
    assert versions.missing == {(SECRET, "shop_x")}
    assert [notice.reason for notice in versions.notices] == [Reason.WAITS]


def test_configs_need_no_key() -> None:
    assert only(choose(CONFIG, content("shop_x"), snapshot(), Knowledge()).actions).name == "shop_x"


@pytest.mark.parametrize("kind", [CONFIG, SECRET])
def test_an_external_content_is_used_and_never_made(kind: ObjectKind) -> None:
    wanted = content("theirs", external=True)

    missing = choose(kind, wanted, snapshot(), Knowledge())
    there = choose(kind, wanted, seen(kind, live_content("theirs", b"x" if kind is CONFIG else None, stack="")), Knowledge())

    assert missing.actions == ()
    assert missing.missing == {(kind, "theirs")}
    assert there == Versions({(kind, "theirs"): "theirs"})


def test_a_versions_name_that_holds_other_content_is_not_touched() -> None:
    two = content("shop_x", b"two")
    taken = live_content(version_name(two, CONFIG, KEY), b"something else")

    versions = choose(CONFIG, two, snapshot(configs=[live_content("shop_x"), taken]))

    assert versions.actions == ()
    assert [notice.reason for notice in versions.notices] == [Reason.FOREIGN]
    assert versions.missing == {(CONFIG, "shop_x")}


# Labels.


def test_labels_changed_by_hand_are_put_back_and_ours_are_kept() -> None:
    wanted = content("shop_x")
    config = made(CONFIG, wanted, "shop_x")
    ours = dict(config["Spec"]["Labels"])
    config["Spec"]["Labels"]["stray"] = "yes"

    action = only(choose(CONFIG, wanted, snapshot(configs=[config])).actions)

    assert (action.verb, action.reason, action.version) == (Verb.UPDATE, Reason.DRIFT, 5)
    assert action.body == {**config["Spec"], "Labels": ours}


@pytest.mark.parametrize("owner", ["", "another"])
def test_the_labels_of_somebody_elses_object_are_left_alone(owner: str) -> None:
    config = live_content("shop_x", stack=owner, stray="yes")

    assert choose(CONFIG, content("shop_x"), snapshot(configs=[config])).actions == ()


def test_labels_that_are_null_are_somebody_elses() -> None:
    config = {"ID": "c", "Version": {"Index": 1}, "Spec": {"Name": "shop_x", "Labels": None, "Data": "b25l"}}

    assert choose(CONFIG, content("shop_x"), snapshot(configs=[config])).actions == ()


# Collection.


@pytest.mark.parametrize("kind", [CONFIG, SECRET])
def test_a_version_that_nothing_needs_is_collected(kind: ObjectKind) -> None:
    one, two = content("shop_x", b"one"), content("shop_x", b"two")
    later = version_name(two, kind, KEY)
    first, second = made(kind, one, "shop_x"), made(kind, two, later)
    versions = Versions({(kind, "shop_x"): later})

    collected = unused_versions("shop", versions, seen(kind, first, second, services=[user(using(kind, later))]))

    assert [(item.verb, item.name, item.object_id, item.reason) for item in collected] == [
        (Verb.REMOVE, "shop_x", "id-of-shop_x", Reason.UNUSED_VERSION)
    ]


@pytest.mark.parametrize("kind", [CONFIG, SECRET])
def test_a_version_in_use_now_or_before_the_last_update_is_kept(kind: ObjectKind) -> None:
    one, two = content("shop_x", b"one"), content("shop_x", b"two")
    later = version_name(two, kind, KEY)
    objects = made(kind, one, "shop_x"), made(kind, two, later)
    versions = Versions({(kind, "shop_x"): later})
    still, before = user(using(kind, "shop_x")), user(using(kind, later), previous=using(kind, "shop_x"))

    assert unused_versions("shop", versions, seen(kind, *objects, services=[still])) == []
    assert unused_versions("shop", versions, seen(kind, *objects, services=[before])) == []


def test_a_version_is_kept_while_its_successor_does_not_exist() -> None:
    first = made(CONFIG, content("shop_x"), "shop_x")

    assert unused_versions("shop", Versions({(CONFIG, "shop_x"): "shop_x-12345678"}), snapshot(configs=[first])) == []


def test_another_stacks_versions_are_never_collected() -> None:
    theirs = live_content("shop_x-00000000", b"old", stack="another", prodbreaker__base="shop_x")
    nobodys = live_content("shop_x-11111111", b"old", stack="", prodbreaker__base="shop_x")
    seen = snapshot(configs=[live_content("shop_x"), theirs, nobodys])

    assert unused_versions("shop", Versions({(CONFIG, "shop_x"): "shop_x"}), seen) == []


def test_a_service_without_a_container_uses_nothing() -> None:
    versions = Versions({(CONFIG, "shop_x"): "shop_x-2"})
    plugin = {"ID": "p", "Spec": {"Name": "plugin", "TaskTemplate": {"PluginSpec": {}}}, "PreviousSpec": None}
    seen = snapshot(plugin, configs=[live_content("shop_x"), live_content("shop_x-2", b"two")])

    assert [item.name for item in unused_versions("shop", versions, seen)] == ["shop_x"]


def test_what_no_file_declares_and_no_service_needs_is_undeclared() -> None:
    declared = Versions({(CONFIG, "shop_x"): "shop_x"})
    seen = snapshot(
        user(using(CONFIG, "shop_used")),
        configs=[
            live_content("shop_x"),
            live_content("shop_x-12345678", prodbreaker__base="shop_x"),
            live_content("shop_used"),
            live_content("shop_gone"),
            live_content("other_gone", stack="other"),
            live_content("loose", stack=""),
            live_content(STATE_NAME),
        ],
        secrets=[live_content("shop_x", None), live_content("other_x", None, stack="other")],
    )

    removals = undeclared("shop", declared, seen)

    assert [(item.kind, item.name) for item in removals] == [(CONFIG, "shop_gone"), (SECRET, "shop_x")]
    assert all(item.reason is Reason.NOT_DECLARED for item in removals)


def test_a_new_version_carries_the_declared_labels() -> None:
    assert sealed(CONFIG, content("shop_x"), "shop_x", None)["Labels"][STACK_LABEL] == "shop"
