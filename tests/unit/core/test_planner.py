"""The plan of a whole stack: order, guards, reasons."""

from __future__ import annotations

from typing import Any

import pytest

from controller.core.contents import version_name
from controller.core.images import REFERENCE_LABEL, Resolve
from controller.core.planner import Options, ServicePlanner, in_dependency_order
from controller.core.revisions import REVISION_LABEL
from controller.core.state import STATE_NAME
from controller.model.observation import Knowledge, ResolvedImage, Snapshot
from controller.model.plan import Action, Notice, Reason, Restart
from controller.model.policy import DriftMode, ServicePolicy, StackPolicy
from controller.model.spec import IMAGE_LABEL, STACK_LABEL, DesiredStack
from tests.support.specs import (
    body,
    content,
    live_content,
    live_network,
    mounted,
    network,
    service,
    snapshot,
    stack,
)
from tests.unit.core.planning import (
    CONFIG,
    KNOWN,
    NETWORK,
    NEVER,
    SECRET,
    of_docker,
    only,
    paused,
    plan,
    reasons,
    steps,
)

# Order.


def test_an_empty_swarm_gets_networks_then_contents_then_services() -> None:
    desired = stack(
        service("web", depends_on=["db"], container={"Configs": [mounted("Config", "shop_c")]}),
        service("db", container={"Secrets": [mounted("Secret", "shop_s")]}),
        networks=[network("shop_b"), network("shop_a")],
        configs=[content("shop_c")],
        secrets=[content("shop_s")],
    )

    assert steps(plan(desired)) == [
        ("create", "network", "shop_a"),
        ("create", "network", "shop_b"),
        ("create", "config", "shop_c"),
        ("create", "secret", "shop_s"),
        ("create", "service", "shop_db"),
        ("create", "service", "shop_web"),
    ]


def test_services_come_after_all_that_they_depend_on_and_otherwise_by_name() -> None:
    desired = stack(service("a", depends_on=["z", "m"]), service("m", depends_on=["y"]), service("y"), service("z"), service("b"))

    assert [item.key for item in in_dependency_order(desired)] == ["y", "m", "z", "a", "b"]


def test_a_new_service_says_what_it_needs_and_whom_it_follows() -> None:
    desired = stack(
        service(
            "web",
            depends_on=["db"],
            task={"Networks": [{"Target": "shop_default"}]},
            container={"Configs": [mounted("Config", "shop_c")], "Secrets": [mounted("Secret", "shop_s")]},
        ),
        service("db"),
        networks=[network()],
        configs=[content("shop_c", b"new")],
        secrets=[content("shop_s")],
    )
    seen = snapshot(configs=[live_content("shop_c", b"old")])

    action = plan(desired, seen).actions[-1]

    later = version_name(content("shop_c", b"new"), CONFIG, None)
    assert action.after == ("shop_db",)
    assert set(action.needs) == {(NETWORK, "shop_default"), (CONFIG, later), (SECRET, "shop_s")}
    assert action.body["TaskTemplate"]["ContainerSpec"]["Configs"][0]["ConfigName"] == later
    assert (action.reason, action.restart) == (Reason.MISSING, Restart.START)
    assert len(action.body["Labels"][REVISION_LABEL]) == 16


def test_a_stack_that_docker_deployed_is_taken_over_without_a_write() -> None:
    config, secret = mounted("Config", "shop_c"), mounted("Secret", "shop_s")
    spec: dict[str, Any] = {
        "task": {"Networks": [{"Target": "shop_default", "Aliases": ["web"]}]},
        "container": {"Configs": [config], "Secrets": [secret], "Env": ["A=1"]},
    }
    desired = stack(service(**spec), networks=[network()], configs=[content("shop_c")], secrets=[content("shop_s")])
    seen = snapshot(
        of_docker(body(**spec)),
        networks=[live_network()],
        configs=[live_content("shop_c")],
        secrets=[live_content("shop_s", None)],
    )

    for resolve in (Resolve.NEVER, Resolve.CHANGED):
        assert plan(desired, seen, knowledge=Knowledge(), options=Options(resolve)).is_empty


# Reasons for an update.


@pytest.mark.parametrize(
    ("labels", "knowledge", "expected"),
    [
        ({}, Knowledge(), Reason.DRIFT),
        ({REVISION_LABEL: "another"}, Knowledge(), Reason.EDITED),
        ({}, Knowledge(applied={"shop_web": "another"}), Reason.EDITED),
        ({"same": "yes"}, Knowledge(), Reason.DRIFT),
    ],
)
def test_an_update_is_drift_unless_another_declaration_was_in_force(
    labels: dict[str, str], knowledge: Knowledge, expected: Reason
) -> None:
    desired = stack(service(container={"Env": ["A=1"]}))
    own = ServicePlanner(desired, snapshot(), knowledge, NEVER).revision(desired.services["web"])
    labels = {REVISION_LABEL: own} if "same" in labels else labels

    assert only(plan(desired, snapshot(of_docker(body(labels=labels))), knowledge=knowledge)).reason is expected


def test_an_update_carries_the_version_it_was_decided_on_and_shows_its_changes() -> None:
    desired = stack(service(container={"Env": ["A=1"]}, Mode={"Replicated": {"Replicas": 3}}))

    action = only(plan(desired, snapshot(of_docker(body(), version=41, ident="web-id"))))

    assert (action.object_id, action.version, action.restart) == ("web-id", 41, Restart.ROLLING)
    assert [(change.field, change.old, change.new) for change in action.changes] == [
        ("deploy.replicas", "1", "3"),
        ("environment.A", None, "<masked>"),
    ]


def test_bookkeeping_stands_on_the_service_and_never_on_its_containers() -> None:
    desired = stack(service(image="nginx:1"))
    answer = Knowledge(images={"nginx:1": ResolvedImage("nginx:1@sha256:d", ({"OS": "linux"},))})

    made = only(plan(desired, knowledge=answer, options=Options())).body

    assert made["Labels"][REFERENCE_LABEL] == "nginx:1@sha256:d"
    assert made["TaskTemplate"]["ContainerSpec"]["Labels"] == {STACK_LABEL: "shop"}
    assert made["TaskTemplate"]["Placement"] == {"Platforms": [{"OS": "linux"}]}


def test_a_newly_resolved_image_brings_its_platforms_into_an_update() -> None:
    answer = Knowledge(images={"nginx:2": ResolvedImage("nginx:2@sha256:d", ({"OS": "linux"},))})
    seen = snapshot(of_docker(body(image="nginx:1")))

    made = only(plan(stack(service(image="nginx:2")), seen, knowledge=answer, options=Options())).body

    assert made["TaskTemplate"]["ContainerSpec"]["Image"] == "nginx:2@sha256:d"
    assert made["TaskTemplate"]["Placement"]["Platforms"] == [{"OS": "linux"}]


def test_ignored_labels_still_learn_which_image_is_declared() -> None:
    desired = stack(service(image="nginx:2", policy=ServicePolicy(ignore=("deploy.labels",)), labels={"a": "declared"}))
    seen = snapshot(of_docker(body(image="nginx:1", labels={"a": "live"})))

    labels = only(plan(desired, seen)).body["Labels"]

    assert (labels[IMAGE_LABEL], labels["a"]) == ("nginx:2", "live")


def test_a_live_service_whose_labels_are_null_is_not_ours() -> None:
    seen = snapshot({"ID": "x", "Version": {"Index": 1}, "Spec": {"Name": "shop_web", "Labels": None}})

    made = plan(stack(service()), seen)

    assert made.is_empty
    assert reasons(made) == [("shop_web", Reason.FOREIGN)]


# What holds an update back.


DRIFTED = body(container={"Env": ["A=by hand"]})


def held(desired: DesiredStack, seen: Snapshot, **more: Any) -> Reason:
    made = plan(desired, seen, **more)
    assert made.is_empty
    (notice,) = made.notices
    return notice.reason


@pytest.mark.parametrize(
    ("mode", "expected"), [(DriftMode.REPORT, Reason.DRIFT_REPORTED), (DriftMode.IGNORE, Reason.DRIFT_IGNORED)]
)
def test_drift_that_is_not_to_be_reverted_is_told_and_left(mode: DriftMode, expected: Reason) -> None:
    desired = stack(service(policy=ServicePolicy(drift=mode)))

    assert held(desired, snapshot(of_docker(DRIFTED))) is expected
    assert plan(desired, snapshot(of_docker(DRIFTED))).notices[0].changes


@pytest.mark.parametrize("mode", list(DriftMode))
def test_an_edit_and_a_missing_service_are_written_whatever_becomes_of_drift(mode: DriftMode) -> None:
    desired = stack(service(policy=ServicePolicy(drift=mode)))
    edited = of_docker(body(labels={REVISION_LABEL: "another"}, container={"Env": ["A=1"]}))

    assert only(plan(desired, snapshot(edited))).reason is Reason.EDITED
    assert only(plan(desired)).reason is Reason.MISSING


@pytest.mark.parametrize("state", ["updating", "rollback_started"])
def test_drift_waits_while_swarms_updater_is_at_work_and_an_edit_does_not(state: str) -> None:
    status = {"UpdateStatus": {"State": state}}
    edited = body(labels={REVISION_LABEL: "another"}, container={"Env": ["A=1"]})

    assert held(stack(service()), snapshot(of_docker(DRIFTED, **status))) is Reason.UPDATE_RUNNING
    assert only(plan(stack(service()), snapshot(of_docker(edited, **status)))).reason is Reason.EDITED


def test_drift_that_swarm_itself_went_back_to_is_left_alone_however_long_that_takes() -> None:
    def planned(message: str) -> tuple[Action | None, Notice | None]:
        seen = snapshot(of_docker(DRIFTED, UpdateStatus={"State": "rollback_started", "Message": message}))
        desired = stack(service())
        return ServicePlanner(desired, seen, KNOWN, NEVER).plan(desired.services["web"], may_interrupt=True)

    action, notice = planned("update rolled back due to failure or early termination of task x")
    assert (action, notice and notice.message) == (None, "Swarm's updater goes back from it")
    action, notice = planned("manually requested rollback")
    assert (action and action.reason, notice) == (Reason.DRIFT, None)


@pytest.mark.parametrize("state", ["completed", "paused", "rollback_completed", "rollback_paused", ""])
def test_drift_is_reverted_once_the_updater_has_ended_or_given_up(state: str) -> None:
    seen = snapshot(of_docker(DRIFTED, UpdateStatus={"State": state}))

    assert only(plan(stack(service()), seen)).reason is Reason.DRIFT


def test_another_mode_cannot_be_written() -> None:
    assert held(stack(service(Mode={"Global": {}})), snapshot(of_docker(body()))) is Reason.IMMUTABLE


def test_the_controllers_own_stack_is_told_and_never_written() -> None:
    made = plan(stack(service("a"), service("b")), snapshot(of_docker(body("a", container={"Env": ["A=1"]}))),
                options=Options(Resolve.NEVER, own_stack="shop"))  # fmt: skip

    assert made.is_empty
    assert {reason for _, reason in reasons(made)} == {Reason.OWN_STACK}


def test_the_shared_objects_of_the_controllers_own_stack_are_not_written_either() -> None:
    desired = stack(networks=[network()], configs=[content("shop_c", b"new")], policy=StackPolicy(prune=True))
    seen = snapshot(of_docker(body("stray")), configs=[live_content("shop_c", b"old"), live_content("shop_gone")])

    made = plan(desired, seen, options=Options(Resolve.NEVER, own_stack="shop"))

    assert made.is_empty
    assert {reason for _, reason in reasons(made)} == {Reason.OWN_STACK}


def test_an_image_without_an_answer_blocks_with_the_registrys_words() -> None:
    knowledge = Knowledge(unresolved={"nginx:1": "no route"})

    for seen in (snapshot(), snapshot(of_docker(body(image="nginx:0")))):
        made = plan(stack(service()), seen, knowledge=knowledge, options=Options())
        assert reasons(made) == [("shop_web", Reason.UNRESOLVED_IMAGE)]
        assert "no route" in made.notices[0].message
    assert "was not asked" in plan(stack(service()), options=Options()).notices[0].message


def test_a_planner_says_which_image_it_has_to_ask_for() -> None:
    desired = stack(service())
    asking = ServicePlanner(desired, snapshot(), Knowledge(), Options())
    told = ServicePlanner(desired, snapshot(), Knowledge(images={"nginx:1": ResolvedImage("nginx:1@sha256:d")}), Options())

    assert asking.image_to_ask(desired.services["web"]) == "nginx:1"
    assert told.image_to_ask(desired.services["web"]) is None


@pytest.mark.parametrize("target", ["shop", "shop/web"])
def test_a_paused_service_is_told_and_not_written(target: str) -> None:
    made = plan(stack(service("web"), service("db")), snapshot(configs=[paused(target)]))

    assert ("shop_web", Reason.PAUSED) in reasons(made)
    assert steps(made) == ([] if target == "shop" else [("create", "service", "shop_db")])


def test_a_stack_may_declare_itself_paused() -> None:
    desired = stack(service(), networks=[network()], configs=[content("shop_c")], policy=StackPolicy(paused=True, prune=True))
    seen = snapshot(of_docker(body("stray")))

    made = plan(desired, seen)

    assert made.is_empty
    assert reasons(made) == [("shop_default", Reason.PAUSED), ("shop_c", Reason.PAUSED), ("shop_web", Reason.PAUSED)]


# External and foreign objects.


def test_a_service_waits_for_external_objects_that_are_missing() -> None:
    desired = stack(
        service(
            task={"Networks": [{"Target": "front"}]},
            container={"Configs": [mounted("Config", "theirs")], "Secrets": [mounted("Secret", "theirs")]},
        ),
        networks=[network("front", external=True)],
        configs=[content("theirs", external=True)],
        secrets=[content("theirs", external=True)],
    )

    made = plan(desired)

    assert made.is_empty
    assert [reason for _, reason in reasons(made)] == [Reason.WAITS] * 4
    assert "needs front, theirs, theirs" in made.notices[-1].message


def test_external_objects_that_exist_are_used() -> None:
    desired = stack(
        service(task={"Networks": [{"Target": "front"}]}, container={"Configs": [mounted("Config", "theirs")]}),
        networks=[network("front", external=True)],
        configs=[content("theirs", external=True)],
    )
    seen = snapshot(networks=[live_network("front", stack="")], configs=[live_content("theirs", stack="")])

    assert steps(plan(desired, seen)) == [("create", "service", "shop_web")]


def test_what_belongs_to_another_stack_is_never_written() -> None:
    desired = stack(service(), networks=[network()])
    seen = snapshot(of_docker({**DRIFTED, "Labels": {STACK_LABEL: "other"}}), networks=[live_network(stack="other")])

    made = plan(desired, seen)

    assert made.is_empty
    assert reasons(made) == [("shop_default", Reason.FOREIGN), ("shop_web", Reason.FOREIGN)]


# Networks.


def test_a_secret_asks_for_the_clusters_key_first_and_its_service_waits() -> None:
    desired = stack(service(container={"Secrets": [mounted("Secret", "shop_s")]}), secrets=[content("shop_s")])

    made = plan(desired, knowledge=Knowledge())

    assert steps(made) == [("create", "config", STATE_NAME)]
    assert reasons(made) == [("shop_s", Reason.WAITS), ("shop_web", Reason.WAITS)]
