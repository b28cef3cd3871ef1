"""The guards in the whole loop: budgets, holds, the brake, and edits that cannot work."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from controller.core.state import STATE_NAME
from controller.engine.pausing import set_paused
from controller.model.incident import FaultKind, IncidentState
from controller.model.plan import ObjectKind
from controller.model.policy import BudgetPolicy, ServicePolicy
from controller.model.spec import DesiredStack, Json
from controller.model.status import Health, Sync
from controller.simulator.engine import Simulator
from tests.support.rig import Rig
from tests.support.specs import service, stack

pytestmark = pytest.mark.looptime

THREE = ServicePolicy(budget=BudgetPolicy(3, timedelta(minutes=10)))
UPDATE = "update service/shop_web"


def shop(image: str = "nginx:1", **parts: Any) -> DesiredStack:
    return stack(service("web", image, policy=THREE, Mode={"Replicated": {"Replicas": 2}}, **parts))


def by_hand(spec: Json) -> Json:
    """Somebody's label."""
    return {**spec, "Labels": {**spec["Labels"], "by": "hand"}}


async def meddle(rig: Rig, times: int) -> None:
    for _ in range(times):
        rig.edit("shop_web", by_hand)
        await asyncio.sleep(20)


async def test_what_is_undone_again_and_again_is_held_and_then_left_alone() -> None:
    async with Rig(shop()) as rig:
        await rig.settle()
        await meddle(rig, 3)
        assert rig.writes.count(UPDATE) == 3
        assert rig.status("shop_web").sync is Sync.SYNCED
        rig.forget()

        await meddle(rig, 3)
        await asyncio.sleep(3600)

        assert [write for write in rig.writes if STATE_NAME not in write] == []
        assert len(rig.writes) <= 1  # that it is held
        status = rig.status("shop_web")
        assert (status.sync, status.health) == (Sync.OUT_OF_SYNC, Health.HEALTHY)
        assert "held since" in status.message


async def test_resume_and_an_edit_free_what_is_held() -> None:
    async with Rig(shop()) as rig:
        await rig.settle()
        await meddle(rig, 4)
        rig.forget()

        assert "3 corrections" in await set_paused(rig.swarm, rig.clock, "shop/web", paused=False)
        await asyncio.sleep(60)
        assert rig.writes.count(UPDATE) == 1
        assert rig.status("shop_web").sync is Sync.SYNCED

        await meddle(rig, 3)
        assert rig.status("shop_web").sync is Sync.OUT_OF_SYNC
        rig.declare(shop("nginx:2"))
        await asyncio.sleep(30)
        assert rig.status("shop_web").sync is Sync.SYNCED


async def test_an_older_label_that_a_hand_brings_back_makes_no_edit_of_a_correction() -> None:
    async with Rig(shop()) as rig:
        await rig.settle()
        rig.declare(shop("nginx:2"))
        await rig.settle(60)
        for _ in range(5):
            live = rig.live("shop_web")
            rig.sim.update(ObjectKind.SERVICE, "shop_web", live["Version"]["Index"], live["Spec"], rollback="previous")
            rig.edit("shop_web", by_hand)  # which takes away what Swarm said of its rollback
            await asyncio.sleep(20)

        assert rig.service_writes == [UPDATE] * 3
        assert "held since" in rig.status("shop_web").message


async def test_another_controller_goes_on_with_what_was_spent() -> None:
    sim = Simulator()
    async with Rig(shop(), sim=sim) as rig:
        await rig.settle()
        await meddle(rig, 2)
    async with Rig(shop(), sim=sim) as rig:
        await rig.settle(30)
        await meddle(rig, 2)
        assert rig.writes.count(UPDATE) == 1
        assert "held since" in rig.status("shop_web").message


async def test_an_edit_that_no_node_can_take_touches_nothing() -> None:
    async with Rig(shop(), sim=Simulator(nodes=2)) as rig:
        await rig.settle()
        before = {task.id for task in rig.sim.running("shop_web")}

        rig.declare(shop("nginx:2", task={"Placement": {"Constraints": ["node.labels.disk == ssd"]}}))
        await asyncio.sleep(120)

        assert rig.writes == []
        assert {task.id for task in rig.sim.running("shop_web")} == before
        assert "no ready node meets node.labels.disk == ssd (2 nodes looked at)" in rig.status("shop_web").message
        node = rig.sim.inspect(ObjectKind.NODE, "node2")
        rig.sim.update(ObjectKind.NODE, "node2", node["Version"]["Index"], {**node["Spec"], "Labels": {"disk": "ssd"}})
        await asyncio.sleep(60)
        assert rig.status("shop_web").sync is Sync.SYNCED


async def test_after_a_node_was_lost_nothing_is_put_right_until_the_swarm_has_calmed_down() -> None:
    async with Rig(shop(), sim=Simulator(nodes=2)) as rig:
        await rig.settle()
        rig.sim.fail_node("node2", noticed_after=0)
        await asyncio.sleep(10)
        rig.edit("shop_web", by_hand)
        await asyncio.sleep(45)
        assert rig.writes == []
        assert "the brake is on: lost node2" in rig.status("shop_web").message
        await asyncio.sleep(10)
        assert rig.writes == [UPDATE]
        assert rig.status("shop_web").sync is Sync.SYNCED


async def test_a_brake_that_a_controller_did_not_live_to_let_go_is_told_to_be_off_by_the_next_one() -> None:
    async with Rig(shop(), sim=Simulator(nodes=2)) as rig:
        await rig.settle()
        rig.sim.fail_node("node2", noticed_after=0)
        await asyncio.sleep(10)
        assert [item.state for item in rig.journal.known.values() if item.kind is FaultKind.BRAKE] == [IncidentState.OPEN]
    async with Rig(shop(), sim=rig.sim, journal=rig.journal) as later:
        await later.settle()
        assert [item.state for item in rig.journal.known.values() if item.kind is FaultKind.BRAKE] == [IncidentState.RECOVERED]


async def test_a_stack_that_is_removed_by_hand_comes_back_at_once() -> None:
    desired = stack(*(service(f"s{number}", policy=replace(THREE)) for number in range(12)))
    async with Rig(desired) as rig:
        await rig.settle()
        for number in range(12):
            rig.sim.remove(ObjectKind.SERVICE, f"shop_s{number}")
        await asyncio.sleep(10)
        assert sorted(rig.writes) == sorted(f"create service/shop_s{number}" for number in range(12))
