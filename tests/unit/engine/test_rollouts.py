"""What the watch over a revision makes of what it sees, and of what it does not."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from controller.core.judgement import Look
from controller.core.planner import ServicePlanner
from controller.core.revisions import REVISION_LABEL, by_name, creation
from controller.core.rollout import Turn
from controller.engine.rollouts import UNSEEN_SECONDS, Rollouts, Ruling, Subject, _note, _Watch
from controller.engine.signals import SignalWatch
from controller.errors import NotFoundError
from controller.model.observation import Snapshot
from controller.model.plan import ObjectKind
from controller.model.policy import RollbackPolicy
from controller.model.revision import Revision, RevisionState
from controller.model.spec import DesiredService, Json
from tests.support.fakes import FakeSwarm, LoopClock
from tests.support.specs import CONTEXT, body, live, mounted, service, snapshot, stack
from tests.unit.core.planning import KNOWN, NEVER

S = RevisionState
ONE: Json = {"Replicated": {"Replicas": 1}}


def look(up: int, *, of: int = 3, state: str = "", began: str = "") -> Look:
    found = live(body(Mode={"Replicated": {"Replicas": of}}))
    task = {"DesiredState": "running", "Spec": found["Spec"]["TaskTemplate"], "Status": {"State": "running"}}
    status = {"UpdateStatus": {"State": state, "StartedAt": began}} if state else {}
    return Look({**found, **status}, [{**task, "ID": str(number)} for number in range(up)], [], RollbackPolicy())


def seen(*looks: tuple[float, Look]) -> _Watch:
    watch = _Watch(1, seen_at=looks[0][0])
    for now, item in looks:
        _note(watch, item, now)
    return watch


def test_time_without_progress_adds_up() -> None:
    assert seen((0, look(1)), (1, look(1)), (3, look(1))).idle == 3
    assert seen((0, look(1)), (1, look(0)), (2, look(1))).idle == 2  # to come back to where it was is no progress
    assert seen((0, look(1)), (4, look(2))).idle == 0
    assert seen((0, look(0)), (4, look(1)), (6, look(1))).idle == 2


def test_where_none_is_missing_nothing_is_waited_for() -> None:
    assert seen((0, look(3)), (4, look(3)), (8, look(3))).idle == 0
    assert seen((0, look(3)), (4, look(3)), (8, look(2))).idle == 0  # the time begins with the loss
    assert seen((0, look(3)), (4, look(2)), (8, look(2))).idle == 4
    assert seen((0, look(3)), (4, look(1)), (8, look(2))).idle == 0


def test_time_in_health_adds_up_and_begins_anew_with_every_break() -> None:
    assert seen((0, look(3))).healthy == 0
    assert seen((0, look(3)), (2, look(3)), (5, look(3))).healthy == 5
    assert seen((0, look(3)), (2, look(2)), (4, look(3)), (5, look(3))).healthy == 1
    assert seen((0, look(3)), (2, look(3, state="updating")), (3, look(3, state="updating"))).healthy is None
    assert seen((0, look(3)), (2, look(2))).healthy is None


def test_what_nobody_saw_counts_for_a_moment_only() -> None:
    assert seen((0, look(1)), (1000, look(1))).idle == UNSEEN_SECONDS
    assert seen((0, look(3)), (1000, look(3))).healthy == UNSEEN_SECONDS


def test_an_update_that_was_written_anew_has_all_its_time() -> None:
    before = [(float(second), look(1, state="updating", began="1")) for second in range(0, 40, 4)]
    assert seen(*before).idle == 36
    assert seen(*before, (40, look(1, state="updating", began="2"))).idle == 0
    assert seen(*before, (40, look(0, state="updating", began="2")), (42, look(0, state="updating", began="2"))).idle == 2
    well = [(0.0, look(3, state="completed", began="1")), (4.0, look(3, state="completed", began="1"))]
    assert seen(*well).healthy == 4
    assert seen(*well, (6, look(3, state="completed", began="2"))).healthy == 0


# Looks


def kept(number: int, digest: str, state: RevisionState, spec: Json, *, target: int | None = None) -> Revision:
    return Revision("shop_web", number, digest, state, "", target=target, over=number, body=by_name(spec, CONTEXT))


def there(running: Json | None, revisions: Sequence[Revision]) -> Snapshot:
    configs = []
    for revision in revisions:
        spec = creation(revision).body
        configs.append({"ID": f"id-of-{spec['Name']}", "Version": {"Index": 3}, "CreatedAt": "1", "Spec": spec})
    return snapshot(*([running] if running else []), configs=configs)


def subject(wanted: DesiredService, seen: Snapshot) -> Subject:
    return Subject(wanted, seen, ServicePlanner(stack(wanted), seen, KNOWN, NEVER))


def declared(mode: Json = ONE) -> tuple[DesiredService, str]:
    wanted = service("web", "web:2", Mode=mode)
    return wanted, ServicePlanner(stack(wanted), snapshot(), KNOWN, NEVER).revision(wanted)


def of(spec: Json, digest: str) -> Json:
    return live({**spec, "Labels": {**spec["Labels"], REVISION_LABEL: digest}})


def rollouts(swarm: FakeSwarm | None = None) -> Rollouts:
    clock = LoopClock()
    return Rollouts(swarm or FakeSwarm(), clock, SignalWatch(None, clock))


OLD = body("web", "web:1", Mode=ONE)
GOOD = kept(1, "good", S.STABLE, OLD)


def refused(digest: str, wanted: DesiredService, *, target: int | None = 1) -> Revision:
    return kept(2, digest, S.FAILED, wanted.body, target=target)


async def test_nothing_is_said_of_what_is_not_there_has_no_revisions_or_is_a_job() -> None:
    wanted, digest = declared()
    job, of_job = declared(mode={"ReplicatedJob": {}})
    assert await rollouts().look(subject(wanted, there(None, [GOOD]))) == Ruling()
    assert await rollouts().look(subject(wanted, there(of(wanted.body, digest), []))) == Ruling()
    assert (
        await rollouts().look(subject(job, there(of(job.body, of_job), [kept(1, of_job, S.PROGRESSING, job.body)]))) == Ruling()
    )
    assert rollouts().undone(subject(wanted, there(None, [GOOD]))) == Ruling()


async def test_a_service_that_goes_while_its_tasks_are_asked_for_has_none() -> None:
    wanted, digest = declared()
    swarm = FakeSwarm(answers={"list task": NotFoundError("gone")})
    ruling = await rollouts(swarm).look(
        subject(wanted, there(of(wanted.body, digest), [GOOD, kept(2, digest, S.PROGRESSING, wanted.body)]))
    )
    assert ruling == Ruling(is_watched=True)


async def test_what_is_asked_for_no_replicas_is_back_as_soon_as_it_is_written() -> None:
    none: Json = {"Replicated": {"Replicas": 0}}
    wanted, digest = declared(mode=none)
    running = of(body("web", "web:1", Mode=none), "good")
    ruling = await rollouts().look(subject(wanted, there(running, [GOOD, refused(digest, wanted)])))
    assert (ruling.turn, ruling.hold) == (Turn.WENT_BACK, "")


async def test_a_way_back_to_what_is_gone_ends_where_it_is_found_gone() -> None:
    wanted, digest = declared()
    needy = kept(1, "good", S.STABLE, body("web", "web:1", container={"Configs": [mounted("Config", "gone")]}))
    running = of(wanted.body, digest)
    ruling = await rollouts().look(subject(wanted, there(running, [needy, refused(digest, wanted)])))
    assert ruling.hold == "revision 1 needs what is gone: config gone"
    assert await rollouts().look(subject(wanted, there(running, [GOOD, refused(digest, wanted)]))) == Ruling()


async def test_a_verdict_leads_to_the_newest_revision_that_lacks_nothing() -> None:
    wanted, digest = declared()
    needy = replace(kept(2, "needy", S.STABLE, body("web", "web:3", container={"Secrets": [mounted("Secret", "gone")]})))
    bad = kept(3, digest, S.PROGRESSING, wanted.body)
    running = {**of(wanted.body, digest), "UpdateStatus": {"State": "paused", "StartedAt": "2"}}
    ruling = await rollouts().look(subject(wanted, there(running, [GOOD, needy, bad])))
    assert ruling.turn is Turn.FOUND_BAD
    assert ruling.actions[0].body["Labels"]["prodbreaker.rev.target"] == "1"


async def test_what_is_forgotten_is_watched_no_more() -> None:
    wanted, digest = declared()
    watching = rollouts()
    await watching.look(subject(wanted, there(of(wanted.body, digest), [GOOD, kept(2, digest, S.PROGRESSING, wanted.body)])))
    assert watching.watched == {"shop_web"}
    watching.forget("shop_web")
    watching.forget("shop_web")
    assert watching.watched == frozenset()


@pytest.mark.looptime
async def test_a_controller_that_leads_again_gives_the_next_update_all_its_time() -> None:
    """It watched the same revision before, and somebody else had it written again meanwhile."""
    wanted, digest = declared()
    history = [GOOD, kept(2, digest, S.PROGRESSING, wanted.body)]
    watching = rollouts(FakeSwarm({ObjectKind.TASK: []}))

    async def ruled(began: str, seconds: int) -> Ruling:
        running = {**of(wanted.body, digest), "UpdateStatus": {"State": "updating", "StartedAt": began}}
        ruling = Ruling()
        for _ in range(seconds):
            ruling = await watching.look(subject(wanted, there(running, history)))
            await asyncio.sleep(1)
        return ruling

    assert (await ruled("2", 115)).turn is None
    await asyncio.sleep(3600)
    assert (await ruled("3", 115)).turn is None
    assert (await ruled("3", 10)).turn is Turn.FOUND_BAD
