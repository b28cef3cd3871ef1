from __future__ import annotations

import asyncio

import pytest

from controller.simulator.timeline import NANO, LoopPump, Timeline, rfc3339


def test_timers_run_in_the_order_of_their_time_and_then_of_their_making() -> None:
    timeline, seen = Timeline(epoch_ns=0), list[str]()
    timeline.call_later(2, lambda: seen.append("late"))
    timeline.call_later(1, lambda: seen.append("first"))
    timeline.call_later(1, lambda: seen.append("second"))
    timeline.advance(1)
    assert (seen, timeline.now_ns) == (["first", "second"], NANO)
    timeline.advance(1)
    assert seen[-1] == "late"


def test_a_timer_set_by_a_timer_runs_within_the_same_advance() -> None:
    timeline, seen = Timeline(epoch_ns=0), list[int]()

    def set_another() -> None:
        timeline.call_later(1, lambda: seen.append(timeline.now_ns))

    timeline.call_later(1, set_another)
    timeline.advance(5)
    assert (seen, timeline.now_ns) == ([2 * NANO], 5 * NANO)


def test_a_cancelled_timer_neither_runs_nor_counts_as_due() -> None:
    timeline = Timeline(epoch_ns=0)
    timer = timeline.call_later(1, lambda: pytest.fail("cancelled"))
    timer.cancel()
    assert timeline.next_due_ns() is None
    timeline.advance(2)


@pytest.mark.looptime
@pytest.mark.parametrize("speed", [1.0, 10.0])
async def test_a_pump_runs_timers_with_the_loops_clock(speed: float) -> None:
    timeline, seen = Timeline(epoch_ns=0), list[float]()
    pump = LoopPump(timeline, asyncio.get_running_loop(), speed=speed)
    for seconds in (40, 20):
        timeline.call_later(seconds, lambda: seen.append(timeline.now_ns / NANO))
    await asyncio.sleep(30 / speed)
    assert seen == [20]
    pump.sync()
    assert timeline.now_ns / NANO == pytest.approx(30, abs=0.01)
    await asyncio.sleep(30 / speed)
    assert seen == [20, 40]
    timeline.call_later(1, lambda: pytest.fail("closed"))
    pump.close()
    await asyncio.sleep(5)


@pytest.mark.looptime
async def test_a_timer_that_asks_for_the_time_does_not_run_the_others_twice() -> None:
    timeline, seen = Timeline(epoch_ns=0), list[str]()
    pump = LoopPump(timeline, asyncio.get_running_loop())

    def ask() -> None:
        seen.append("asked")
        pump.sync()

    timeline.call_later(1, ask)
    timeline.call_later(1, lambda: seen.append("other"))
    await asyncio.sleep(2)
    pump.close()
    assert seen == ["asked", "other"]


@pytest.mark.parametrize(
    ("time_ns", "text"),
    [(0, "1970-01-01T00:00:00Z"), (1_500_000_000, "1970-01-01T00:00:01.5Z"), (1, "1970-01-01T00:00:00.000000001Z")],
)
def test_time_stamps_have_no_trailing_zeros(time_ns: int, text: str) -> None:
    assert rfc3339(time_ns) == text
