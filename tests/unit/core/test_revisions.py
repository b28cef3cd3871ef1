"""Revisions as configs: there and back, and what is none."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.core.contents import Versions
from controller.core.diff import difference
from controller.core.images import Resolve
from controller.core.planner import Options, make_plan
from controller.core.revisions import (
    REVISION_LABEL,
    by_name,
    config_name,
    contents,
    creation,
    digest_of,
    histories,
    kept_objects,
    needed_by,
    relabelling,
    removal,
    service_tag,
    surplus,
    tag_in,
)
from controller.core.services import revision as digest_of_declared
from controller.core.values import Context
from controller.model.observation import Knowledge
from controller.model.plan import Action, Change, ObjectKind, Reason, Verb
from controller.model.revision import Revision, RevisionState
from controller.model.spec import Json, symbolic_id
from controller.simulator.engine import Simulator
from tests.support.specs import API, CONTEXT, body, live, live_content, live_network, mounted, service, snapshot, stack

S = RevisionState
CONFIG, SECRET, NETWORK = ObjectKind.CONFIG, ObjectKind.SECRET, ObjectKind.NETWORK
FULL = Revision(
    service="shop_web",
    number=7,
    digest="0123456789abcdef",
    state=S.FAILED,
    since="2026-01-01T00:00:00Z",
    why="2 of its tasks failed: task 1 failed: task: non-zero exit (1)",
    group="fedcba9876543210",
    target=3,
    is_back=True,
    over=42,
    noise=("alert-1-2", "condition-3"),
    changes=(Change("environment.A", "<masked>", None), Change("image", "web:1", "web:2")),
    body=body("web", "web:2", container={"Env": ["A=1"]}),
)
LEAST = Revision("shop_web", 1, "0123456789abcdef", S.STABLE, "", body=body())


def as_config(action: Action, *, version: int = 5) -> Json:
    """What Swarm shows of a revision that was written."""
    meta = {"ID": f"id-of-{action.name}", "Version": {"Index": version}, "CreatedAt": "t1", "UpdatedAt": "t2"}
    return {**meta, "Spec": action.body}


def stored(revision: Revision) -> Revision:
    """With what only Swarm gives."""
    name = config_name(revision.service, revision.number)
    return replace(revision, config_id=f"id-of-{name}", version=5, kept="t1", changed="t2")


@pytest.mark.parametrize("revision", [FULL, LEAST])
def test_what_is_kept_comes_back_as_it_was(revision: Revision) -> None:
    action = creation(revision)
    assert (action.verb, action.kind, action.reason) == (Verb.CREATE, CONFIG, Reason.REVISION)
    assert histories(snapshot(configs=[as_config(action)])) == {"shop_web": [stored(revision)]}


def test_a_name_fits_the_engine_and_tells_services_apart() -> None:
    name = config_name("x" * 300, 99999)
    assert len(name) <= 64
    assert name != config_name("y" * 300, 99999)
    assert config_name("shop_web", 1) != config_name("shop_web", 2)


def test_the_name_of_its_config_tells_whose_revision_it_is() -> None:
    assert tag_in(config_name("shop_web", 12)) == service_tag("shop_web") != service_tag("shop_api")
    assert tag_in("shop_c") == tag_in("prodbreaker_state") == ""


def test_histories_are_by_service_and_from_the_oldest_to_the_newest() -> None:
    revisions = [replace(LEAST, number=number) for number in (10, 9, 2, 1)] + [replace(LEAST, service="shop_api")]
    found = histories(snapshot(configs=[as_config(creation(item)) for item in revisions] + [live_content("shop_c")]))
    assert {name: [item.number for item in history] for name, history in found.items()} == {
        "shop_web": [1, 2, 9, 10],
        "shop_api": [1],
    }


def labelled(**changed: str | None) -> Callable[[Json], Json]:
    def change(spec: Json) -> Json:
        labels = {**spec["Labels"], **{f"prodbreaker.rev.{key}": text for key, text in changed.items()}}
        return {**spec, "Labels": {key: text for key, text in labels.items() if text is not None}}

    return change


def packed(data: Any) -> Callable[[Json], Json]:
    return lambda spec: {**spec, "Data": base64.b64encode(json.dumps(data).encode()).decode()}


DAMAGED: dict[str, Callable[[Json], Json]] = {
    "a number that is none": labelled(number="seven"),
    "another number than its name says": labelled(number="8"),
    "another service than its name says": labelled(service="shop_db"),
    "no number": labelled(number=None),
    "no digest": labelled(digest=None),
    "a state that nobody knows": labelled(state="splendid"),
    "a target that is no number": labelled(target="three"),
    "a version that is no number": labelled(over="many"),
    "no data": lambda spec: {**spec, "Data": ""},
    "data that is no base64": lambda spec: {**spec, "Data": "%"},
    "data that is no JSON": lambda spec: {**spec, "Data": base64.b64encode(b"{").decode()},
    "data that is no text": lambda spec: {**spec, "Data": base64.b64encode(b"\xff").decode()},
    "a list": packed([]),
    "no spec": packed({"changes": []}),
    "a spec that is none": packed({"spec": None, "changes": []}),
    "a spec without an image": packed({"spec": {"TaskTemplate": {"ContainerSpec": {}}}, "changes": []}),
    "no changes": packed({"spec": body()}),
    "changes of another shape": packed({"spec": body(), "changes": [["a"]]}),
    "another name": lambda spec: {**spec, "Name": "by_hand"},
}


@pytest.mark.parametrize("name", DAMAGED)
def test_what_cannot_be_read_as_a_revision_is_passed_over(name: str) -> None:
    good, bad = as_config(creation(LEAST)), as_config(creation(FULL))
    found = histories(snapshot(configs=[good, {**bad, "Spec": DAMAGED[name](bad["Spec"])}]))
    assert found == {"shop_web": [stored(LEAST)]}


def test_a_relabelling_keeps_the_data_and_others_labels_and_drops_what_is_no_more() -> None:
    config = as_config(creation(FULL))
    config = {**config, "Spec": {**config["Spec"], "Labels": {**config["Spec"]["Labels"], "theirs": "1"}}}
    seen = snapshot(configs=[config])
    (kept,) = histories(seen)["shop_web"]

    action = relabelling(replace(kept, state=S.STABLE, target=None, is_back=False, noise=(), why=""), seen)

    assert (action.verb, action.object_id, action.version) == (Verb.UPDATE, config["ID"], 5)
    assert action.body["Data"] == config["Spec"]["Data"]
    assert action.body["Labels"]["theirs"] == "1"
    assert not action.body["Labels"].keys() & {f"prodbreaker.rev.{name}" for name in ("target", "back", "noise", "why")}
    with pytest.raises(KeyError):
        relabelling(kept, snapshot())


def test_a_removal_names_the_config() -> None:
    action = removal(stored(FULL))
    assert (action.verb, action.kind, action.object_id) == (Verb.REMOVE, CONFIG, f"id-of-{action.name}")


def test_the_engine_takes_what_is_written_and_changes_nothing_of_it() -> None:
    sim = Simulator()
    sim.create(CONFIG, creation(FULL).body)
    (config,) = sim.list_objects(CONFIG)
    (kept,) = histories(snapshot(configs=[config]))["shop_web"]
    assert replace(kept, config_id="", version=0, kept="", changed="") == FULL

    sim.update(CONFIG, config["ID"], kept.version, relabelling(replace(kept, why="other"), snapshot(configs=[config])).body)
    assert [item.why for item in histories(snapshot(configs=sim.list_objects(CONFIG)))["shop_web"]] == ["other"]


# What a live service runs


def test_the_digest_stands_on_the_service() -> None:
    assert digest_of(None) == digest_of(live(body())) == digest_of({"Spec": {"Labels": None}}) == ""
    assert digest_of(live(body(labels={REVISION_LABEL: "d"}))) == "d"


def credential(config: str) -> Json:
    return {"Privileges": {"CredentialSpec": {"Config": config}, "NoNewPrivileges": True}}


def test_by_name_there_are_names_for_ids_and_none_of_our_labels() -> None:
    used = {"Configs": [{**mounted("Config", "c"), "ConfigID": "1"}], "Secrets": [{**mounted("Secret", "s"), "SecretID": "2"}]}
    spec = body(
        labels={REVISION_LABEL: "d", "theirs": "1"},
        task={"Networks": [{"Target": "n1", "Aliases": ["web"]}, {"Target": "n2"}]},
        container={**used, **credential("3")},
    )
    context = Context({"n1": "shop_front"}, {"3": "shop_spec"}, API)

    named = by_name(spec, context)

    assert named["Labels"] == {key: text for key, text in spec["Labels"].items() if key != REVISION_LABEL}
    assert [item["Target"] for item in named["TaskTemplate"]["Networks"]] == ["shop_front", "n2"]
    container = named["TaskTemplate"]["ContainerSpec"]
    assert container["Configs"][0]["ConfigID"] == symbolic_id("c")
    assert container["Secrets"][0]["SecretID"] == symbolic_id("s")
    assert container["Privileges"] == credential(symbolic_id("shop_spec"))["Privileges"]
    assert contents(named) == {(CONFIG, "c"), (SECRET, "s"), (CONFIG, "shop_spec")}
    assert needed_by(named) == contents(named) | {(NETWORK, "shop_front"), (NETWORK, "n2")}
    assert kept_objects([[replace(LEAST, body=named), LEAST]]) == needed_by(named)
    assert spec["TaskTemplate"]["ContainerSpec"]["Configs"][0]["ConfigID"] == "1"  # what was given stays as it was


def test_a_spec_that_refers_to_nothing_needs_nothing() -> None:
    assert needed_by({}) == contents({}) == kept_objects([]) == frozenset()
    assert by_name({}, CONTEXT) == {"Labels": {}, "TaskTemplate": {"ContainerSpec": {}}}
    foreign = body(container=credential("unknown"))
    assert by_name(foreign, CONTEXT)["TaskTemplate"]["ContainerSpec"]["Privileges"] == credential("unknown")["Privileges"]
    assert contents(foreign) == frozenset()


# What is kept no longer


def numbered(*states: RevisionState, **targets: int) -> list[Revision]:
    return [
        Revision("shop_web", number, f"d{number}", state, "", target=targets.get(f"of{number}"))
        for number, state in enumerate(states, start=1)
    ]


STABLE, FAILED, GONE, OLD = S.STABLE, S.FAILED, S.SUPERSEDED, S.QUARANTINED
SURPLUS: dict[str, tuple[list[Revision], int, str, list[int]]] = {
    "nothing up to the limit": (numbered(STABLE, STABLE), 2, "d2", []),
    "the oldest beyond it": (numbered(STABLE, STABLE, STABLE), 2, "d3", [1]),
    "not the live one": (numbered(STABLE, STABLE, STABLE), 1, "d1", [2]),
    "not the only stable one": (numbered(STABLE, GONE, GONE, GONE), 1, "d4", [2, 3]),
    "of two stable ones the older": (numbered(STABLE, STABLE, GONE, GONE), 1, "d4", [1, 3]),
    "not what one is on the way back to": (numbered(GONE, STABLE, FAILED, STABLE, of3=1), 1, "d4", [2, 3]),
    "what one went back to before": (numbered(GONE, STABLE, OLD, STABLE, of3=1), 1, "d4", [1, 2, 3]),
    "not the refused one that is live": (numbered(STABLE, OLD, STABLE), 1, "d2", [1]),
}


@pytest.mark.parametrize("name", SURPLUS)
def test_there_is_no_room_for(name: str) -> None:
    revisions, keep, running, expected = SURPLUS[name]
    assert [item.number for item in surplus(revisions, keep=keep, live=running)] == expected


@settings(max_examples=300, deadline=None)
@given(
    states=st.lists(st.sampled_from(list(S)), min_size=1, max_size=12),
    keep=st.integers(1, 10),
    running=st.integers(1, 12),
    target=st.integers(1, 12),
)
def test_what_one_may_go_back_to_is_never_surplus(states: list[RevisionState], keep: int, running: int, target: int) -> None:
    revisions = [replace(item, target=target if item.state is FAILED else None) for item in numbered(*states)]
    gone = {item.number for item in surplus(revisions, keep=keep, live=f"d{running}")}
    stable = [item.number for item in revisions if item.state is STABLE]

    assert running not in gone
    assert not stable or stable[-1] not in gone
    assert FAILED not in states or target not in gone
    assert not gone & set(range(len(states) - keep + 1, len(states) + 1))
    assert len(states) - len(gone) <= keep + 2 + bool(stable)


# There and back again


NAMES = st.sampled_from(["a", "b", "c"])
TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), max_size=5)


@st.composite
def live_services(draw: st.DrawFn) -> Json:
    """A service as the engine shows it, with references of every kind."""
    networks = draw(st.lists(NAMES, unique=True, max_size=3))
    configs, secrets = draw(st.lists(NAMES, unique=True, max_size=3)), draw(st.lists(NAMES, unique=True, max_size=3))
    container: dict[str, Any] = {"Env": [f"{key}={text}" for key, text in draw(st.dictionaries(NAMES, TEXT)).items()]}
    if configs:
        container["Configs"] = [{**mounted("Config", name), "ConfigID": f"id-of-{name}"} for name in configs]
    if secrets:
        container["Secrets"] = [{**mounted("Secret", name), "SecretID": f"id-of-{name}"} for name in secrets]
    if draw(st.booleans()):
        container |= credential("id-of-a")
    task: dict[str, Any] = {"Networks": [{"Target": f"net-{name}", "Aliases": [name]} for name in networks]}
    if draw(st.booleans()):
        task["Placement"] = {"Constraints": ["node.role==worker"], "Platforms": [{"OS": "linux"}]}
    labels = {f"x.{key}": text for key, text in draw(st.dictionaries(NAMES, TEXT)).items()} | {REVISION_LABEL: "good"}
    mode = draw(st.sampled_from([{"Replicated": {"Replicas": 3}}, {"Global": {}}]))
    spec = body(
        labels=labels, task=task, container=container, Mode=mode, UpdateConfig=draw(st.sampled_from([{}, {"Parallelism": 2}]))
    )
    return live(spec, version=9)


@settings(max_examples=150, deadline=None)
@given(live_services())
def test_a_spec_that_was_kept_and_is_planned_again_is_no_difference_to_the_one_that_runs(running: Json) -> None:
    networks = [live_network(name, Id=f"net-{name}") for name in "abc"]
    configs = [live_content(name) for name in "abc"]
    secrets = [live_content(name, None) for name in "abc"]
    context = Context({f"net-{name}": name for name in "abc"}, {f"id-of-{name}": name for name in "abc"}, API)
    good = Revision("shop_web", 1, "good", STABLE, "", body=by_name(running["Spec"], context))
    wanted = service("web", "other:1", Mode=running["Spec"]["Mode"])
    bad = Revision("shop_web", 2, digest_of_declared(wanted, Versions({})), FAILED, "", target=1, body=wanted.body)
    kept = [as_config(creation(item)) for item in (good, bad)]
    seen = snapshot(running, networks=networks, configs=[*configs, *kept], secrets=secrets)

    assert difference(histories(seen)["shop_web"][0].body, running["Spec"], context).changes == ()
    made = make_plan(stack(wanted), seen, Knowledge(content_key=b"k"), Options(resolve=Resolve.NEVER))
    assert made.actions == ()
    assert [notice.reason for notice in made.notices if notice.name == "shop_web"] == [Reason.QUARANTINED]
