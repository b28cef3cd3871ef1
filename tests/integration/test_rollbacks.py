"""Bad updates of every class, against a Swarm that alone would keep most of them for ever."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from controller.model.policy import Condition, RollbackPolicy, ServicePolicy
from controller.model.revision import RevisionState
from controller.model.spec import DesiredStack, Json
from controller.model.status import Health, Sync
from controller.simulator.behaviour import CRASHING, MISSING, UNHEALTHY, Behaviour
from controller.simulator.engine import Simulator
from tests.support.rig import Rig
from tests.support.specs import content, mounted, service, stack

pytestmark = pytest.mark.looptime

WEB = {"Replicated": {"Replicas": 3}}
SECOND = 1_000_000_000
CHECK: Json = {"Healthcheck": {"Test": ["CMD", "check"], "Interval": SECOND, "Retries": 2}}
DEADLINE = RollbackPolicy(deadline=timedelta(seconds=60))


def shop(
    image: str = "web:1",
    *,
    policy: RollbackPolicy = DEADLINE,
    action: str = "pause",
    order: str = "start-first",
    delay: int = 0,
    **parts: Any,
) -> DesiredStack:
    updates = {"Parallelism": 1, "FailureAction": action, "Monitor": 5 * SECOND, "Order": order, "Delay": delay * SECOND}
    return stack(service("web", image, Mode=WEB, UpdateConfig=updates, policy=ServicePolicy(rollback=policy), **parts))


async def update(rig: Rig, desired: DesiredStack, *, seconds: float = 120) -> None:
    rig.forget()
    rig.declare(desired)
    await asyncio.sleep(seconds)


def image(rig: Rig) -> str:
    found: str = rig.spec("shop_web")["TaskTemplate"]["ContainerSpec"]["Image"]
    return found


def states(rig: Rig) -> list[tuple[int, RevisionState]]:
    return [(revision.number, revision.state) for revision in rig.revisions()]


async def test_a_good_update_becomes_stable_with_one_write_of_the_service() -> None:
    async with Rig(shop()) as rig:
        await rig.settle()
        await update(rig, shop("web:2"))

        assert rig.writes == ["update service/shop_web"]
        assert rig.records == ["create 1", "create 2", "update 2"]
        assert states(rig) == [(1, RevisionState.STABLE), (2, RevisionState.STABLE)]
        rig.forget()
        await asyncio.sleep(600)
        assert rig.writes + rig.records == []


CLASSES = {
    "a crash at start": (CRASHING, {}),
    "b unhealthy from the start": (UNHEALTHY, CHECK),
    "c crashes after Swarm has stopped looking": (Behaviour(exits_after=8.0, exit_code=1), {}),
    "d no such image": (MISSING, {}),
    "e never gets past preparing": (Behaviour(prepare_seconds=1e9), {}),
}


@pytest.mark.parametrize("name", CLASSES)
async def test_a_bad_update_goes_back_and_is_not_tried_again(name: str) -> None:
    behaviour, container = CLASSES[name]
    async with Rig(shop(container=container)) as rig:
        rig.sim.images["web:2"] = behaviour
        await rig.settle()
        for _ in range(2):
            await update(rig, shop("web:2", container=container), seconds=300)

            assert image(rig) == "web:1"
            assert len(rig.sim.running("shop_web")) == 3
            assert states(rig)[-1][1] is RevisionState.QUARANTINED
            status = rig.status("shop_web")
            assert (status.sync, status.health) == (Sync.OUT_OF_SYNC, Health.HEALTHY)
            assert "is bad" in status.message
        assert rig.writes == []  # the second time it is refused at once
        await update(rig, shop("web:3", container=container))
        assert (image(rig), rig.writes) == ("web:3", ["update service/shop_web"])


async def test_what_fails_after_monitor_goes_back_before_the_next_replica_has_its_turn() -> None:
    async with Rig(shop(delay=300)) as rig:
        rig.sim.images["web:2"] = Behaviour(exits_after=8.0, exit_code=1)
        await rig.settle()
        await update(rig, shop("web:2", delay=300), seconds=14)

        assert (image(rig), rig.writes) == ("web:1", ["update service/shop_web"] * 2)
        assert "1 of its tasks failed" in rig.revisions()[-1].why
        assert len(rig.sim.running("shop_web")) >= 3


async def test_what_is_declared_stays_refused_for_the_next_controller() -> None:
    async with Rig(shop()) as rig:
        rig.sim.images["web:2"] = CRASHING
        await rig.settle()
        await update(rig, shop("web:2"))
        assert rig.writes == ["update service/shop_web"] * 2
    async with Rig(shop("web:2"), sim=rig.sim) as after:
        after.forget()
        await asyncio.sleep(300)

        assert after.writes == []
        assert image(after) == "web:1"


async def test_drift_is_put_back_to_what_runs_in_the_place_of_a_bad_revision() -> None:
    async with Rig(shop()) as rig:
        rig.sim.images["web:2"] = CRASHING
        await rig.settle()
        await update(rig, shop("web:2"))
        rig.forget()
        rig.edit("shop_web", lambda spec: {**spec, "Mode": {"Replicated": {"Replicas": 1}}})
        await asyncio.sleep(60)

        assert rig.service_writes == ["update service/shop_web"]
        assert (image(rig), len(rig.sim.running("shop_web"))) == ("web:1", 3)


async def test_the_way_back_keeps_the_replicas_that_are_declared() -> None:
    async with Rig(shop()) as rig:
        rig.sim.images["web:2"] = CRASHING
        await rig.settle()
        more = stack(service("web", "web:2", Mode={"Replicated": {"Replicas": 5}}, policy=ServicePolicy(rollback=DEADLINE)))
        await update(rig, more)

        assert (image(rig), len(rig.sim.running("shop_web"))) == ("web:1", 5)


class Scripted:
    """Prometheus with one thing to say."""

    def __init__(self) -> None:
        self.is_bad = False

    async def holds(self, query: str) -> bool:
        return self.is_bad

    async def firing(self) -> list[dict[str, str]]:
        return []

    async def active(self) -> list[dict[str, str]]:
        return []


MEASURED = RollbackPolicy(deadline=timedelta(seconds=60), conditions=(Condition("errors > 0.05"),))


async def test_a_condition_that_holds_only_after_the_update_takes_it_back() -> None:
    signals = Scripted()
    async with Rig(shop(policy=MEASURED), signals=signals) as rig:
        await rig.settle()
        await update(rig, shop("web:2", policy=MEASURED), seconds=8)
        assert image(rig) == "web:2"
        signals.is_bad = True
        await asyncio.sleep(2)
        assert image(rig) == "web:1"
        signals.is_bad = False
        await asyncio.sleep(120)

        assert states(rig) == [(1, RevisionState.STABLE), (2, RevisionState.QUARANTINED)]
        assert "errors > 0.05" in rig.revisions()[1].why


async def test_a_condition_that_held_before_says_nothing() -> None:
    signals = Scripted()
    signals.is_bad = True
    async with Rig(shop(policy=MEASURED), signals=signals) as rig:
        await rig.settle()
        await update(rig, shop("web:2", policy=MEASURED))

        assert (image(rig), states(rig)[-1][1]) == ("web:2", RevisionState.STABLE)


def shared(data: bytes, policy: ServicePolicy) -> DesiredStack:
    uses = {"Configs": [mounted("Config", "shop_c", "/c")]}
    services = [service(name, f"{name}:1", Mode=WEB, container=uses, policy=policy) for name in ("web", "api")]
    return stack(*services, service("db"), configs=[content("shop_c", data)])


async def test_services_that_a_bad_config_was_changed_for_go_back_together() -> None:
    policy = ServicePolicy(rollback=DEADLINE)
    async with Rig(shared(b"good", policy)) as rig:
        await rig.settle()
        rig.sim.images["api:1"] = CRASHING  # from now on: it does not start with the new config
        await update(rig, shared(b"bad", policy), seconds=20)
        rig.sim.images["api:1"] = Behaviour()
        await asyncio.sleep(120)

        for name in ("shop_web", "shop_api"):
            assert rig.spec(name)["TaskTemplate"]["ContainerSpec"]["Configs"][0]["ConfigName"] == "shop_c"
            assert [revision.state for revision in rig.revisions(name)] == [RevisionState.STABLE, RevisionState.QUARANTINED]
        assert "goes back together with shop_api" in rig.revisions("shop_web")[-1].why


async def test_a_way_back_that_is_bad_too_ends_there() -> None:
    async with Rig(shop(order="stop-first")) as rig:
        rig.sim.images["web:2"] = CRASHING
        await rig.settle()
        rig.sim.images["web:1"] = CRASHING
        await update(rig, shop("web:2", order="stop-first"), seconds=600)

        assert rig.service_writes == ["update service/shop_web"] * 2
        bad = rig.revisions()[-1]
        assert (bad.state, bad.is_back) == (RevisionState.QUARANTINED, False)
        assert "is bad too" in bad.why
        assert len(rig.sim.running("shop_web")) == 2  # those that no update has touched


async def test_swarms_own_rollback_is_watched_and_remembered() -> None:
    async with Rig(shop(action="rollback")) as rig:
        rig.sim.images["web:2"] = CRASHING
        await rig.settle()
        await update(rig, shop("web:2", action="rollback"), seconds=300)

        assert rig.writes == ["update service/shop_web"]
        assert (image(rig), states(rig)[-1][1]) == ("web:1", RevisionState.QUARANTINED)


async def test_what_swarm_rolled_back_to_and_fails_too_is_left_alone() -> None:
    async with Rig(shop(action="rollback", order="stop-first")) as rig:
        rig.sim.images["web:2"] = CRASHING
        await rig.settle()
        rig.sim.images["web:1"] = CRASHING
        await update(rig, shop("web:2", action="rollback", order="stop-first"), seconds=900)

        assert rig.service_writes == ["update service/shop_web"]
        assert "is bad too" in rig.revisions()[-1].why


async def test_what_swarm_rolls_back_while_the_brake_is_on_is_not_written_again() -> None:
    async with Rig(shop(action="rollback"), sim=Simulator(nodes=2)) as rig:
        rig.sim.images["web:2"] = CRASHING
        await rig.settle()
        rig.sim.fail_node("node2", noticed_after=0)
        await asyncio.sleep(3)
        await update(rig, shop("web:2", action="rollback"), seconds=300)

        assert rig.writes == ["update service/shop_web"]
        assert (image(rig), states(rig)[-1][1]) == ("web:1", RevisionState.QUARANTINED)
