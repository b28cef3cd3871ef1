"""One leads, the others wait: taking, renewing, losing and releasing the lease, on virtual time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from controller.core.lease import LEASE_NAME
from controller.model.plan import ObjectKind
from controller.simulator.engine import Simulator
from controller.simulator.inprocess import InProcessSwarm
from controller.simulator.timeline import DEFAULT_EPOCH_NS
from tests.support.contender import Contender

pytestmark = pytest.mark.looptime

LEASE = 10.0
TAKEOVER = LEASE + 2.0
CONFIG = ObjectKind.CONFIG
EPOCH = DEFAULT_EPOCH_NS / 1e9


def labels(sim: Simulator) -> dict[str, str]:
    found: dict[str, str] = sim.inspect(CONFIG, LEASE_NAME)["Spec"]["Labels"]
    return {key.removeprefix("prodbreaker.lease."): text for key, text in found.items()}


def now() -> float:
    return asyncio.get_running_loop().time()


@asynccontextmanager
async def contending(*names: str) -> AsyncIterator[tuple[Simulator, list[Contender]]]:
    """The first leads already, and the others have had a look."""
    sim = Simulator()
    swarm = InProcessSwarm(sim)
    contenders = [Contender(swarm, name, seconds=LEASE) for name in names]
    try:
        for contender in contenders:
            contender.start()
            await until(lambda: contenders[0].leader.leads, seconds=TAKEOVER)
            await asyncio.sleep(0.1)
        yield sim, contenders
    finally:
        for contender in contenders:
            contender.line.thaw()
            await contender.kill()
        swarm.close()


async def until(condition: Callable[[], bool], *, seconds: float) -> float:
    """Seconds until the condition holds; fails when it takes longer."""
    started = now()
    while not condition():
        assert now() - started < seconds, f"not within {seconds} s"
        await asyncio.sleep(0.05)
    return now() - started


async def test_the_first_of_all_makes_the_lease_and_waits_for_one_length_before_it_leads() -> None:
    async with contending("a") as (sim, (a,)):
        assert a.leader.leader == "", "no other one leads"
        assert (labels(sim)["holder"], labels(sim)["epoch"], labels(sim)["seconds"]) == ("a", "1", "10")
        ((began, leads),) = a.changes
        assert leads
        assert LEASE <= began <= TAKEOVER


async def test_a_leader_renews_three_times_a_lease_and_writes_nothing_else() -> None:
    async with contending("a") as (sim, (a,)):
        sim.gate.forget()
        await asyncio.sleep(600)

        writes = [f"{call.site.operation} {call.site.target}" for call in sim.gate.writes()]
        assert set(writes) == {f"update config/{LEASE_NAME}"}
        assert 175 <= len(writes) <= 181
        assert labels(sim)["epoch"] == "1"
        assert len(a.changes) == 1


async def test_a_standby_only_looks() -> None:
    async with contending("a", "b", "c") as (sim, (a, b, c)):
        await asyncio.sleep(600)

        assert (a.leader.leads, b.leader.leads, c.leader.leads) == (True, False, False)
        assert b.leader.leader == c.leader.leader == "a"
        assert labels(sim)["holder"] == "a"
        assert b.changes == c.changes == []


async def test_a_leader_that_dies_is_followed_within_a_lease_and_two_seconds() -> None:
    async with contending("a", "b", "c") as (sim, (a, b, c)):
        await asyncio.sleep(21)
        await a.kill()

        assert await until(lambda: b.leader.leads or c.leader.leads, seconds=TAKEOVER) > LEASE / 2
        await asyncio.sleep(60)
        assert b.leader.leads is not c.leader.leads
        assert labels(sim)["epoch"] == "2"


async def test_a_leader_that_ends_in_order_is_followed_within_a_second() -> None:
    async with contending("a", "b") as (sim, (a, b)):
        await a.stop()

        assert not a.leader.leads
        assert await until(lambda: b.leader.leads, seconds=TAKEOVER) <= 1.1
        assert labels(sim)["epoch"] == "2"
        assert a.changes[-1][1] is False


async def test_the_end_of_a_standby_leaves_the_lease_alone() -> None:
    async with contending("a", "b") as (sim, (a, b)):
        sim.gate.forget()
        await b.stop()

        assert sim.gate.writes() == []
        await asyncio.sleep(60)
        assert a.leader.leads


async def test_a_lease_that_is_gone_needs_no_release() -> None:
    async with contending("a") as (sim, (a,)):
        sim.remove(CONFIG, LEASE_NAME)
        sim.gate.forget()
        await a.stop()

        assert sim.gate.writes() == []
        assert not a.leader.leads


async def test_a_release_that_cannot_be_written_ends_all_the_same(caplog: pytest.LogCaptureFixture) -> None:
    async with contending("a", "b") as (_, (a, b)):
        a.line.freeze()
        before = now()
        await a.stop()

        assert now() - before <= 2
        assert not a.leader.may_write()
        assert "lease not released" in caplog.messages
        await until(lambda: b.leader.leads, seconds=TAKEOVER)


async def test_of_two_who_write_at_once_one_leads() -> None:
    sim = Simulator()
    swarm = InProcessSwarm(sim)
    both = [Contender(swarm, name, seconds=LEASE) for name in ("a", "b")]
    for contender in both:
        contender.start()
    await asyncio.sleep(TAKEOVER)
    assert sum(contender.leader.leads for contender in both) == 1
    assert [call.outcome for call in sim.gate.writes()][:2] == ["ok", "409"]

    for contender in both:
        await contender.kill()
    swarm.close()


async def test_a_frozen_leader_may_not_write_when_it_wakes_though_it_has_heard_of_nothing() -> None:
    async with contending("a", "b") as (sim, (a, b)):
        a.line.freeze()
        await asyncio.sleep(TAKEOVER)
        assert b.leader.leads
        assert not a.leader.may_write()

        a.line.thaw()
        await asyncio.sleep(60)
        assert (a.leader.leads, b.leader.leads) == (False, True)
        assert a.leader.leader == "b"
        assert labels(sim)["epoch"] == "2"


async def test_a_leader_that_is_cut_off_stops_before_its_lease_ends() -> None:
    async with contending("a", "b") as (_, (a, b)):
        a.line.is_cut = True
        stopped = await until(lambda: not a.leader.may_write(), seconds=LEASE)
        assert stopped <= 0.8 * LEASE + 0.1
        assert not b.leader.may_write()
        told, leads = a.changes[-1]
        assert not leads
        assert told == pytest.approx(now(), abs=0.1), "when it happens and not at the next try"

        await until(lambda: b.leader.leads, seconds=TAKEOVER - stopped)


async def test_the_lease_counts_from_when_its_renewal_was_begun_however_late_the_answer_comes() -> None:
    async with contending("a") as (sim, (a,)):
        a.line.delays = (0.0, 1.0)
        await asyncio.sleep(20)
        a.line.is_cut = True
        await until(lambda: not a.leader.may_write(), seconds=LEASE)

        begun = sim.gate.writes()[-1].time_ns / 1e9 - EPOCH
        assert now() - begun == pytest.approx(0.8 * LEASE, abs=0.1)


async def test_lost_answers_alone_cost_nobody_the_lead_that_nobody_else_wants(caplog: pytest.LogCaptureFixture) -> None:
    async with contending("a") as (sim, (a,)):
        a.line.is_deaf = True
        await asyncio.sleep(60)
        assert not a.leader.leads
        a.line.is_deaf = False
        await asyncio.sleep(2)

        assert a.leader.leads
        assert labels(sim)["epoch"] == "1"
        assert caplog.messages.count("lease not reached") == 1


async def test_an_engine_that_is_away_is_told_once_and_its_return_is_seen(caplog: pytest.LogCaptureFixture) -> None:
    async with contending("a") as (sim, (a,)):
        sim.take_away()
        await asyncio.sleep(300)
        assert not a.leader.leads
        assert caplog.messages.count("lease not reached") == 1
        sim.bring_back()
        await asyncio.sleep(2)
        assert a.leader.leads


async def test_a_lease_removed_by_hand_is_made_again_and_whoever_made_it_waits_for_one_length() -> None:
    async with contending("a", "b") as (sim, (a, b)):
        sim.remove(CONFIG, LEASE_NAME)
        removed = now()
        await until(lambda: not a.leader.leads, seconds=0.8 * LEASE + 0.1)
        await until(lambda: a.leader.leads or b.leader.leads, seconds=TAKEOVER)

        assert now() - removed >= LEASE
        assert labels(sim)["epoch"] == "2"


async def test_a_lease_that_is_removed_again_and_again_never_makes_two_lead() -> None:
    async with contending("a", "b") as (sim, (a, b)):
        for _ in range(100):
            await asyncio.sleep(0.7)
            if sim.list_objects(CONFIG):
                sim.remove(CONFIG, LEASE_NAME)
            assert not (a.leader.may_write() and b.leader.may_write())
        await until(lambda: a.leader.leads or b.leader.leads, seconds=TAKEOVER)


async def test_who_made_the_lease_and_ends_before_it_led_does_not_release_it() -> None:
    sim = Simulator()
    swarm = InProcessSwarm(sim)
    contender = Contender(swarm, "a", seconds=LEASE)
    contender.start()
    await asyncio.sleep(LEASE / 2)
    await contender.stop()
    swarm.close()

    assert labels(sim)["holder"] == "a"


async def test_a_lease_whose_labels_were_wiped_is_left_by_its_holder_and_taken_a_lease_later() -> None:
    async with contending("a", "b") as (sim, (a, b)):
        live = sim.inspect(CONFIG, LEASE_NAME)
        sim.update(CONFIG, LEASE_NAME, live["Version"]["Index"], {**live["Spec"], "Labels": {}})
        await until(lambda: not a.leader.leads, seconds=LEASE / 3 + 1)

        assert not b.leader.leads
        await until(lambda: a.leader.leads or b.leader.leads, seconds=TAKEOVER)


async def test_leading_is_counted_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with contending("a", "b") as (_, (a, b)):
        a.line.freeze()
        await asyncio.sleep(TAKEOVER)
        a.line.thaw()
        await asyncio.sleep(2)
        await b.stop()
        await asyncio.sleep(2)

        told = [(record.message, _fields(record)["holder"]) for record in caplog.records if "lead" in record.message]
        assert told == [
            ("leadership gained", "a"),
            ("another controller leads", "a"),
            ("leadership lost", "a"),
            ("leadership gained", "b"),
            ("another controller leads", "b"),
            ("leadership released", "b"),
            ("leadership gained", "a"),
        ]
        assert a.recorder.leading == [True, False, True]
        assert b.recorder.leading == [True, False]


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    fields: dict[str, Any] = record.__dict__["fields"]
    return fields
