"""What stands before every automatic write, and what of it outlives the process."""

from __future__ import annotations

import asyncio
import logging

import pytest

from controller.core.brake import Cause, Sight
from controller.engine.guards import Guards, Refusal
from controller.model.plan import Reason
from controller.model.policy import BudgetPolicy
from controller.model.status import Health, Key
from tests.support.clock import FakeClock
from tests.support.fakes import FakeSwarm
from tests.unit.engine.desk import DB, DRIFT, EDIT, LABELS, MISSING, TWO, WEB, Desk, Recorder, correct, fake, spend

pytestmark = pytest.mark.looptime

# The budget


async def test_the_correction_after_the_last_one_is_not_made_and_the_service_is_held(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    guards = desk.guards()
    await spend(guards)

    with caplog.at_level(logging.INFO):
        refusals = [correct(guards) for _ in range(3)]

    told = "held since 2026-01-01T00:00:20+00:00 2 corrections in 600 s did not last; `prodbreaker resume shop/web`"
    assert refusals == [Refusal(Reason.HELD, f"{told} or an edit frees it")] * 3
    assert [record.message for record in caplog.records] == ["held"]
    assert desk.recorder.held == 1
    assert desk.recorder.heals == [Reason.DRIFT, Reason.DRIFT]


async def test_a_held_service_stays_held_when_its_window_has_passed(desk: Desk) -> None:
    guards = desk.guards()
    await spend(guards)
    correct(guards)
    await asyncio.sleep(3600)

    refusal = correct(guards)
    assert refusal is not None
    assert refusal.reason is Reason.HELD


async def test_what_is_not_spent_in_a_window_comes_back(desk: Desk) -> None:
    guards = desk.guards()
    assert correct(guards) is None
    await asyncio.sleep(601)
    await spend(guards)


async def test_services_have_budgets_of_their_own(desk: Desk) -> None:
    guards = desk.guards()
    await spend(guards)

    assert correct(guards, key=DB) is None


async def test_a_corrected_service_rests_longer_each_time(desk: Desk) -> None:
    guards, limits = desk.guards(), BudgetPolicy()
    assert correct(guards, policy=limits) is None
    assert correct(guards, policy=limits) == Refusal(Reason.TURN, "rests after its last correction", 1.0)
    await asyncio.sleep(1)
    assert correct(guards, policy=limits) is None
    assert correct(guards, policy=limits) == Refusal(Reason.TURN, "rests after its last correction", 2.0)


async def test_edits_and_first_creations_pass_and_do_not_count(desk: Desk) -> None:
    guards = desk.guards()
    for _ in range(9):
        assert guards.may_act(WEB, EDIT, TWO) is None
        guards.acted(WEB, EDIT, TWO)
        assert guards.may_act(WEB, MISSING, TWO, is_new=True) is None
        guards.acted(WEB, MISSING, TWO, is_new=True)

    assert desk.recorder.heals == []
    assert await guards.flush()
    assert desk.writes == 0


async def test_an_edit_frees_what_is_held_and_gives_a_new_budget(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    guards = desk.guards()
    await spend(guards)
    correct(guards)
    await guards.flush()
    caplog.clear()

    with caplog.at_level(logging.INFO):
        guards.acted(WEB, EDIT, TWO)

    assert [record.message for record in caplog.records] == ["released"]
    assert desk.recorder.held == 0
    await guards.flush()
    assert desk.state["Spec"]["Labels"] == {}
    await spend(guards)


async def test_a_write_without_an_answer_counts_once_it_is_seen_to_be_applied(desk: Desk) -> None:
    guards = desk.guards()
    for _ in range(9):  # as managers without a quorum answer
        assert guards.may_act(WEB, LABELS, TWO) is None
        guards.acted(WEB, LABELS, TWO, is_sure=False)
    assert desk.recorder.heals == []

    for _ in range(2):
        guards.settled(WEB)
    assert desk.recorder.heals == [Reason.DRIFT]
    await asyncio.sleep(1)
    guards.acted(WEB, LABELS, TWO, is_sure=False)
    assert correct(guards) is None  # it was not applied; the next one was
    guards.settled(WEB)
    assert desk.recorder.heals == [Reason.DRIFT, Reason.DRIFT]


# How many at once


async def test_corrections_that_restart_tasks_are_bounded_across_services(desk: Desk) -> None:
    guards = desk.guards(max_changes=2)
    keys = [Key("shop", f"s{number}") for number in range(4)]
    for key in keys[:2]:
        assert guards.may_act(key, DRIFT, TWO) is None  # the place is taken before the write is sent

    assert guards.may_act(keys[2], DRIFT, TWO) == Refusal(Reason.TURN, "2 services are in change", 1.0)
    assert guards.may_act(keys[0], DRIFT, TWO) is None
    assert guards.may_act(keys[2], LABELS, TWO) is None
    assert guards.may_act(keys[3], MISSING, TWO) is None
    assert guards.may_act(keys[3], EDIT, TWO) is None
    await asyncio.sleep(3)
    assert guards.may_act(keys[2], DRIFT, TWO, moving=keys[:2]) is not None
    assert guards.may_act(keys[2], DRIFT, TWO, moving=keys[:1]) is None


async def test_edits_take_places_and_wait_for_none(desk: Desk) -> None:
    guards = desk.guards(max_changes=1)
    for key in (WEB, DB):
        assert guards.may_act(key, EDIT, TWO) is None
        guards.acted(key, EDIT, TWO)

    assert guards.may_act(Key("shop", "api"), DRIFT, TWO) is not None


# The brake


def sight(clock: FakeClock, *away: Cause) -> Sight:
    return Sight(clock.monotonic(), {"shop_web": Health.HEALTHY}, away=frozenset(away))


async def test_the_brake_holds_back_corrections_and_lets_edits_through(clock: FakeClock) -> None:
    guards = fake(clock)
    guards.look(lambda: sight(clock, Cause.PROMETHEUS))

    assert guards.may_act(WEB, DRIFT, TWO) == Refusal(Reason.BRAKE, "the brake is on: Prometheus away", 2.0)
    assert guards.may_act(WEB, LABELS, TWO) is not None
    assert guards.may_act(WEB, MISSING, TWO) is not None
    assert guards.may_act(WEB, EDIT, TWO) is None
    assert guards.may_act(WEB, MISSING, TWO, is_new=True) is None


async def test_without_a_registry_what_is_missing_comes_back_and_nothing_is_restarted(clock: FakeClock) -> None:
    guards = fake(clock)
    guards.look(lambda: sight(clock, Cause.REGISTRY))

    assert guards.may_act(WEB, MISSING, TWO) is None
    assert guards.may_act(WEB, LABELS, TWO) is None
    assert guards.may_act(WEB, DRIFT, TWO) is not None


async def test_the_brake_is_told_once_on_and_once_off(clock: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    recorder = Recorder()
    guards = Guards(FakeSwarm(), clock, recorder)
    with caplog.at_level(logging.INFO):
        for seconds in range(60):
            guards.look(lambda: sight(clock, *([Cause.PROMETHEUS] if seconds < 10 else [])))  # noqa: B023 - called at once
            clock.advance(1)

    assert [record.message for record in caplog.records] == ["brake on", "brake off"]
    assert caplog.records[1].__dict__["fields"] == {"seconds": 39.0, "worn_out": False, "was": "Prometheus away"}
    assert recorder.brakes == [True] * 39 + [False] * 21
    assert not guards.brake.is_on


async def test_the_swarm_is_looked_at_only_so_often(clock: FakeClock) -> None:
    guards, looks = fake(clock), list[float]()

    def look() -> Sight:
        looks.append(clock.now)
        return sight(clock)

    for _ in range(10):
        guards.look(look)
        clock.advance(0.125)

    assert looks == [1000.0, 1000.5, 1001.0]
