"""What must not be held against a revision, and what becomes of replicas."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from controller.engine.pausing import set_paused
from controller.model.plan import ObjectKind
from controller.model.policy import Condition, RollbackPolicy, ServicePolicy
from controller.model.revision import RevisionState
from controller.model.spec import DesiredStack, Json
from controller.model.status import Health
from controller.simulator.behaviour import CRASHING, Behaviour
from tests.integration.test_rollbacks import DEADLINE, SECOND, Scripted, image, shop, update
from tests.support.rig import Rig
from tests.support.specs import service, stack

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
