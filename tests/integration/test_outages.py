"""The engine away, the stream silent or closed, answers lost: nothing is missed and nothing is done twice."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from controller.engine.records import PassResult
from controller.model.plan import ObjectKind
from controller.simulator.faults import Fault, Site
from controller.simulator.refusals import RefusalError, UnreachableError
from tests.integration.test_healing import shop, with_env
from tests.support.rig import CALL_SECONDS, Rig
from tests.support.specs import network, service, stack

pytestmark = pytest.mark.looptime

OUT_OF_SEQUENCE = RefusalError(500, "rpc error: code = Unknown desc = update out of sequence")


async def test_an_engine_that_goes_away_is_waited_for_and_found_changed() -> None:
    async with Rig(shop()) as rig:
        await rig.settle()
        rig.sim.take_away()
        rig.sim.remove(ObjectKind.SERVICE, "shop_web")
        await asyncio.sleep(3600)
        assert not rig.events.is_up
        rig.forget()
        rig.sim.bring_back()
        await asyncio.sleep(15)

        assert rig.events.is_up
        assert rig.writes == ["create service/shop_web"]
        await asyncio.sleep(60)
        assert len(rig.sim.running("shop_web")) == 3


async def test_an_absent_engine_is_not_pestered() -> None:
    async with Rig(shop()) as rig:
        await rig.settle()
        rig.sim.take_away()
        await asyncio.sleep(600)
        rig.forget()
        await asyncio.sleep(600)

        assert rig.calls / 10 <= 20  # a minute: one try of the stream in ten seconds and the resync's passes


async def test_a_stream_that_closes_is_opened_again_and_nothing_is_missed() -> None:
    async with Rig(shop()) as rig:
        await rig.settle()
        rig.sim.events.close_all()
        rig.sim.remove(ObjectKind.SERVICE, "shop_web")
        await asyncio.sleep(1)

        assert rig.writes == ["create service/shop_web"]
        assert rig.events.is_up


async def test_a_silent_stream_is_opened_again_within_ninety_seconds() -> None:
    async with Rig(shop()) as rig:
        await rig.settle()
        rig.sim.events.is_silent = True
        await asyncio.sleep(91)

        assert sum(call.site.operation == "events" for call in rig.sim.gate.calls) == 1


async def test_what_a_silent_stream_hides_is_found_by_the_resync() -> None:
    async with Rig(shop()) as rig:
        await rig.settle()
        rig.sim.events.is_silent = True
        rig.sim.remove(ObjectKind.SERVICE, "shop_web")
        await asyncio.sleep(31)

        assert rig.writes == ["create service/shop_web"]


async def test_a_network_that_a_silent_stream_hides_is_found_within_two_minutes() -> None:
    async with Rig(shop()) as rig:
        await rig.settle()
        rig.sim.events.is_silent = True
        rig.sim.remove(ObjectKind.SERVICE, "shop_web")
        rig.sim.remove(ObjectKind.NETWORK, "shop_default")
        await asyncio.sleep(155)

        assert len(rig.sim.running("shop_web")) == 3
        assert rig.status("shop_web").sync.value == "Synced"


async def test_an_engine_that_closes_every_stream_at_once_is_not_asked_in_a_circle() -> None:
    async with Rig(shop()) as rig:
        await rig.settle()
        rig.fault = lambda site: _closing(rig) if site.operation == "events" else None
        rig.sim.events.close_all()
        await asyncio.sleep(60)

        assert sum(call.site.operation == "events" for call in rig.sim.gate.calls) <= 20


def _closing(rig: Rig) -> Fault:
    asyncio.get_running_loop().call_later(2 * CALL_SECONDS, rig.sim.events.close_all)
    return Fault(delay=CALL_SECONDS)


def once(operation: str, target: str, fault: Fault) -> Callable[[Site], Fault | None]:
    return lambda site: fault if site == Site(operation, target, 1) else None


@pytest.mark.parametrize("applied", [True, False])
@pytest.mark.parametrize("error", [UnreachableError("reset"), RefusalError(503, "try later"), RefusalError(500, "lost quorum")])
async def test_a_write_without_an_answer_is_read_before_it_is_repeated(error: Exception, *, applied: bool) -> None:
    assert isinstance(error, UnreachableError | RefusalError)
    async with Rig(shop()) as rig:
        await rig.settle()
        rig.fault = once("create", "service/shop_web", Fault(error=error, applied=applied, delay=CALL_SECONDS))
        rig.sim.remove(ObjectKind.SERVICE, "shop_web")
        await asyncio.sleep(60)

        assert rig.writes == ["create service/shop_web"] * (1 if applied else 2)
        assert len(rig.sim.running("shop_web")) == 3


async def test_a_stale_version_means_to_read_and_decide_again() -> None:
    async with Rig(shop()) as rig:
        await rig.settle()
        rig.fault = once("update", "service/shop_web", Fault(error=OUT_OF_SEQUENCE, delay=CALL_SECONDS))
        rig.edit("shop_web", lambda spec: with_env(spec, "A=2"))
        await asyncio.sleep(60)

        assert rig.writes == ["update service/shop_web"] * 2
        assert rig.spec("shop_web")["TaskTemplate"]["ContainerSpec"]["Env"] == ["A=1"]


async def test_a_list_that_fails_is_not_absence() -> None:
    async with Rig(shop()) as rig:
        await rig.settle()
        rig.fault = lambda site: Fault(error=RefusalError(500, "no leader")) if site.operation == "list" else None
        await asyncio.sleep(120)

        assert rig.writes == []


async def test_what_the_engine_refuses_is_tried_again_ever_more_rarely_and_harms_nobody_else() -> None:
    bad = network("shop_default", Driver="no-such-driver")
    attached = {"Networks": [{"Target": "shop_default"}]}
    async with Rig(stack(service("web", task=attached), service("db"), networks=[bad])) as rig:
        await asyncio.sleep(300)

        assert len(rig.sim.running("shop_db")) == 1
        assert rig.recorder.passes[PassResult.FAILED] >= 1
        refused = [write for write in rig.writes if write == "create network/shop_default"]
        assert len(refused) <= 30  # the backoff, and the resync every 30 s
        assert rig.calls <= 1000


async def test_every_call_may_fail_for_an_hour_and_then_all_is_well() -> None:
    async with Rig(shop()) as rig:
        rig.fault = lambda site: Fault(error=UnreachableError("gone"))
        await asyncio.sleep(3600)
        rig.fault = lambda site: None
        await asyncio.sleep(60)

        assert len(rig.sim.running("shop_web")) == 3
