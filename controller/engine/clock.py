"""The real clock."""

from __future__ import annotations

import time


class SystemClock:
    """Implements `controller.engine.ports.Clock`."""

    def monotonic(self) -> float:
        return time.monotonic()

    def wall(self) -> float:
        return time.time()


class LeaseClock(SystemClock):
    """Goes on while the machine is suspended, when `time.monotonic` stands still and a lease runs out."""

    def monotonic(self) -> float:
        return time.clock_gettime(time.CLOCK_BOOTTIME)
