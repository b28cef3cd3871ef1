"""The slow full pass behind every other source: whatever was missed is found here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from controller.engine.declarations import Declarations
from controller.engine.workqueue import WorkQueue

RESYNC_SECONDS = 30.0


async def resync(
    queue: WorkQueue,
    declarations: Declarations,
    *,
    seconds: float = RESYNC_SECONDS,
    jitter: Callable[[float], float] = lambda delay: delay,
) -> None:
    """Make every key due, again and again, until cancelled; one that failed keeps to its own backoff."""
    while True:
        await asyncio.sleep(jitter(seconds))
        for key in declarations.keys():  # noqa: SIM118 - a method of its own, not a mapping's
            if not queue.is_backing_off(key):
                queue.add(key, reason="resync")
