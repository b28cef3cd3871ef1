"""What is kept before an edit: once, in order, and from whatever was left by whoever came before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from controller.core.revisions import REVISION_LABEL, by_name, config_name, creation, histories
from controller.core.rollout import Turn
from controller.core.succession import Edit, is_proven, outgoing, relabelled, succession
from controller.model.observation import Snapshot
from controller.model.plan import Action, Change, ObjectKind, Reason, Verb
from controller.model.revision import Revision, RevisionState
from controller.model.spec import Json
from controller.simulator.engine import Simulator
from tests.support.specs import CONTEXT, body, live, snapshot

S = RevisionState
NEW = body("web", "web:9", container={"Env": ["TOKEN=S3CR3T"]})
CHANGES = (Change("environment.TOKEN", None, "<masked>"), Change("image", "web:1", "web:9"))


def running(digest: str = "", *, version: int = 5) -> Json:
    labels = {REVISION_LABEL: digest} if digest else {}
    return live(body("web", "web:1", labels=labels), version=version, UpdatedAt="2026-01-01T00:00:00Z")


def edit(service: Json, *, digest: str = "new", applied: str = "", proven: bool = True) -> Edit:
    action = Action(
        Verb.UPDATE, ObjectKind.SERVICE, "shop_web", Reason.EDITED,
        changes=CHANGES, object_id=service["ID"], version=service["Version"]["Index"], body=NEW,
    )  # fmt: skip
    return Edit(action, digest, "group", "2026-02-02T00:00:00Z", noise=("n",), applied=applied, is_proven=proven)


def kept(number: int, digest: str, state: RevisionState, **parts: object) -> Revision:
    revision = Revision("shop_web", number, digest, state, "", over=number, body=body("web", f"web:{number}"))
    return replace(revision, **parts)  # type: ignore[arg-type] # by field


class Kept:
    """A Swarm that keeps revisions."""

    def __init__(self, service: Json, *revisions: Revision) -> None:
        self.sim, self.service = Simulator(), service
        for revision in revisions:
            self.sim.create(ObjectKind.CONFIG, creation(revision).body)

    @property
    def snapshot(self) -> Snapshot:
        return snapshot(self.service, configs=self.sim.list_objects(ObjectKind.CONFIG))

    @property
    def history(self) -> Sequence[Revision]:
        return histories(self.snapshot).get("shop_web", ())

    def before(self, change: Edit, *, keep: int = 10) -> list[Action]:
        return succession(change, self.history, self.snapshot, CONTEXT, keep=keep)

    def write(self, actions: Sequence[Action]) -> None:
        for action in actions:
            if action.verb is Verb.CREATE:
                self.sim.create(action.kind, action.body)
            elif action.verb is Verb.UPDATE:
                self.sim.update(action.kind, action.object_id, action.version, action.body)
            else:
                self.sim.remove(action.kind, action.object_id)

    def after(self, change: Edit, *, keep: int = 10) -> list[tuple[int, str, RevisionState]]:
        self.write(self.before(change, keep=keep))
        return [(item.number, item.digest, item.state) for item in self.history]


def test_the_first_edit_keeps_what_goes_and_what_comes() -> None:
    service = running()
    swarm = Kept(service)

    assert swarm.after(edit(service, applied="old")) == [(1, "old", S.STABLE), (2, "new", S.PROGRESSING)]
    old, new = swarm.history
    assert (old.body, old.over, old.changes) == (by_name(service["Spec"], CONTEXT), 0, ())
    assert (old.since, old.why) == ("2026-01-01T00:00:00Z", "it ran before the first edit that was seen")
    assert (new.body, new.over, new.changes) == (by_name(NEW, CONTEXT), 5, CHANGES)
    assert (new.since, new.why, new.group, new.noise) == ("2026-02-02T00:00:00Z", "", "group", ("n",))


def test_what_did_not_run_in_full_is_kept_and_is_nothing_to_go_back_to() -> None:
    swarm = Kept(running())
    assert swarm.after(edit(running(), applied="old", proven=False))[0] == (1, "old", S.SUPERSEDED)
    assert swarm.history[0].why == "it did not run in full when it was edited"


@pytest.mark.parametrize("applied", ["", "old"])
@pytest.mark.parametrize("label", ["", "label"])
@pytest.mark.parametrize("written", [0, 1, 2])
def test_what_was_kept_before_a_crash_is_not_kept_again(written: int, label: str, applied: str) -> None:
    """Whatever the next controller remembers."""
    swarm = Kept(running(label))
    first = swarm.before(edit(running(label), applied="old"))
    swarm.write(first[:written])

    swarm.write(swarm.before(edit(running(label), applied=applied)))

    assert [(item.number, item.state) for item in swarm.history] == [(1, S.STABLE), (2, S.PROGRESSING)]
    assert swarm.before(edit(running(label), applied=applied)) == []


def test_a_baseline_that_did_not_get_through_is_kept_before_the_edit_goes_out() -> None:
    swarm = Kept(running())
    first = swarm.before(edit(running()))
    swarm.write(first[1:])
    assert [item.number for item in swarm.history] == [2]

    assert [state for _, _, state in swarm.after(edit(running()))] == [S.SUPERSEDED, S.STABLE, S.PROGRESSING]
    assert swarm.before(edit(running())) == []


def test_an_edit_that_waits_for_its_write_is_not_kept_again_when_swarm_has_written_meanwhile() -> None:
    swarm = Kept(running("a"))
    swarm.write(swarm.before(edit(running("a"))))
    swarm.service = running("a", version=6)
    assert swarm.before(edit(swarm.service)) == []


def test_the_second_edit_keeps_only_what_comes() -> None:
    swarm = Kept(running("b"), kept(1, "a", S.STABLE), kept(2, "b", S.STABLE))
    assert swarm.after(edit(running("b"))) == [(1, "a", S.STABLE), (2, "b", S.STABLE), (3, "new", S.PROGRESSING)]


@pytest.mark.parametrize(("proven", "state"), [(True, S.STABLE), (False, S.SUPERSEDED)])
def test_what_was_on_trial_is_proven_or_replaced(proven: bool, state: RevisionState) -> None:
    swarm = Kept(running("b"), kept(1, "a", S.STABLE), kept(2, "b", S.PROGRESSING))
    assert swarm.after(edit(running("b"), proven=proven))[1] == (2, "b", state)
    assert swarm.history[1].why == ("all replicas up" if proven else "revision 3 came first")


def test_what_was_on_trial_and_does_not_run_is_not_proven_by_what_does() -> None:
    swarm = Kept(running("a"), kept(1, "a", S.STABLE), kept(2, "b", S.PROGRESSING))
    assert swarm.after(edit(running("a")))[1] == (2, "b", S.SUPERSEDED)


@pytest.mark.parametrize(("proven", "state"), [(True, S.STABLE), (False, S.SUPERSEDED)])
def test_what_was_released_where_it_runs_and_ran_well_is_stable(proven: bool, state: RevisionState) -> None:
    swarm = Kept(running("b"), kept(1, "a", S.STABLE), kept(2, "b", S.SUPERSEDED))
    assert swarm.after(edit(running("b"), proven=proven))[1] == (2, "b", state)


@pytest.mark.parametrize("label", ["a", "b"])
def test_a_way_back_that_is_overtaken_is_over_and_what_it_led_away_from_stays_refused(label: str) -> None:
    swarm = Kept(running(label), kept(1, "a", S.STABLE), kept(2, "b", S.FAILED, why="it crashed", target=1))
    assert swarm.after(edit(running(label)))[1:] == [(2, "b", S.QUARANTINED), (3, "new", S.PROGRESSING)]
    assert (swarm.history[1].why, swarm.history[1].target) == ("it crashed; revision 3 came first", 1)


def test_what_was_refused_and_released_and_is_declared_again_is_on_trial_again() -> None:
    """Also where it was never written, so that nothing but its state tells."""
    swarm = Kept(running("a"), kept(1, "a", S.STABLE), kept(2, "new", S.SUPERSEDED, over=5))
    assert swarm.after(edit(running("a")))[2] == (3, "new", S.PROGRESSING)


def test_of_a_declaration_that_comes_back_the_live_one_is_the_newest() -> None:
    swarm = Kept(running("a"), kept(1, "a", S.STABLE), kept(2, "b", S.STABLE), kept(3, "a", S.PROGRESSING))
    assert [state for _, _, state in swarm.after(edit(running("a")))] == [S.STABLE, S.STABLE, S.STABLE, S.PROGRESSING]


def test_a_label_that_nobody_knows_makes_another_baseline() -> None:
    swarm = Kept(running("lost"), kept(4, "a", S.STABLE))
    assert swarm.after(edit(running("lost")))[1:] == [(5, "lost", S.STABLE), (6, "new", S.PROGRESSING)]


def test_what_docker_wrote_is_known_by_its_spec_and_not_by_what_was_about_to_be_written() -> None:
    """An edit that was kept and never written is not what runs, whatever somebody remembers."""
    service = running()
    baseline = kept(1, "old", S.STABLE, over=0, body=by_name(service["Spec"], CONTEXT))
    swarm = Kept(service, baseline, kept(2, "b", S.PROGRESSING))
    assert swarm.after(edit(service, applied="b")) == [(1, "old", S.STABLE), (2, "b", S.SUPERSEDED), (3, "new", S.PROGRESSING)]

    other = Kept(service, kept(1, "b", S.PROGRESSING))
    numbers = other.after(edit(service, applied="b"))
    assert numbers[0] == (1, "b", S.SUPERSEDED)
    assert numbers[1][1] != "b"


def test_as_many_are_kept_as_the_policy_says() -> None:
    for keep, service, expected in ((3, running("c"), [2, 3, 4]), (3, running(), [3, 4, 5]), (1, running("c"), [3, 4])):
        swarm = Kept(service, kept(1, "a", S.STABLE), kept(2, "b", S.STABLE), kept(3, "c", S.STABLE))
        assert [number for number, _, _ in swarm.after(edit(service), keep=keep)] == expected
        assert swarm.before(edit(service), keep=keep) == []


def test_no_value_of_the_environment_is_in_a_label_or_a_name() -> None:
    swarm = Kept(running("a"), kept(1, "a", S.FAILED, why="x"))
    actions = swarm.before(edit(running("a")))
    assert actions
    assert "S3CR3T" not in str([(action.name, action.changes, action.body["Labels"]) for action in actions])


def test_of_two_who_count_to_the_same_number_one_is_refused() -> None:
    swarm = Kept(running("a"), kept(1, "a", S.STABLE))
    mine, theirs = swarm.before(edit(running("a"))), swarm.before(edit(running("a"), digest="other"))
    assert [action.name for action in mine] == [action.name for action in theirs] == [config_name("shop_web", 2)]


# Who runs


def test_outgoing_is_what_runs() -> None:
    service = running()
    baseline = kept(1, "old", S.STABLE, over=0, body=by_name(service["Spec"], CONTEXT))
    written = kept(2, "b", S.STABLE, body=by_name(service["Spec"], CONTEXT))
    assert outgoing([baseline, written], service, CONTEXT) is baseline
    assert outgoing([written], service, CONTEXT) is None
    assert outgoing([baseline, written], running("b"), CONTEXT) is written
    assert outgoing([baseline, written], running("c"), CONTEXT) is None
    assert outgoing([], service, CONTEXT) is None


# Whether it runs


BEFORE = "2026-01-01T00:00:10Z"


def task(service: Json, stamp: str) -> Json:
    status = {"State": "running", "Timestamp": stamp}
    return {"ID": stamp, "DesiredState": "running", "Spec": service["Spec"]["TaskTemplate"], "Status": status}


def test_it_is_proven_by_tasks_that_came_up_before() -> None:
    service = live(body(Mode={"Replicated": {"Replicas": 2}}))
    early, late = task(service, "2026-01-01T00:00:09.9Z"), task(service, "2026-01-01T00:00:10.1Z")
    other = {**task(service, "2026-01-01T00:00:01Z"), "Spec": {"ContainerSpec": {}}}

    def proven(*tasks: Json, state: str = "") -> bool:
        seen = {**service, "UpdateStatus": {"State": state}} if state else service
        return is_proven(seen, tasks, [], started_before=BEFORE)

    assert proven(early, early)
    assert proven(early, early, state="completed")
    assert not proven(early, late)
    assert not proven(early, other)
    assert not proven(early, early, state="updating")
    assert not proven(early, early, state="rollback_started")


def test_what_is_asked_for_no_replicas_has_proven_nothing() -> None:
    service = live(body(Mode={"Replicated": {"Replicas": 0}}))
    assert not is_proven(service, [], [], started_before=BEFORE)


def test_a_verdict_names_its_target_and_the_end_of_the_way_back_keeps_it() -> None:
    swarm = Kept(running("b"), kept(1, "a", S.STABLE), kept(2, "b", S.PROGRESSING))
    good, bad = swarm.history

    swarm.write([relabelled(bad, Turn.FOUND_BAD, "it crashed", snapshot=swarm.snapshot, target=good)])
    failed = swarm.history[1]
    assert (failed.state, failed.target, failed.is_back, failed.why) == (S.FAILED, 1, False, "it crashed")

    swarm.write([relabelled(failed, Turn.WENT_BACK, "it crashed", snapshot=swarm.snapshot, is_back=True)])
    over = swarm.history[1]
    assert (over.state, over.target, over.is_back) == (S.QUARANTINED, 1, True)
    without = relabelled(good, Turn.FOUND_BAD, "no other", snapshot=swarm.snapshot)
    assert "prodbreaker.rev.target" not in without.body["Labels"]
