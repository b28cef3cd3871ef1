"""What hands do to a service while its revisions are judged, and after that."""

from __future__ import annotations

import asyncio

import pytest

from controller.model.policy import BudgetPolicy, DriftMode, ServicePolicy
from controller.model.revision import RevisionState
from controller.model.spec import DesiredStack, Json
from controller.model.status import Sync
from controller.simulator.behaviour import CRASHING
from tests.integration.test_rollbacks import DEADLINE, image, shop, update
from tests.integration.test_rollout_edges import (
    NEVER_UP,
    QUARANTINED,
    STABLE,
    SUPERSEDED,
    docker_rollback,
    one,
    states_of,
    with_image,
    with_replicas,
)
from tests.support.rig import Rig

pytestmark = pytest.mark.looptime


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
        rig.edit("shop_web", lambda spec: {**spec, "Labels": without_own(spec["Labels"])})  # as docker would have deployed it
        await rig.settle()
        rig.sim.images["web:2"] = CRASHING
        await update(rig, one("web:2", policy=policy, UpdateConfig=updates))
        assert (image(rig), states_of(rig)) == ("web:1", [STABLE, QUARANTINED])
        rig.forget()
        rig.edit("shop_web", with_replicas(2))
        await asyncio.sleep(60)

        assert rig.service_writes == []


def without_own(labels: dict[str, str]) -> dict[str, str]:
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
