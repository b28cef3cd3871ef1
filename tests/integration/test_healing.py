"""The loop against a Swarm that somebody breaks: what is put back, with how many writes, and what is left alone."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from controller.model.plan import ObjectKind, Reason
from controller.model.policy import DriftMode, ServicePolicy
from controller.model.spec import DesiredStack, Json
from controller.model.status import Health, Sync
from controller.simulator.behaviour import Behaviour
from tests.support.fakes import changed
from tests.support.rig import Rig
from tests.support.specs import network, service, stack

pytestmark = pytest.mark.looptime

WEB = {"Replicated": {"Replicas": 3}}


def shop(**parts: Any) -> DesiredStack:
    attached = {"Networks": [{"Target": "shop_default", "Aliases": ["web"]}]}
    return stack(
        service("web", Mode=WEB, task=attached, container={"Env": ["A=1"]}, **parts), service("db"), networks=[network()]
    )


def with_env(spec: Json, *entries: str) -> Json:
    return changed(spec, lambda copy: copy["TaskTemplate"]["ContainerSpec"].update(Env=list(entries)))


def with_image(spec: Json, image: str) -> Json:
    return changed(spec, lambda copy: copy["TaskTemplate"]["ContainerSpec"].update(Image=image))


def with_replicas(spec: Json, count: int) -> Json:
    return changed(spec, lambda copy: copy["Mode"]["Replicated"].update(Replicas=count))


async def test_an_empty_swarm_becomes_what_is_declared_with_one_write_each() -> None:
    async with Rig(shop()) as rig:
        await asyncio.sleep(10)

        assert sorted(rig.writes) == ["create network/shop_default", "create service/shop_db", "create service/shop_web"]
        assert len(rig.sim.running("shop_web")) == 3
        assert rig.status("shop_web").health is Health.HEALTHY
        assert rig.status("shop_web").sync is Sync.SYNCED
        assert rig.has_passed()


async def test_a_removed_service_is_created_again_with_one_write_and_within_a_quarter_of_a_second() -> None:
    async with Rig(shop()) as rig:
        await rig.settle()
        rig.sim.remove(ObjectKind.SERVICE, "shop_web")
        await asyncio.sleep(0.25)

        assert rig.writes == ["create service/shop_web"]
        await asyncio.sleep(60)
        assert rig.writes == ["create service/shop_web"]
        assert len(rig.sim.running("shop_web")) == 3


@pytest.mark.parametrize(
    "change",
    [
        lambda spec: with_env(spec, "A=1", "DEBUG=1"),
        lambda spec: with_replicas(spec, 7),
        lambda spec: changed(spec, lambda copy: copy["Labels"].update(stray="yes")),
        lambda spec: changed(spec, lambda copy: copy["TaskTemplate"]["ContainerSpec"].update(Image="redis:7")),
        lambda spec: changed(spec, lambda copy: copy["TaskTemplate"].update(Networks=[])),
        lambda spec: changed(spec, lambda copy: copy.update(EndpointSpec={"Mode": "vip", "Ports": [{"TargetPort": 80}]})),
        lambda spec: changed(spec, lambda copy: copy["TaskTemplate"].update(Resources={"Limits": {"MemoryBytes": 8 << 20}})),
    ],
    ids=["env", "replicas", "label", "image", "network", "port", "limit"],
)
async def test_drift_is_reverted_with_one_write(change: Any) -> None:
    async with Rig(shop()) as rig:
        await rig.settle()
        before = rig.spec("shop_web")
        rig.edit("shop_web", change)
        await asyncio.sleep(120)

        assert rig.writes == ["update service/shop_web"]
        assert rig.spec("shop_web") == before
        assert len(rig.sim.running("shop_web")) == 3
        assert rig.status("shop_web").sync is Sync.SYNCED


async def test_drift_that_restarts_nothing_is_reverted_without_a_restart() -> None:
    async with Rig(shop()) as rig:
        await rig.settle()
        tasks = {task.id for task in rig.sim.running("shop_web")}
        rig.edit("shop_web", lambda spec: changed(spec, lambda copy: copy["Labels"].update(stray="yes")))
        await asyncio.sleep(60)

        assert {task.id for task in rig.sim.running("shop_web")} == tasks


@pytest.mark.parametrize(("mode", "sync"), [(DriftMode.REPORT, Sync.OUT_OF_SYNC), (DriftMode.IGNORE, Sync.SYNCED)])
async def test_drift_that_is_not_to_be_reverted_is_left(mode: DriftMode, sync: Sync) -> None:
    async with Rig(shop(policy=ServicePolicy(drift=mode))) as rig:
        await rig.settle()
        rig.edit("shop_web", lambda spec: with_env(spec, "A=2"))
        await asyncio.sleep(120)

        assert rig.writes == []
        assert rig.status("shop_web").sync is sync


async def test_an_ignored_field_is_left_also_when_another_one_is_put_back() -> None:
    async with Rig(shop(policy=ServicePolicy(ignore=("deploy.replicas", "environment.DEBUG")))) as rig:
        await rig.settle()
        rig.edit("shop_web", lambda spec: with_replicas(with_env(spec, "A=1", "DEBUG=1"), 5))
        await asyncio.sleep(60)
        assert rig.writes == []

        rig.edit("shop_web", lambda spec: with_env(spec, "A=2", "DEBUG=1"))
        await asyncio.sleep(120)

        assert rig.writes == ["update service/shop_web"]
        assert rig.spec("shop_web")["TaskTemplate"]["ContainerSpec"]["Env"] == ["A=1", "DEBUG=1"]
        assert rig.spec("shop_web")["Mode"]["Replicated"]["Replicas"] == 5


async def test_a_service_is_left_to_swarms_updater_while_it_works() -> None:
    slow = {"UpdateConfig": {"Parallelism": 1, "Delay": 20_000_000_000, "Order": "start-first"}}
    async with Rig(shop(**slow)) as rig:
        await rig.settle()
        rig.edit("shop_web", lambda spec: with_env(spec, "A=2"))
        await asyncio.sleep(30)

        assert rig.live("shop_web")["UpdateStatus"]["State"] == "updating"
        assert rig.writes == []
        assert rig.status("shop_web").message == "Swarm's updater is at work on it"
        await asyncio.sleep(240)
        assert rig.writes == ["update service/shop_web"]
        assert rig.spec("shop_web")["TaskTemplate"]["ContainerSpec"]["Env"] == ["A=1"]


async def test_the_last_user_of_a_network_and_the_network_are_made_again() -> None:
    async with Rig(shop()) as rig:
        await rig.settle()
        rig.sim.remove(ObjectKind.SERVICE, "shop_web")
        rig.sim.remove(ObjectKind.NETWORK, "shop_default")
        await asyncio.sleep(30)

        assert sorted(rig.writes) == ["create network/shop_default", "create service/shop_web"]
        assert len(rig.sim.running("shop_web")) == 3


async def test_a_service_follows_those_it_depends_on() -> None:
    desired = stack(service("web", depends_on=["db"]), service("db", Mode=WEB))
    async with Rig(desired) as rig:
        await asyncio.sleep(30)

        assert rig.writes == ["create service/shop_db", "create service/shop_web"]
        created = rig.sim.service("shop_web").created_ns
        assert all(task.created_ns < created for task in rig.sim.running("shop_db"))


async def test_a_service_is_created_at_its_deadline_when_what_it_follows_never_gets_well() -> None:
    sick = service("db", "nginx:2", container={"Args": ["false"]}, task={"RestartPolicy": {"Condition": "none"}})
    async with Rig(stack(service("web", depends_on=["db"]), sick)) as rig:
        await asyncio.sleep(110)
        assert rig.writes == ["create service/shop_db"]
        await asyncio.sleep(30)

        assert rig.writes == ["create service/shop_db", "create service/shop_web"]


async def test_two_controllers_come_to_the_same_end_without_fighting() -> None:
    async with Rig(shop()) as one:
        await one.settle()
        async with Rig(shop(), sim=one.sim) as two:
            await two.settle()
            one.edit("shop_web", lambda spec: with_env(spec, "A=2"))
            await asyncio.sleep(120)

            done = [call for call in one.sim.gate.writes() if call.outcome == "ok"]
            assert len(done) == 1
            assert one.spec("shop_web")["TaskTemplate"]["ContainerSpec"]["Env"] == ["A=1"]


async def test_a_journal_tells_what_was_done_and_why() -> None:
    async with Rig(shop()) as rig:
        await rig.settle()
        rig.edit("shop_web", lambda spec: with_env(spec, "A=S3CR3T"))
        await asyncio.sleep(30)

        record = rig.journal.actions[-1]
        assert (record.key, record.reason, record.outcome.value) == ("shop/web", Reason.DRIFT, "done")
        assert [change.field for change in record.changes] == ["environment.A"]
        assert "S3CR3T" not in repr(rig.journal.actions) + repr(rig.journal.passes) + repr(rig.journal.kept)


async def test_a_journal_that_cannot_be_written_stops_nothing() -> None:
    async with Rig(shop()) as rig:
        await rig.settle()
        rig.journal.broken = True
        rig.sim.remove(ObjectKind.SERVICE, "shop_web")
        await asyncio.sleep(30)

        assert rig.writes == ["create service/shop_web"]


async def test_what_was_learned_is_in_the_journal_before_anything_is_written() -> None:
    seen = Rig(shop())
    async with seen:
        await seen.settle()
    async with Rig(shop(), sim=seen.sim) as second:  # finds everything in place, and remembers it all the same
        await asyncio.sleep(5)

        assert second.writes == []
        assert "memory:applied:shop:shop_web" in second.journal.kept


async def test_drift_does_not_wait_for_ever_for_an_update_that_never_ends() -> None:
    async with Rig(shop()) as rig:
        rig.sim.images["stuck:1"] = Behaviour(prepare_seconds=1e9)
        await rig.settle()
        rig.edit(
            "shop_web", lambda spec: changed(spec, lambda copy: copy["TaskTemplate"]["ContainerSpec"].update(Image="stuck:1"))
        )
        await asyncio.sleep(110)
        assert rig.writes == []
        assert "updater is at work" in rig.status("shop_web").message
        await asyncio.sleep(20)

        assert rig.writes == ["update service/shop_web"]
        assert rig.spec("shop_web")["TaskTemplate"]["ContainerSpec"]["Image"] == "nginx:1"
