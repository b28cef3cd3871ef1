"""Plans of a service whose declaration is refused: what runs in its place, and how that is told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from controller.core.contents import Versions
from controller.core.images import REFERENCE_LABEL, Resolve
from controller.core.planner import Options, ServicePlanner
from controller.core.revisions import REVISION_LABEL, by_name, creation
from controller.core.services import revision as digest
from controller.model.observation import Snapshot
from controller.model.plan import Action, Notice, Reason, Verb
from controller.model.policy import DriftMode, ServicePolicy, StackPolicy
from controller.model.revision import Revision, RevisionState
from controller.model.spec import IMAGE_LABEL, DesiredService, Json
from tests.support.specs import (
    CONTEXT,
    body,
    content,
    live,
    live_content,
    live_network,
    mounted,
    network,
    service,
    snapshot,
    stack,
)
from tests.unit.core.planning import CONFIG, KNOWN, NEVER, SECRET, plan, steps

S = RevisionState
OLD: Json = body("web", "web:1@sha256:1", labels={IMAGE_LABEL: "web:1"}, container={"Env": ["A=1"]})
NEW = service("web", "web:2", Mode={"Replicated": {"Replicas": 4}})


def good(spec: Json = OLD) -> Revision:
    return Revision("shop_web", 1, "good", S.STABLE, "", body=by_name(spec, CONTEXT))


def bad(wanted: DesiredService = NEW, state: RevisionState = S.FAILED, target: int | None = 1) -> Revision:
    return Revision("shop_web", 2, digest(wanted, Versions({})), state, "", why="it crashed", target=target, body=wanted.body)


def config(revision: Revision) -> Json:
    spec = creation(revision).body
    return {"ID": f"id-of-{spec['Name']}", "Version": {"Index": 3}, "Spec": spec}


def seen(running: Json | None, *revisions: Revision, **parts: Any) -> Snapshot:
    kept = [config(item) for item in revisions or (good(), bad())]
    return snapshot(*([running] if running else []), configs=[*kept, *parts.pop("configs", ())], **parts)


def of(label: str, spec: Json = OLD, state: str = "", **parts: Any) -> Json:
    found = live({**spec, "Labels": {**spec["Labels"], **({REVISION_LABEL: label} if label else {})}, **parts})
    return {**found, "UpdateStatus": {"State": state, "StartedAt": "9"}} if state else found


def planned(there: Snapshot, wanted: DesiredService = NEW) -> tuple[Action | None, Notice | None]:
    return ServicePlanner(stack(wanted), there, KNOWN, NEVER).plan(wanted)


BAD = bad().digest


def test_a_way_back_waits_until_swarm_has_gone_back_by_itself() -> None:
    other = body("web", "web:0")
    action, notice = planned(seen(of("other", other, "rollback_started")))

    assert action is None
    assert notice is not None
    assert notice.reason is Reason.UPDATE_RUNNING
    assert planned(seen(of("other", other, "updating")))[0] is not None


def test_a_bad_revision_is_replaced_by_its_target_with_the_replicas_that_are_declared() -> None:
    action, notice = planned(seen(of(BAD, NEW.body)))

    assert action is not None
    assert notice is not None
    assert (action.verb, action.reason) == (Verb.UPDATE, Reason.ROLLBACK)
    container = action.body["TaskTemplate"]["ContainerSpec"]
    assert (container["Image"], container["Env"]) == ("web:1@sha256:1", ["A=1"])
    assert action.body["Mode"] == {"Replicated": {"Replicas": 4}}
    labels = action.body["Labels"]
    assert (labels[REVISION_LABEL], labels[IMAGE_LABEL], labels[REFERENCE_LABEL]) == ("good", "web:1", "web:1@sha256:1")
    assert (notice.reason, notice.message) == (Reason.QUARANTINED, "revision 2 is bad (it crashed); revision 1 takes its place")


def test_what_runs_in_the_place_of_a_quarantined_one_is_left_alone() -> None:
    action, notice = planned(seen(of("good", Mode={"Replicated": {"Replicas": 4}}), good(), bad(state=S.QUARANTINED)))
    assert action is None
    assert notice is not None
    assert notice.message == "revision 2 is bad (it crashed); revision 1 runs in its place"


def test_with_nothing_to_go_back_to_what_runs_is_left_alone() -> None:
    action, notice = planned(seen(of(BAD, NEW.body), bad(target=None)))
    assert action is None
    assert notice is not None
    assert notice.message == "revision 2 is bad (it crashed); nothing earlier was stable, so what runs is left as it is"


def test_a_way_back_that_swarm_undid_is_not_tried_again() -> None:
    action, notice = planned(seen(of(BAD, NEW.body, "rollback_completed"), good(), bad(state=S.QUARANTINED)))
    assert action is None
    assert notice is not None
    assert notice.reason is Reason.QUARANTINED


DRIFTED: Json = {**OLD, "EndpointSpec": {"Mode": "dnsrr"}}
REASONS = {
    "on the way back": (of(BAD, DRIFTED), S.FAILED, Reason.ROLLBACK),
    "a refused one that came to run again": (of(BAD, DRIFTED), S.QUARANTINED, Reason.ROLLBACK),
    "what runs in its place was changed": (of("good", DRIFTED), S.QUARANTINED, Reason.DRIFT),
    "it was changed on the way back": (of("good", DRIFTED), S.FAILED, Reason.DRIFT),
    "what Swarm went back to was changed": (of("", DRIFTED), S.QUARANTINED, Reason.DRIFT),
}


@pytest.mark.parametrize("name", REASONS)
@pytest.mark.parametrize("mode", list(DriftMode))
def test_a_way_back_is_no_drift_and_drift_of_its_target_is(name: str, mode: DriftMode) -> None:
    running, state, expected = REASONS[name]
    wanted = replace(NEW, policy=ServicePolicy(drift=mode))
    action, notice = planned(seen(running, good(), bad(state=state)), wanted)
    if expected is Reason.DRIFT and mode is not DriftMode.REVERT:
        assert action is None
        assert notice is not None
        assert notice.reason in (Reason.DRIFT_REPORTED, Reason.DRIFT_IGNORED)
    else:
        assert action is not None
        assert action.reason is expected


def test_a_service_that_is_missing_comes_back_as_the_target() -> None:
    action, _ = planned(seen(None))
    assert action is not None
    assert (action.verb, action.reason) == (Verb.CREATE, Reason.MISSING)
    assert action.body["TaskTemplate"]["ContainerSpec"]["Image"] == "web:1@sha256:1"
    assert action.body["Labels"][REVISION_LABEL] == "good"


@pytest.mark.parametrize("platforms", [[], [{"OS": "linux", "Architecture": "amd64"}]])
def test_the_way_back_brings_the_platforms_of_its_image(platforms: list[Json]) -> None:
    """Those of the bad one would keep its tasks from nodes that they run on."""
    placement = {"Placement": {"Platforms": [{"OS": "windows"}]}}
    running = of(BAD, body("web", "web:2", task=placement))
    target = good({**OLD, "TaskTemplate": {**OLD["TaskTemplate"], "Placement": {"Platforms": platforms} if platforms else {}}})

    action, _ = planned(seen(running, target, bad()))

    assert action is not None
    assert (action.body["TaskTemplate"]["Placement"].get("Platforms") or []) == platforms


def test_the_registry_is_not_asked_for_a_refused_image() -> None:
    options = Options(resolve=Resolve.CHANGED)

    def asked(there: Snapshot) -> str | None:
        return ServicePlanner(stack(NEW), there, KNOWN, options).image_to_ask(NEW)

    assert asked(seen(of("good"), good())) == "web:2"
    assert asked(seen(of("good"))) is None
    assert asked(seen(of("good"), good(), bad(state=S.SUPERSEDED))) == "web:2"


def test_what_is_ignored_stays_as_it_is_on_the_way_back() -> None:
    wanted = replace(NEW, policy=ServicePolicy(ignore=("environment.A", "deploy.replicas")))
    running = of(BAD, body("web", "web:2", container={"Env": ["A=live"]}, Mode={"Replicated": {"Replicas": 7}}))
    action, _ = planned(seen(running), wanted)
    assert action is not None
    assert action.body["TaskTemplate"]["ContainerSpec"]["Env"] == ["A=live"]
    assert action.body["Mode"] == {"Replicated": {"Replicas": 7}}


def test_of_another_mode_the_kept_one_stays() -> None:
    wanted = service("web", "web:2", Mode={"Global": {}})
    action, _ = planned(seen(of(bad(wanted).digest, DRIFTED), good(), bad(wanted)), wanted)
    assert action is not None
    assert (action.reason, list(action.body["Mode"])) == (Reason.ROLLBACK, ["Replicated"])


# What a kept revision needs


USES = {"Configs": [mounted("Config", "shop_c")], "Secrets": [mounted("Secret", "shop_s")]}
NEEDY = good(body("web", "web:1", container=USES, task={"Networks": [{"Target": "shop_n"}, {"Target": "host"}]}))


def test_what_is_lost_is_what_neither_the_swarm_nor_the_file_has() -> None:
    def lost(there: Snapshot, **declared: Any) -> list[str]:
        return ServicePlanner(stack(NEW, **declared), there, KNOWN, NEVER).lost(NEEDY)

    assert lost(snapshot()) == ["config shop_c", "network shop_n", "secret shop_s"]
    there = snapshot(configs=[live_content("shop_c")], secrets=[live_content("shop_s", None)], networks=[live_network("shop_n")])
    assert lost(there) == []
    declared = {"networks": [network("shop_n")], "configs": [content("shop_c")], "secrets": [content("shop_s")]}
    assert lost(snapshot(), **declared) == []
    changed = snapshot(configs=[live_content("shop_c-old", b"x")])
    assert lost(changed, configs=[content("shop_c")]) == ["network shop_n", "secret shop_s"]


def test_nothing_that_a_kept_revision_needs_is_removed() -> None:
    prune = StackPolicy(prune=True)
    there = {
        "configs": [live_content("shop_c"), live_content("shop_gone")],
        "secrets": [live_content("shop_s", None)],
        "networks": [live_network("shop_n"), live_network("shop_gone")],
    }
    removed = [
        ("remove", "network", "shop_gone"),
        ("remove", "config", "shop_gone"),
    ]
    wanted = stack(service("web", "web:1"), policy=prune)
    with_it = seen(live(body("web", "web:1")), NEEDY, **there)
    assert steps(plan(wanted, with_it)) == removed
    without = snapshot(live(body("web", "web:1")), **there)
    assert sorted(steps(plan(wanted, without))) == sorted(
        [*removed, ("remove", "network", "shop_n"), ("remove", "config", "shop_c"), ("remove", "secret", "shop_s")]
    )
    assert {CONFIG, SECRET} == {action.kind for action in plan(wanted, without).actions if action.kind.value != "network"}


def test_revisions_go_with_their_service_and_what_they_need_after_them() -> None:
    db, others = replace(NEEDY, service="shop_db"), body("db", stack="other", container=USES)
    other = replace(NEEDY, service="other_db", body=others)
    there = {"configs": [live_content("shop_c"), live_content("shop_s")], "networks": [live_network("shop_n")]}
    wanted = stack(service("web", "web:1"), policy=StackPolicy(prune=True))
    running = live(body("web", "web:1"))
    gone = [("remove", "config", creation(db).name)]

    assert steps(plan(wanted, seen(running, NEEDY, db, other, **there))) == [("remove", "config", "shop_s"), *gone]
    both = seen(running, db)
    both = replace(both, services={**both.services, "shop_db": live(body("db"))})
    assert steps(plan(wanted, both)) == [("remove", "service", "shop_db")]
    assert steps(plan(stack(service("web", "web:1")), seen(running, db))) == []  # without prune all of it stays


def test_an_edit_that_no_node_can_take_is_told_and_not_planned() -> None:
    node = {"ID": "n1", "Status": {"State": "ready"}, "Spec": {"Availability": "active", "Role": "worker"}}
    wanted = service("web", "web:1", task={"Placement": {"Constraints": ["node.role==manager"]}})
    action, notice = planned(snapshot(of("good", body("web", "web:1")), nodes=[node]), wanted)
    assert action is None
    assert notice is not None
    assert notice.reason is Reason.IMPOSSIBLE


def test_what_one_edit_brings_has_one_name() -> None:
    one, other = service("a"), service("b")
    first = ServicePlanner(stack(one, other), snapshot(), KNOWN, NEVER)
    assert first.generation() == ServicePlanner(stack(other, one), snapshot(), KNOWN, NEVER).generation()
    assert first.generation() != ServicePlanner(stack(one, service("b", "c:2")), snapshot(), KNOWN, NEVER).generation()
    assert first.context.api_version == CONTEXT.api_version
    assert list(ServicePlanner(stack(NEW), seen(None), KNOWN, NEVER).histories) == ["shop_web"]
