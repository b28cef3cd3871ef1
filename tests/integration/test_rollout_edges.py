"""What must not be held against a revision, what hands do meanwhile, and where the way back has no way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from controller.core.revisions import config_name
from controller.engine.pausing import set_paused
from controller.model.plan import ObjectKind
from controller.model.policy import BudgetPolicy, Condition, DriftMode, RollbackPolicy, ServicePolicy, StackPolicy
from controller.model.revision import RevisionState
from controller.model.spec import DesiredStack, Json
from controller.model.status import Health, Sync
from controller.simulator.behaviour import CRASHING, Behaviour
from controller.simulator.faults import Fault, Site
from controller.simulator.refusals import out_of_sequence
from tests.integration.test_rollbacks import DEADLINE, SECOND, Scripted, image, shop, states, update
from tests.support.rig import Rig
from tests.support.specs import content, mounted, network, service, stack

pytestmark = pytest.mark.looptime

STABLE, SUPERSEDED, QUARANTINED = RevisionState.STABLE, RevisionState.SUPERSEDED, RevisionState.QUARANTINED
NEVER_UP = Behaviour(prepare_seconds=1e9)
ONE: Json = {"Replicated": {"Replicas": 1}}


def one(image: str = "web:1", *, mode: Json = ONE, policy: ServicePolicy | None = None, **parts: Any) -> DesiredStack:
    return stack(service("web", image, Mode=mode, policy=policy or ServicePolicy(rollback=DEADLINE), **parts))


def docker_rollback(rig: Rig, name: str = "shop_web") -> None:
    """`docker service rollback`."""
    live = rig.live(name)
    rig.sim.update(ObjectKind.SERVICE, name, live["Version"]["Index"], live["Spec"], rollback="previous")


def with_image(reference: str) -> Callable[[Json], Json]:
    def change(spec: Json) -> Json:
        task = spec["TaskTemplate"]
        return {**spec, "TaskTemplate": {**task, "ContainerSpec": {**task["ContainerSpec"], "Image": reference}}}

    return change


def with_replicas(count: int) -> Callable[[Json], Json]:
    return lambda spec: {**spec, "Mode": {"Replicated": {"Replicas": count}}}


def states_of(rig: Rig, name: str = "shop_web") -> list[RevisionState]:
    return [revision.state for revision in rig.revisions(name)]


# What is no failure of a revision


async def test_an_update_that_is_declared_to_be_slower_than_the_deadline_goes_through() -> None:
    updates = {"Parallelism": 1, "Delay": 90 * SECOND, "Order": "start-first"}
    three: Json = {"Replicated": {"Replicas": 3}}
    async with Rig(one(mode=three, UpdateConfig=updates)) as rig:
        await rig.settle()
        await update(rig, one("web:2", mode=three, UpdateConfig=updates), seconds=400)

        assert (image(rig), states_of(rig)) == ("web:2", [STABLE, STABLE])
        assert rig.writes == ["update service/shop_web"]


async def test_a_task_may_take_as_long_to_be_healthy_as_its_check_is_given() -> None:
    check = {"Test": ["CMD", "check"], "Interval": 100 * SECOND, "StartPeriod": 200 * SECOND}
    async with Rig(one(container={"Healthcheck": check})) as rig:
        await rig.settle(150)
        await update(rig, one("web:2", container={"Healthcheck": check}), seconds=300)

        assert (image(rig), states_of(rig)) == ("web:2", [STABLE, STABLE])


@pytest.mark.parametrize("condition", ["none", "on-failure"])
async def test_a_task_that_does_its_work_and_ends_is_no_failure(condition: str) -> None:
    once: dict[str, Any] = {"task": {"RestartPolicy": {"Condition": condition}}}
    async with Rig(one(**once)) as rig:
        rig.sim.images |= {"web:1": Behaviour(exits_after=2.0), "web:2": Behaviour(exits_after=2.0)}
        await rig.settle(60)
        await update(rig, one("web:2", **once), seconds=200)

        assert (image(rig), states_of(rig)) == ("web:2", [STABLE, STABLE])
        assert rig.writes == ["update service/shop_web"]


async def test_a_task_that_should_have_run_on_and_ended_is_one() -> None:
    async with Rig(one()) as rig:
        rig.sim.images["web:2"] = Behaviour(exits_after=2.0)
        await rig.settle()
        await update(rig, one("web:2"))

        assert (image(rig), states_of(rig)) == ("web:1", [STABLE, QUARANTINED])


@pytest.mark.parametrize("after", [20.0, 70.0])
async def test_a_task_that_is_killed_once_takes_back_nothing(after: float) -> None:
    async with Rig(shop()) as rig:
        await rig.settle()
        await update(rig, shop("web:2"), seconds=after)
        rig.sim.kill(rig.sim.running("shop_web")[0].id)
        await asyncio.sleep(200)

        assert (image(rig), states_of(rig)) == ("web:2", [STABLE, STABLE])


async def test_two_of_three_tasks_that_are_killed_once_each_take_back_nothing() -> None:
    async with Rig(shop()) as rig:
        await rig.settle()
        await update(rig, shop("web:2"), seconds=30)
        assert states_of(rig) == [STABLE, STABLE]
        for task in rig.sim.running("shop_web")[:2]:
            rig.sim.kill(task.id)
        await asyncio.sleep(200)

        assert (image(rig), states_of(rig)) == ("web:2", [STABLE, STABLE])


async def test_a_proven_revision_whose_slot_fails_again_is_taken_back() -> None:
    async with Rig(shop()) as rig:
        await rig.settle()
        await update(rig, shop("web:2"), seconds=30)
        for _ in range(2):
            rig.sim.kill(next(task.id for task in rig.sim.running("shop_web") if task.slot == 1))
            await asyncio.sleep(8)
        await asyncio.sleep(60)

        assert (image(rig), states_of(rig)) == ("web:1", [STABLE, QUARANTINED])


async def test_a_time_without_an_answer_is_no_lack_of_progress() -> None:
    async with Rig(shop()) as rig:
        rig.sim.images["web:2"] = Behaviour(prepare_seconds=200)
        await rig.settle()
        await update(rig, shop("web:2"), seconds=10)
        rig.sim.take_away()
        await asyncio.sleep(185)
        rig.sim.bring_back()
        rig.sim.images["web:2"] = Behaviour()
        await asyncio.sleep(200)

        assert (image(rig), states_of(rig)) == ("web:2", [STABLE, STABLE])


async def test_a_pause_is_no_lack_of_progress_and_nothing_is_judged_in_it() -> None:
    async with Rig(shop()) as rig:
        rig.sim.images["web:2"] = Behaviour(prepare_seconds=250)
        await rig.settle()
        await update(rig, shop("web:2"), seconds=5)
        await set_paused(rig.swarm, rig.clock, "shop/web", paused=True)
        await asyncio.sleep(230)
        assert states_of(rig)[-1] is RevisionState.PROGRESSING
        rig.sim.images["web:2"] = Behaviour()
        await set_paused(rig.swarm, rig.clock, "shop/web", paused=False)
        await asyncio.sleep(200)

        assert (image(rig), states_of(rig)) == ("web:2", [STABLE, STABLE])


async def test_a_bad_update_in_a_paused_service_goes_back_once_it_is_resumed() -> None:
    async with Rig(shop()) as rig:
        rig.sim.images["web:2"] = NEVER_UP
        await rig.settle()
        await update(rig, shop("web:2"), seconds=5)
        await set_paused(rig.swarm, rig.clock, "shop/web", paused=True)
        rig.forget()
        await asyncio.sleep(300)
        assert rig.writes == []
        await set_paused(rig.swarm, rig.clock, "shop/web", paused=False)
        await asyncio.sleep(120)

        assert (image(rig), states_of(rig)) == ("web:1", [STABLE, QUARANTINED])


async def test_where_updates_go_on_after_failures_one_that_was_overcome_counts_for_nothing() -> None:
    async with Rig(shop(action="continue")) as rig:
        rig.sim.images["web:2"] = Behaviour(exits_after=1.0, exit_code=1)
        await rig.settle()
        await update(rig, shop("web:2", action="continue"), seconds=4)
        rig.sim.images["web:2"] = Behaviour()
        await asyncio.sleep(120)

        assert (image(rig), states_of(rig)) == ("web:2", [STABLE, STABLE])


async def test_where_updates_go_on_after_failures_what_never_comes_up_goes_back() -> None:
    async with Rig(shop(action="continue")) as rig:
        rig.sim.images["web:2"] = CRASHING
        await rig.settle()
        await update(rig, shop("web:2", action="continue"), seconds=200)

        assert (image(rig), states_of(rig)) == ("web:1", [STABLE, QUARANTINED])


async def test_with_nothing_to_go_back_to_a_failure_that_is_overcome_counts_for_nothing() -> None:
    async with Rig(one()) as rig:
        rig.sim.images["web:1"] = CRASHING
        await rig.settle(30)
        rig.sim.images["web:2"] = Behaviour(exits_after=1.0, exit_code=1)
        updates = {"FailureAction": "continue"}
        await update(rig, one("web:2", UpdateConfig=updates), seconds=7)
        rig.sim.images["web:2"] = Behaviour()
        await asyncio.sleep(120)

        assert states_of(rig) == [SUPERSEDED, STABLE]


async def test_what_was_in_doubt_when_it_was_replaced_is_nothing_to_go_back_to() -> None:
    signals = Scripted()
    slow = RollbackPolicy(deadline=DEADLINE.deadline, conditions=(Condition("errors", wait=timedelta(seconds=60)),))
    async with Rig(shop(policy=slow), signals=signals) as rig:
        rig.sim.images["web:3"] = CRASHING
        await rig.settle()
        await update(rig, shop("web:2", policy=slow), seconds=5)
        signals.is_bad = True
        await asyncio.sleep(30)
        assert states_of(rig) == [STABLE, RevisionState.PROGRESSING]
        await update(rig, shop("web:3", policy=slow), seconds=200)

        assert (image(rig), states_of(rig)) == ("web:1", [STABLE, SUPERSEDED, QUARANTINED])


async def test_swarms_rollback_may_take_as_long_as_its_restarts_are_delayed() -> None:
    """It tells the end of its rollback while a replica still waits for its restart."""
    rests: dict[str, Any] = {"action": "rollback", "order": "stop-first", "task": {"RestartPolicy": {"Delay": 50 * SECOND}}}
    async with Rig(shop(**rests)) as rig:
        rig.sim.images["web:2"] = CRASHING
        await rig.settle()
        await update(rig, shop("web:2", **rests), seconds=20)
        rig.sim.kill(rig.sim.running("shop_web")[0].id)
        await asyncio.sleep(35)
        assert len(rig.sim.running("shop_web")) < 3
        await asyncio.sleep(200)

        assert (image(rig), len(rig.sim.running("shop_web"))) == ("web:1", 3)
        assert (states_of(rig), rig.revisions()[-1].is_back) == ([STABLE, QUARANTINED], True)
        assert rig.service_writes == ["update service/shop_web"]


# Replicas


async def test_a_change_of_replicas_alone_is_neither_bad_nor_undone() -> None:
    async with Rig(one()) as rig:
        await rig.settle()
        rig.sim.images["web:1"] = NEVER_UP
        await update(rig, one(mode={"Replicated": {"Replicas": 3}}), seconds=600)

        assert rig.writes == ["update service/shop_web"]
        assert states_of(rig) == [STABLE, RevisionState.PROGRESSING]
        assert rig.status("shop_web").health is Health.DEGRADED
        calls = rig.calls
        await asyncio.sleep(600)
        assert rig.calls - calls < 100  # it is not polled for ever
        for task in rig.sim.tasks("shop_web"):
            if not task.is_up:
                rig.sim.kill(task.id)
        rig.sim.images["web:1"] = Behaviour()
        await asyncio.sleep(120)
        assert states_of(rig) == [STABLE, STABLE]


async def test_what_is_asked_for_no_replicas_is_not_what_one_goes_back_to() -> None:
    none: Json = {"Replicated": {"Replicas": 0}}
    async with Rig(one()) as rig:
        rig.sim.images["web:2"] = CRASHING
        await rig.settle()
        await update(rig, one("web:2", mode=none), seconds=60)
        assert states_of(rig) == [STABLE, RevisionState.PROGRESSING]
        calls = rig.calls
        await asyncio.sleep(600)
        assert rig.calls - calls < 100
        await update(rig, one("web:2"), seconds=200)

        assert (image(rig), len(rig.sim.running("shop_web"))) == ("web:1", 1)
        assert states_of(rig) == [STABLE, SUPERSEDED, QUARANTINED]


async def test_a_scale_by_hand_during_a_bad_update_does_not_keep_it() -> None:
    async with Rig(shop()) as rig:
        rig.sim.images["web:2"] = NEVER_UP
        await rig.settle()
        await update(rig, shop("web:2"), seconds=30)
        rig.edit("shop_web", with_replicas(5))
        await asyncio.sleep(200)

        assert (image(rig), len(rig.sim.running("shop_web"))) == ("web:1", 3)
        assert states_of(rig) == [STABLE, QUARANTINED]


async def test_a_global_service_goes_back_and_a_job_is_not_judged() -> None:
    everywhere: Json = {"Global": {}}
    job: Json = {"ReplicatedJob": {"MaxConcurrent": 1, "TotalCompletions": 1}}

    def both(tag: int) -> DesiredStack:
        policy = ServicePolicy(rollback=DEADLINE)
        return stack(
            service("web", f"web:{tag}", Mode=everywhere, policy=policy), service("job", f"job:{tag}", Mode=job, policy=policy)
        )

    async with Rig(both(1)) as rig:
        rig.sim.images |= {"web:2": NEVER_UP, "job:1": Behaviour(exits_after=1.0), "job:2": Behaviour(exits_after=1.0)}
        await rig.settle()
        await update(rig, both(2), seconds=200)

        assert (image(rig), states_of(rig)) == ("web:1", [STABLE, QUARANTINED])
        assert rig.spec("shop_job")["TaskTemplate"]["ContainerSpec"]["Image"] == "job:2"
        assert states_of(rig, "shop_job") == []


# Hands


async def test_what_a_hand_puts_on_top_is_not_held_against_the_declared_revision() -> None:
    async with Rig(shop()) as rig:
        rig.sim.images["hand:1"] = CRASHING
        await rig.settle()
        await update(rig, shop("web:2"), seconds=20)
        rig.edit("shop_web", with_image("hand:1"))
        await asyncio.sleep(200)

        assert (image(rig), states_of(rig)) == ("web:2", [STABLE, STABLE])


async def test_what_a_hand_puts_on_top_of_a_bad_revision_does_not_clear_it() -> None:
    async with Rig(shop()) as rig:
        rig.sim.images["web:2"] = NEVER_UP
        await rig.settle()
        await update(rig, shop("web:2"), seconds=10)
        rig.edit("shop_web", with_image("hand:1"))
        await asyncio.sleep(300)

        assert (image(rig), states_of(rig)) == ("web:1", [STABLE, QUARANTINED])


@pytest.mark.parametrize("mode", list(DriftMode))
async def test_who_rolls_a_proven_revision_back_in_docker_is_not_overruled(mode: DriftMode) -> None:
    policy = ServicePolicy(rollback=DEADLINE, drift=mode)
    async with Rig(one(policy=policy)) as rig:
        await rig.settle()
        await update(rig, one("web:2", policy=policy), seconds=300)
        assert states_of(rig) == [STABLE, STABLE]
        rig.forget()
        docker_rollback(rig)
        await asyncio.sleep(300)

        assert (image(rig), states_of(rig)) == ("web:1", [STABLE, QUARANTINED])
        assert rig.writes == []
        assert rig.status("shop_web").sync is Sync.OUT_OF_SYNC


async def test_who_rolls_back_to_what_was_not_proven_gets_what_was_chosen() -> None:
    async with Rig(one()) as rig:
        await rig.settle()
        await update(rig, one("web:2"), seconds=3)
        await update(rig, one("web:3"), seconds=300)
        assert states_of(rig) == [STABLE, SUPERSEDED, STABLE]
        rig.forget()
        docker_rollback(rig)
        await asyncio.sleep(300)

        assert (image(rig), states_of(rig)) == ("web:2", [STABLE, SUPERSEDED, QUARANTINED])
        assert rig.writes == []


async def test_who_rolls_back_in_docker_and_forth_again_is_not_overruled_either() -> None:
    async with Rig(one()) as rig:
        await rig.settle()
        await update(rig, one("web:2"), seconds=300)
        docker_rollback(rig)
        await asyncio.sleep(60)
        rig.forget()
        docker_rollback(rig)
        await asyncio.sleep(300)

        assert (image(rig), states_of(rig)) == ("web:2", [STABLE, QUARANTINED])
        assert rig.service_writes == []


@pytest.mark.parametrize("mode", list(DriftMode))
async def test_a_rollback_is_no_drift(mode: DriftMode) -> None:
    policy = ServicePolicy(rollback=DEADLINE, drift=mode)
    async with Rig(one(policy=policy)) as rig:
        rig.sim.images["web:2"] = CRASHING
        await rig.settle()
        await update(rig, one("web:2", policy=policy))
        assert (image(rig), states_of(rig)) == ("web:1", [STABLE, QUARANTINED])
        rig.forget()
        rig.edit("shop_web", with_replicas(2))
        await asyncio.sleep(60)

        assert rig.service_writes == (["update service/shop_web"] if mode is DriftMode.REVERT else [])


@pytest.mark.parametrize("mode", [DriftMode.REPORT, DriftMode.IGNORE])
async def test_drift_of_what_swarm_went_back_to_is_left_alone_where_it_is_not_put_back(mode: DriftMode) -> None:
    policy = ServicePolicy(rollback=DEADLINE, drift=mode)
    updates = {"FailureAction": "rollback"}
    async with Rig(one(policy=policy, UpdateConfig=updates)) as rig:
        await rig.settle()
        rig.edit("shop_web", lambda spec: {**spec, "Labels": _without_own(spec["Labels"])})  # as docker would have deployed it
        await rig.settle()
        rig.sim.images["web:2"] = CRASHING
        await update(rig, one("web:2", policy=policy, UpdateConfig=updates))
        assert (image(rig), states_of(rig)) == ("web:1", [STABLE, QUARANTINED])
        rig.forget()
        rig.edit("shop_web", with_replicas(2))
        await asyncio.sleep(60)

        assert rig.service_writes == []


def _without_own(labels: dict[str, str]) -> dict[str, str]:
    return {key: text for key, text in labels.items() if not key.startswith("prodbreaker.")}


async def test_what_is_ignored_keeps_its_live_value_on_the_way_back() -> None:
    policy = ServicePolicy(rollback=DEADLINE, ignore=("environment.SEEN", "deploy.replicas"))

    def wanted(tag: str, level: str) -> DesiredStack:
        return one(tag, policy=policy, container={"Env": [f"LEVEL={level}", "SEEN=no"]})

    def by_hand(spec: Json) -> Json:
        task = spec["TaskTemplate"]
        container = {**task["ContainerSpec"], "Env": ["LEVEL=a", "SEEN=yes"]}
        return {**spec, "TaskTemplate": {**task, "ContainerSpec": container}, "Mode": {"Replicated": {"Replicas": 2}}}

    async with Rig(wanted("web:1", "a")) as rig:
        rig.sim.images["web:2"] = CRASHING
        await rig.settle()
        rig.edit("shop_web", by_hand)
        await rig.settle()
        await update(rig, wanted("web:2", "b"), seconds=300)

        assert (image(rig), states_of(rig)) == ("web:1", [STABLE, QUARANTINED])
        assert sorted(rig.spec("shop_web")["TaskTemplate"]["ContainerSpec"]["Env"]) == ["LEVEL=a", "SEEN=yes"]
        assert len(rig.sim.running("shop_web")) == 2


async def test_a_way_back_that_may_not_be_written_is_told_and_not_polled_for() -> None:
    policy = ServicePolicy(rollback=DEADLINE, budget=BudgetPolicy(actions=0))
    async with Rig(one(policy=policy)) as rig:
        rig.sim.images["web:2"] = CRASHING
        await rig.settle()
        await update(rig, one("web:2", policy=policy), seconds=300)

        assert rig.service_writes == ["update service/shop_web"]
        assert states_of(rig) == [STABLE, RevisionState.FAILED]
        assert "held since" in rig.status("shop_web").message
        calls = rig.calls
        await asyncio.sleep(600)
        assert rig.calls - calls < 300  # its tasks go on crashing, and each time that is looked at


# Records


async def test_an_edit_that_was_kept_and_not_written_is_not_taken_for_rolled_back() -> None:
    async with Rig(shop(action="rollback")) as rig:
        rig.sim.images["web:2"] = CRASHING
        await rig.settle()
        await update(rig, shop("web:2", action="rollback"), seconds=300)
        assert rig.live("shop_web")["UpdateStatus"]["State"] == "rollback_completed"
        raised: list[Site] = []

        def swarm_writes_first(site: Site) -> None:
            if site.operation == "update" and site.target == "service/shop_web" and not raised:
                raised.append(site)
                rig.sim.store.write_service(rig.sim.service("shop_web"))  # another version, the same status

        rig.fault = swarm_writes_first
        await update(rig, shop("web:3", action="rollback"), seconds=200)

        assert raised
        assert (image(rig), states_of(rig)) == ("web:3", [STABLE, QUARANTINED, STABLE])


async def test_an_edit_that_could_not_be_written_at_first_stays_an_edit() -> None:
    policy = ServicePolicy(rollback=DEADLINE, drift=DriftMode.REPORT)
    async with Rig(one(policy=policy)) as rig:
        await rig.settle()
        rig.edit("shop_web", lambda spec: {**spec, "Labels": _without_own(spec["Labels"])})
        await rig.settle()
        rig.fault = lambda site: Fault(error=out_of_sequence()) if site == Site("update", "service/shop_web", 1) else None
        await update(rig, one("web:2", policy=policy))

        assert (image(rig), states_of(rig)) == ("web:2", [STABLE, STABLE])


async def test_a_bad_revision_that_was_overtaken_leads_to_what_came_after_it() -> None:
    async with Rig(one()) as rig:
        rig.sim.images["web:2"] = NEVER_UP
        await rig.settle()
        rig.fault = lambda site: Fault(delay=3.0) if site == Site("update", "service/shop_web", 2) else None
        await update(rig, one("web:2"), seconds=62)
        assert states_of(rig)[-1] is RevisionState.FAILED
        await update(rig, one("web:3"))
        assert (image(rig), states_of(rig)) == ("web:3", [STABLE, QUARANTINED, STABLE])
        await update(rig, one("web:2"))

        assert image(rig) == "web:3"
        assert rig.service_writes == []


async def test_a_service_that_is_removed_on_its_way_back_comes_back_as_what_it_goes_back_to() -> None:
    async with Rig(one()) as rig:
        rig.sim.images["web:2"] = CRASHING
        await rig.settle()

        def remove_first(site: Site) -> Fault | None:
            if site == Site("update", "service/shop_web", 2):
                rig.sim.remove(ObjectKind.SERVICE, "shop_web")
            return None

        rig.fault = remove_first
        await update(rig, one("web:2"), seconds=300)

        assert rig.service_writes == ["update service/shop_web", "update service/shop_web", "create service/shop_web"]
        assert (image(rig), states_of(rig)) == ("web:1", [STABLE, QUARANTINED])
        rig.sim.remove(ObjectKind.SERVICE, "shop_web")
        await asyncio.sleep(60)
        assert image(rig) == "web:1"


async def test_what_was_edited_while_its_service_was_gone_is_watched_like_any_edit() -> None:
    async with Rig(one()) as rig:
        rig.sim.images["web:3"] = CRASHING
        await rig.settle()
        await update(rig, one("web:2"), seconds=300)
        rig.sim.remove(ObjectKind.SERVICE, "shop_web")
        await update(rig, one("web:3"), seconds=300)

        assert rig.service_writes == ["create service/shop_web", "update service/shop_web"]
        assert (image(rig), states_of(rig)) == ("web:2", [STABLE, STABLE, QUARANTINED])


async def test_what_is_created_again_as_it_was_is_no_new_revision() -> None:
    async with Rig(one()) as rig:
        await rig.settle()
        await update(rig, one("web:2"), seconds=300)
        rig.forget()
        rig.sim.remove(ObjectKind.SERVICE, "shop_web")
        await asyncio.sleep(60)

        assert rig.writes == ["create service/shop_web"]
        assert states_of(rig) == [STABLE, STABLE]


async def test_what_somebody_wrote_as_a_revision_and_is_none_stands_in_nobodys_way() -> None:
    labels = {"prodbreaker.rev.service": "shop_web", "prodbreaker.rev.number": "7", "prodbreaker.rev.digest": "x"}
    async with Rig(one()) as rig:
        body = {"Labels": {**labels, "prodbreaker.rev.state": "stable"}, "Data": "e30="}
        rig.sim.create(ObjectKind.CONFIG, {**body, "Name": config_name("shop_web", 7)})
        rig.sim.create(ObjectKind.CONFIG, {**body, "Name": "elsewhere"})
        rig.sim.images["web:2"] = CRASHING
        await rig.settle()
        await update(rig, one("web:2"))

        assert (image(rig), states(rig)) == ("web:1", [(1, STABLE), (2, QUARANTINED)])


# What the way back needs


def mounting(data: bytes, tag: int, *, prune: bool = True) -> DesiredStack:
    policy = ServicePolicy(rollback=DEADLINE)
    web = service("web", f"web:{tag}", Mode=ONE, policy=policy, container={"Configs": [mounted("Config", "shop_c", "/c")]})
    return stack(web, configs=[content("shop_c", data)], policy=StackPolicy(prune=prune))


async def test_the_contents_of_kept_revisions_stay_and_those_of_forgotten_ones_go() -> None:
    async with Rig(mounting(b"0", 0)) as rig:
        await rig.settle()
        for tag in range(1, 14):
            await update(rig, mounting(str(tag).encode(), tag), seconds=60)

        assert [revision.number for revision in rig.revisions()] == list(range(5, 15))
        used = [
            reference["ConfigName"]
            for revision in rig.revisions()
            for reference in revision.body["TaskTemplate"]["ContainerSpec"]["Configs"]
        ]
        assert rig.names(ObjectKind.CONFIG) == sorted(used)


async def test_a_way_back_to_what_is_gone_ends_and_is_told() -> None:
    async with Rig(mounting(b"good", 1)) as rig:
        rig.sim.images["web:2"] = NEVER_UP
        await rig.settle()
        await update(rig, mounting(b"bad", 2), seconds=30)
        for name in rig.names(ObjectKind.CONFIG):
            if name == "shop_c":
                live = rig.live("shop_web")
                rig.sim.update(ObjectKind.SERVICE, "shop_web", live["Version"]["Index"], live["Spec"])  # drops PreviousSpec's
                rig.sim.remove(ObjectKind.CONFIG, name)
        rig.forget()
        await asyncio.sleep(300)

        assert rig.service_writes == []
        assert states_of(rig) == [STABLE, QUARANTINED]
        assert "needs what is gone: config shop_c" in rig.revisions()[-1].why
        calls = rig.calls
        await asyncio.sleep(600)
        assert rig.calls - calls < 100


async def test_networks_that_a_kept_revision_is_attached_to_are_not_pruned() -> None:
    def attached(tag: str, *networks: str) -> DesiredStack:
        policy = ServicePolicy(rollback=RollbackPolicy(keep=2, deadline=DEADLINE.deadline))
        task = {"Networks": [{"Target": f"shop_{name}", "Aliases": ["web"]} for name in networks]}
        web = service("web", tag, Mode=ONE, policy=policy, task=task)
        return stack(web, networks=[network(f"shop_{name}") for name in networks], policy=StackPolicy(prune=True))

    async with Rig(attached("web:1", "a", "b")) as rig:
        rig.sim.images["web:2"] = Behaviour(exits_after=25.0, exit_code=1)
        await rig.settle()
        await update(rig, attached("web:2", "a"), seconds=300)

        assert (image(rig), states_of(rig)) == ("web:1", [STABLE, QUARANTINED])
        assert len(rig.spec("shop_web")["TaskTemplate"]["Networks"]) == 2
        for tag in ("web:3", "web:4", "web:5"):
            await update(rig, attached(tag, "a"), seconds=100)
        await asyncio.sleep(120)
        assert "shop_b" not in rig.names(ObjectKind.NETWORK)


async def test_of_a_service_that_is_pruned_nothing_is_kept() -> None:
    prune, policy = StackPolicy(prune=True), ServicePolicy(rollback=DEADLINE)
    api = service("api", Mode=ONE)

    def both(data: bytes) -> DesiredStack:
        uses = {"Configs": [mounted("Config", "shop_c", "/c")]}
        web = service("web", Mode=ONE, policy=policy, container=uses)
        return stack(api, web, configs=[content("shop_c", data)], policy=prune)

    async with Rig(both(b"1")) as rig:
        await rig.settle()
        await update(rig, both(b"2"), seconds=60)
        assert len(rig.revisions()) == len(rig.names(ObjectKind.CONFIG)) == 2
        await update(rig, stack(api, policy=prune), seconds=120)

        assert rig.revisions() == []
        assert rig.names(ObjectKind.CONFIG) == []
