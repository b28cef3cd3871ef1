"""What stands before every automatic write, and what of it outlives the process."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio

from controller.core.brake import Cause, Sight
from controller.core.state import STATE_NAME, heal_stamps, held_targets, new_state
from controller.engine.guards import Guards, Refusal
from controller.engine.observer import full_snapshot
from controller.engine.pausing import set_paused
from controller.errors import EngineUnavailableError, OutOfSequenceError
from controller.model.plan import Action, ObjectKind, Reason, Restart, Verb
from controller.model.policy import BudgetPolicy
from controller.model.spec import Json
from controller.model.status import Health, Key
from controller.simulator.engine import Simulator
from controller.simulator.faults import Fault, Site
from controller.simulator.inprocess import InProcessSwarm
from controller.simulator.refusals import out_of_sequence
from tests.support.clock import FakeClock
from tests.support.fakes import FakeRecorder, FakeSwarm, LoopClock

pytestmark = pytest.mark.looptime

WEB, DB = Key("shop", "web"), Key("shop", "db")
DRIFT = Action(Verb.UPDATE, ObjectKind.SERVICE, "shop_web", Reason.DRIFT, restart=Restart.ROLLING)
LABELS = replace(DRIFT, restart=Restart.NONE)
MISSING = Action(Verb.CREATE, ObjectKind.SERVICE, "shop_web", Reason.MISSING, restart=Restart.START)
EDIT = replace(DRIFT, reason=Reason.EDITED)
TWO = BudgetPolicy(2, timedelta(minutes=10))


class Recorder(FakeRecorder):
    """Also keeps what it is told of guards."""

    def __init__(self) -> None:
        super().__init__()
        self.brakes: list[bool] = []
        self.held = 0
        self.heals: list[Reason] = []

    def brake(self, *, on: bool) -> None:
        self.brakes.append(on)

    def held_services(self, count: int) -> None:
        self.held = count

    def healed(self, reason: Reason) -> None:
        self.heals.append(reason)


class Desk:
    """A simulated Swarm and guards on it."""

    def __init__(self, sim: Simulator) -> None:
        self.sim, self.swarm, self.clock, self.recorder = sim, InProcessSwarm(sim), LoopClock(), Recorder()

    def guards(self, **parts: Any) -> Guards:
        """As a fresh process has them."""
        return Guards(self.swarm, self.clock, self.recorder, **parts)

    async def seen(self, guards: Guards) -> Guards:
        guards.observe(await full_snapshot(self.swarm))
        return guards

    @property
    def state(self) -> Json:
        return self.sim.inspect(ObjectKind.CONFIG, STATE_NAME)

    @property
    def writes(self) -> int:
        return len(self.sim.gate.writes())


@pytest_asyncio.fixture
async def desk() -> AsyncIterator[Desk]:
    desk = Desk(Simulator())
    yield desk
    desk.swarm.close()


def fake(clock: FakeClock, swarm: FakeSwarm | None = None) -> Guards:
    return Guards(swarm or FakeSwarm(), clock, Recorder())


def correct(guards: Guards, action: Action = LABELS, *, key: Key = WEB, policy: BudgetPolicy = TWO) -> Refusal | None:
    """Act if it may be done."""
    refusal = guards.may_act(key, action, policy)
    if refusal is None:
        guards.acted(key, action, policy)
    return refusal


async def spend(guards: Guards, *, key: Key = WEB) -> None:
    for _ in range(TWO.actions):
        assert correct(guards, key=key) is None
        await asyncio.sleep(10)


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


# What outlives the process


async def test_counters_are_written_together_after_the_actions_and_never_again_at_rest(desk: Desk) -> None:
    guards = desk.guards()
    work = asyncio.create_task(guards.run())
    for _ in range(2):
        await asyncio.sleep(10)
        assert desk.writes == 0
        for number in range(20):
            assert correct(guards, key=Key("shop", f"s{number}")) is None
    await asyncio.sleep(1)
    assert desk.writes == 1
    await asyncio.sleep(3600)
    assert desk.writes == 1
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)

    assert [len(stamps) for stamps in heal_stamps(desk.state).values()] == [2] * 20


async def test_one_correction_in_a_window_is_worth_no_write(desk: Desk) -> None:
    guards = desk.guards()
    for _ in range(3):
        assert correct(guards) is None
        assert await guards.flush()
        await asyncio.sleep(601)
    assert desk.writes == 0

    assert correct(guards, policy=BudgetPolicy(1, TWO.per)) is None  # here it is all there is
    assert await guards.flush()
    assert desk.writes == 1


async def test_a_fresh_process_goes_on_with_what_was_spent_and_held(desk: Desk) -> None:
    before = desk.guards()
    await spend(before)
    assert correct(before, key=DB) is None
    correct(before)
    await before.flush()
    await asyncio.sleep(100)

    after = await desk.seen(desk.guards())

    held = correct(after)
    assert held is not None
    assert "held since 2026-01-01T00:00:20" in held.message
    assert correct(after, key=DB) is None  # the second of two
    await asyncio.sleep(10)
    spent = correct(after, key=DB)
    assert spent is not None
    assert spent.reason is Reason.HELD
    assert held_targets(await full_snapshot(desk.swarm)).keys() == {"shop/web"}
    await after.flush()
    assert held_targets(await full_snapshot(desk.swarm)).keys() == {"shop/web", "shop/db"}


async def test_what_a_process_did_not_write_before_it_died_is_all_that_is_lost(desk: Desk) -> None:
    before, three = desk.guards(), BudgetPolicy(3, TWO.per)
    await spend(before)
    await before.flush()
    assert correct(before, policy=three) is None  # and dies

    after = await desk.seen(desk.guards())
    assert correct(after, policy=three) is None
    await asyncio.sleep(10)
    refusal = correct(after, policy=three)
    assert refusal is not None
    assert refusal.reason is Reason.HELD


async def test_a_process_that_is_stopped_while_it_writes_can_still_write_it(desk: Desk) -> None:
    guards = desk.guards()
    await spend(guards)
    desk.sim.gate.hook = lambda site: Fault(delay=5.0)
    work = asyncio.create_task(guards.run())
    await asyncio.sleep(1)
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)
    desk.sim.gate.hook = None

    assert await guards.flush()
    assert len(heal_stamps(desk.state)["shop/web"]) == 2


@pytest.mark.parametrize("jump", [-86_400.0, 86_400.0])
async def test_a_jump_of_the_wall_clock_frees_and_holds_nothing_in_a_running_process(jump: float) -> None:
    clock, swarm = FakeClock(), FakeSwarm()
    guards = fake(clock, swarm)
    assert correct(guards) is None
    guards.hold(DB, "so that something is written")
    await guards.flush()
    swarm.objects[ObjectKind.CONFIG] = [{"ID": "s", "Version": {"Index": 5}, "Spec": swarm.bodies[0]}]
    guards.observe(await full_snapshot(swarm))
    clock.epoch += jump
    clock.now += 10
    swarm.objects[ObjectKind.CONFIG] = [{"ID": "s", "Version": {"Index": 6}, "Spec": swarm.bodies[0]}]
    guards.observe(await full_snapshot(swarm))

    assert correct(guards) is None
    clock.now += 10
    assert correct(guards) is not None  # two of two, whatever the wall clock says
    clock.now += 600
    assert guards.release(WEB)
    assert correct(guards) is None


async def test_stamps_from_the_future_happened_now_and_nonsense_is_no_stamp(desk: Desk) -> None:
    spec = new_state(b"k")
    spec["Labels"] = {"prodbreaker.heals.shop/web": "1e99 9999999999.0 soon nan", "prodbreaker.heals.shop/db": ""}
    await desk.swarm.create(ObjectKind.CONFIG, spec)
    guards, three = await desk.seen(desk.guards()), BudgetPolicy(3, TWO.per)

    assert correct(guards, policy=three) == Refusal(Reason.TURN, "rests after its last correction", 2.0)  # it counts two
    await asyncio.sleep(601)
    assert correct(guards) is None
    assert correct(guards, key=DB) is None


async def test_two_controllers_count_each_others_corrections(desk: Desk) -> None:
    one, two, four = desk.guards(), desk.guards(), BudgetPolicy(4, TWO.per)
    for guards in (one, two):
        await spend(guards)
    await asyncio.gather(one.flush(), two.flush())

    for guards in (one, two):
        refusal = correct(await desk.seen(guards), policy=four)
        assert refusal is not None
        assert refusal.reason is Reason.HELD


async def test_corrections_made_while_the_state_is_written_are_written_next(desk: Desk) -> None:
    guards = desk.guards()
    await spend(guards)
    desk.sim.gate.hook = lambda site: Fault(delay=30.0) if site.operation == "create" else None
    flush = asyncio.create_task(guards.flush())
    await asyncio.sleep(0.5)
    await spend(guards, key=DB)
    assert await flush
    assert heal_stamps(desk.state).keys() == {"shop/web"}
    assert await guards.flush()
    assert heal_stamps(desk.state).keys() == {"shop/web", "shop/db"}


async def test_an_old_list_does_not_undo_what_was_just_written(desk: Desk) -> None:
    guards = desk.guards()
    await set_paused(desk.swarm, desk.clock, "shop", paused=True)
    old = await full_snapshot(desk.swarm)
    await spend(guards)
    correct(guards)
    await guards.flush()

    assert guards.held(old).keys() == {"shop/web"}
    assert guards.held(await full_snapshot(desk.swarm)).keys() == {"shop/web"}


async def test_a_label_of_another_writer_does_not_hide_what_is_not_written_yet(desk: Desk) -> None:
    guards = desk.guards()
    await spend(guards)
    correct(guards)
    await set_paused(desk.swarm, desk.clock, "shop", paused=True)

    assert guards.held(await full_snapshot(desk.swarm)).keys() == {"shop/web"}
    await guards.flush()
    assert held_targets(await full_snapshot(desk.swarm)).keys() == {"shop/web"}


async def test_what_was_freed_is_not_taken_up_again_before_that_is_written(desk: Desk) -> None:
    guards = desk.guards()
    await spend(guards)
    correct(guards)
    await guards.flush()
    guards.release(WEB)

    assert guards.held(await full_snapshot(desk.swarm)) == {}
    assert correct(guards) is None
    await guards.flush()
    assert [len(stamps) for stamps in heal_stamps(desk.state).values()] == [1]


@pytest.mark.parametrize("target", ["shop/web", "shop"])
async def test_resume_frees_what_is_held_and_says_why(desk: Desk, target: str) -> None:
    guards = desk.guards()
    await spend(guards)
    correct(guards)
    await guards.flush()

    told = await set_paused(desk.swarm, desk.clock, target, paused=False)

    why = "2026-01-01T00:00:20+00:00 2 corrections in 600 s did not last"
    assert told == (why if target == "shop/web" else f"shop/web {why}")
    assert await set_paused(desk.swarm, desk.clock, target, paused=False) == ""
    await desk.seen(guards)
    assert desk.recorder.held == 0
    await spend(guards)


async def test_a_refused_write_of_the_state_is_tried_again(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    guards = desk.guards()
    desk.sim.take_away()
    await spend(guards)
    work = asyncio.create_task(guards.run())
    await asyncio.sleep(3)
    desk.sim.bring_back()
    await asyncio.sleep(5)
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)

    assert [record.message for record in caplog.records] == ["state not written"]
    assert heal_stamps(desk.state).keys() == {"shop/web"}


async def test_a_stale_version_means_to_read_again(desk: Desk) -> None:
    guards = desk.guards()
    await set_paused(desk.swarm, desk.clock, "shop", paused=True)

    def stale_once(site: Site) -> Fault | None:
        return Fault(error=out_of_sequence()) if (site.operation, site.nth) == ("update", 1) else None

    desk.sim.gate.hook = stale_once
    await spend(guards)
    assert await guards.flush()
    assert heal_stamps(desk.state).keys() == {"shop/web"}


async def test_writing_what_the_labels_say_already_writes_nothing(clock: FakeClock) -> None:
    swarm = FakeSwarm()
    guards = fake(clock, swarm)
    assert guards.hold(WEB, "nothing to go back to")
    assert not guards.hold(WEB, "again")
    await guards.flush()
    (body,) = swarm.bodies
    swarm.objects[ObjectKind.CONFIG] = [{"ID": "s", "Version": {"Index": 5}, "Spec": body}]
    other = fake(clock, swarm)
    other.hold(WEB, "nothing to go back to")

    assert await other.flush()
    assert len(swarm.bodies) == 1


async def test_stamps_that_no_longer_count_are_cleaned_up_with_the_next_write(desk: Desk) -> None:
    guards = desk.guards()
    await spend(guards)
    await guards.flush()
    await asyncio.sleep(601)
    await spend(guards, key=DB)
    await guards.flush()

    assert heal_stamps(desk.state).keys() == {"shop/db"}


async def test_corrections_of_one_moment_have_stamps_of_their_own(clock: FakeClock) -> None:
    swarm = FakeSwarm()
    guards = fake(clock, swarm)
    for _ in range(3):
        guards.acted(WEB, LABELS, TWO)
    await guards.flush()

    assert len(heal_stamps({"Spec": swarm.bodies[0]})["shop/web"]) == 3


@pytest.mark.parametrize("error", [EngineUnavailableError("gone"), OutOfSequenceError("stale")])
async def test_what_could_not_be_written_is_kept(clock: FakeClock, error: Exception) -> None:
    swarm = FakeSwarm(answers={"create": error})
    guards = fake(clock, swarm)
    guards.hold(WEB, "why")
    assert not await guards.flush()
    swarm.answers = {}
    assert await guards.flush()
    assert "prodbreaker.held.shop/web" in swarm.bodies[-1]["Labels"]


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
