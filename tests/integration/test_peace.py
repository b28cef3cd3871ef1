"""At rest nothing is written and hardly anything is asked; in work a key has one worker."""

from __future__ import annotations

import asyncio
from collections import Counter
from functools import partial

import pytest

from controller.engine.workqueue import Due
from controller.model.plan import ObjectKind
from controller.model.spec import Json
from controller.model.status import Key
from tests.integration.test_healing import shop
from tests.support.rig import Rig
from tests.support.specs import content, mounted, network, service, stack

pytestmark = pytest.mark.looptime
MINUTE = 60_000_000_000


async def test_a_day_at_rest_passes_without_a_write_and_with_six_calls_a_minute_at_most() -> None:
    async with Rig(shop()) as rig:
        await rig.settle(600)
        tasks = {task.id for name in ("shop_web", "shop_db") for task in rig.sim.running(name)}
        await asyncio.sleep(24 * 3600)

        assert rig.writes == []
        assert {task.id for name in ("shop_web", "shop_db") for task in rig.sim.running(name)} == tasks
        by_minute = Counter(call.time_ns // MINUTE for call in rig.sim.gate.calls)
        assert rig.calls / (24 * 60) <= 5.5  # leaves room for `facts`, which are two calls of the real engine
        assert max(by_minute.values()) <= 8


async def test_a_pass_over_many_services_reads_every_list_once() -> None:
    many = stack(*(service(f"s{number}") for number in range(40)), networks=[network()])
    async with Rig(many) as rig:
        await rig.settle(60)
        rig.queue.close()
    async with Rig(many, sim=rig.sim) as fresh:
        fresh.forget()
        await asyncio.sleep(10)

        assert fresh.writes == []
        assert fresh.calls <= 12


async def test_one_key_is_never_worked_on_twice_at_a_time() -> None:
    async with Rig(shop(), workers=8) as rig:
        reconciler = rig.world
        inside: set[Key] = set()
        clashes: list[Key] = []
        original = rig.loop._reconciler.reconcile

        async def watched(due: Due) -> object:
            clashes.extend([due.key] if due.key in inside else [])
            inside.add(due.key)
            try:
                return await original(due)
            finally:
                inside.discard(due.key)

        rig.loop._reconciler.reconcile = watched  # type: ignore[assignment,method-assign] # the only window on a worker
        for _ in range(300):
            for key in reconciler.declarations.keys():  # noqa: SIM118 - a method of its own
                rig.queue.add(key, reason="storm")
            await asyncio.sleep(0.001)
        await asyncio.sleep(10)

        assert clashes == []
        assert not inside


def with_label(spec: Json, *, value: str) -> Json:
    return {**spec, "Labels": {**spec["Labels"], "n": value}}


async def test_a_storm_of_events_becomes_a_few_passes() -> None:
    async with Rig(shop()) as rig:
        await rig.settle()
        for number in range(500):
            rig.edit("shop_db", partial(with_label, value=str(number)))
        rig.forget()
        await asyncio.sleep(30)

        assert rig.spec("shop_db")["Labels"].get("n") is None
        assert rig.calls <= 60


async def test_configs_and_secrets_at_rest_are_not_written_either() -> None:
    uses = {"Configs": [mounted("Config", "shop_c")], "Secrets": [mounted("Secret", "shop_s")]}
    desired = stack(service("web", container=uses), configs=[content("shop_c")], secrets=[content("shop_s")])
    async with Rig(desired) as rig:
        await rig.settle(60)
        await asyncio.sleep(3600)

        assert rig.writes == []
        assert rig.names(ObjectKind.SECRET) == ["shop_s"]
