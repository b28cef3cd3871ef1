"""A queue of keys, shaped after client-go's: a key that waits is held once, and never two workers have the same key.

Facts never travel through it. A key added while it is in work becomes due again when that work is done.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from controller.model.status import Key


@dataclass(frozen=True, slots=True)
class Due:
    """A key to reconcile, why, and since when: what is observed for it must be no older."""

    key: Key
    reason: str
    since: float  # loop time, seconds
    happened: float | None = None  # when the first of the changes that made it due came about, by the engine's wall clock


class WorkQueue:
    """Belongs to one event loop. `jitter` turns a delay into the one that is really used."""

    def __init__(
        self, *, base_seconds: float = 0.2, cap_seconds: float = 300.0, jitter: Callable[[float], float] = lambda delay: delay
    ) -> None:
        self._base, self._cap, self._jitter = base_seconds, cap_seconds, jitter
        self._ready: deque[Key] = deque()
        self._dirty: dict[Key, Due] = {}
        self._working: set[Key] = set()
        self._timers: dict[Key, asyncio.TimerHandle] = {}
        self._failures: dict[Key, int] = {}
        self._wakeup = asyncio.Event()
        self._closed = False

    def __len__(self) -> int:
        """Keys that wait to be worked on; delayed ones are not due and do not count."""
        return len(self._dirty)

    @property
    def is_idle(self) -> bool:
        return not self._dirty and not self._working

    def add(self, key: Key, *, reason: str, happened: float | None = None) -> None:
        """Make a key due now. The first reason and the first `happened` are kept, the newest `since` counts."""
        if self._closed:
            return
        timer = self._timers.pop(key, None)
        if timer:
            timer.cancel()
        now = asyncio.get_running_loop().time()
        waiting = self._dirty.get(key)
        if waiting is not None:
            reason, happened = waiting.reason, happened if waiting.happened is None else waiting.happened
        self._dirty[key] = Due(key, reason, now, happened)
        if waiting is None and key not in self._working:
            self._ready.append(key)
            self._wakeup.set()

    def add_after(self, key: Key, *, seconds: float, reason: str) -> None:
        """Make a key due later, unless it becomes due sooner by itself."""
        loop = asyncio.get_running_loop()
        earlier = self._timers.get(key)
        if self._closed or key in self._dirty or (earlier and earlier.when() <= loop.time() + seconds):
            return
        if earlier:
            earlier.cancel()
        self._timers[key] = loop.call_later(seconds, self._fire, key, reason)

    def retry(self, key: Key, *, reason: str) -> float:
        """Make a key due after its own backoff, doubled with each retry since `forget`; returns the delay in seconds."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        delay = self._jitter(min(self._cap, self._base * 2.0 ** min(failures, 30)))
        self.add_after(key, seconds=delay, reason=reason)
        return delay

    def is_backing_off(self, key: Key) -> bool:
        """Whether the key failed and waits for its next attempt."""
        return key in self._timers and key in self._failures

    def forget(self, key: Key) -> None:
        """The key is well again: its next failure starts with the shortest delay."""
        self._failures.pop(key, None)

    async def get(self) -> Due | None:
        """The next key, which the caller must give back with `done`; None once the queue is closed."""
        while not self._ready:
            if self._closed:
                return None
            self._wakeup.clear()
            await self._wakeup.wait()
        key = self._ready.popleft()
        self._working.add(key)
        return self._dirty.pop(key)

    def done(self, key: Key) -> None:
        self._working.discard(key)
        if key in self._dirty:
            self._ready.append(key)
            self._wakeup.set()

    def close(self) -> None:
        """Take nothing more and hand out nothing more; keys in work may still be given back."""
        self._closed = True
        self._ready.clear()
        self._dirty.clear()
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._wakeup.set()

    def _fire(self, key: Key, reason: str) -> None:
        del self._timers[key]
        self.add(key, reason=reason)
