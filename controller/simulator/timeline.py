"""Virtual time: a heap of timers that run only when somebody advances it."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable
from datetime import UTC, datetime

NANO = 1_000_000_000
DEFAULT_EPOCH_NS = 1_767_225_600 * NANO  # 2026-01-01T00:00:00Z


class Timer:
    """A scheduled call; `cancel` makes it a no-op."""

    __slots__ = ("callback", "due_ns")

    def __init__(self, due_ns: int, callback: Callable[[], None]) -> None:
        self.due_ns = due_ns
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        self.callback = None


class Timeline:
    """Nanoseconds since 1970 that stand still between calls of `advance`."""

    def __init__(self, *, epoch_ns: int = DEFAULT_EPOCH_NS) -> None:
        self.now_ns = epoch_ns
        self.on_schedule: Callable[[], None] | None = None  # told of every new timer
        self._heap: list[tuple[int, int, Timer]] = []
        self._order = itertools.count()

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Timer:
        timer = Timer(self.now_ns + round(seconds * NANO), callback)
        heapq.heappush(self._heap, (timer.due_ns, next(self._order), timer))
        if self.on_schedule is not None:
            self.on_schedule()
        return timer

    def advance(self, seconds: float) -> None:
        self.advance_to(self.now_ns + round(seconds * NANO))

    def advance_to(self, due_ns: int) -> None:
        """Run every timer due up to then, in order, those included that they schedule themselves."""
        while (first := self.next_due_ns()) is not None and first <= due_ns:
            timer = heapq.heappop(self._heap)[2]
            self.now_ns = max(self.now_ns, timer.due_ns)
            if timer.callback is not None:
                timer.callback()
        self.now_ns = max(self.now_ns, due_ns)

    def next_due_ns(self) -> int | None:
        """When the next live timer is due; None when nothing is scheduled."""
        while self._heap and self._heap[0][2].callback is None:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None


class LoopPump:
    """Ties a timeline to an event loop's clock, virtual (looptime) or real; `speed` seconds pass for one of the loop's."""

    def __init__(self, timeline: Timeline, loop: asyncio.AbstractEventLoop, *, speed: float = 1.0) -> None:
        self._timeline = timeline
        self._loop = loop
        self._speed = speed
        self._start_ns = timeline.now_ns
        self._start = loop.time()
        self._armed: tuple[int, asyncio.TimerHandle] | None = None
        self._running = False
        timeline.on_schedule = self._arm
        self._arm()

    def sync(self) -> None:
        """Bring the timeline up to the loop's present."""
        self._run_to(self._present_ns())

    def close(self) -> None:
        self._timeline.on_schedule = None
        if self._armed is not None:
            self._armed[1].cancel()
            self._armed = None

    def _run_to(self, due_ns: int) -> None:
        if self._running:
            return  # a timer's own effect asked again; the outer call finishes the work
        self._running = True
        try:
            self._timeline.advance_to(due_ns)
        finally:
            self._running = False
        self._arm()

    def _arm(self) -> None:
        due_ns = self._timeline.next_due_ns()
        if self._running or due_ns is None:
            return
        if self._armed is not None:
            if self._armed[0] <= due_ns:
                return
            self._armed[1].cancel()
        when = self._start + (due_ns - self._start_ns) / NANO / self._speed
        self._armed = (due_ns, self._loop.call_at(when, self._fire, due_ns))

    def _fire(self, due_ns: int) -> None:
        self._armed = None
        self._run_to(max(self._present_ns(), due_ns))  # a loop may fire a hair early

    def _present_ns(self) -> int:
        return self._start_ns + round((self._loop.time() - self._start) * self._speed * NANO)


def rfc3339(time_ns: int) -> str:
    """The engine's time stamps: nanoseconds without trailing zeros."""
    seconds, nanos = divmod(time_ns, NANO)
    text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    fraction = f".{nanos:09d}".rstrip("0").rstrip(".")
    return f"{text}{fraction}Z"
