"""What of the guards' memory outlives the process, and how it is shared and written."""

from __future__ import annotations

import asyncio

import pytest

from controller.core.state import heal_stamps, held_targets, new_state
from controller.engine.guards import Refusal
from controller.engine.observer import full_snapshot
from controller.engine.pausing import set_paused
from controller.errors import EngineUnavailableError, OutOfSequenceError
from controller.model.plan import ObjectKind, Reason
from controller.model.policy import BudgetPolicy
from controller.model.status import Key
from controller.simulator.faults import Fault, Site
from controller.simulator.refusals import out_of_sequence
from tests.support.clock import FakeClock
from tests.support.fakes import FakeSwarm
from tests.unit.engine.desk import DB, LABELS, TWO, WEB, Desk, correct, fake, spend

pytestmark = pytest.mark.looptime


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
