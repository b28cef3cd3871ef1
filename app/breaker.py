"""A circuit breaker: what keeps failing is left alone for a while, then tried once."""

from __future__ import annotations

import time
from collections.abc import Callable
from enum import StrEnum
from threading import Lock


class State(StrEnum):
    """Closed lets everything through, open nothing, half-open one trial."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


class Breaker:
    """Opens after `threshold` failures in a row; after `pause` seconds it lets one trial through, whose outcome decides.

    A trial whose outcome nobody reports within another `pause` counts as failed. Safe to share between threads.
    """

    def __init__(
        self, *, threshold: int, pause: float, clock: Callable[[], float] = time.monotonic,
        changed: Callable[[bool], None] = lambda _: None,
    ) -> None:  # fmt: skip
        """`changed` is told whenever it opens (True) or closes."""
        self._threshold, self._pause, self._clock, self._changed = threshold, pause, clock, changed
        self._failures = 0
        self._state = State.CLOSED
        self._since = clock()
        self._lock = Lock()

    @property
    def state(self) -> State:
        return self._state

    def allows(self) -> bool:
        """Whether a call may be made now. Who gets True reports `succeeded` or `failed`."""
        with self._lock:
            if self._state is State.CLOSED:
                return True
            if self._clock() - self._since < self._pause:
                return False
            self._state, self._since = State.HALF_OPEN, self._clock()
            return True

    def succeeded(self) -> None:
        if not self._failures:  # the usual case, without the lock
            return
        with self._lock:
            self._failures = 0
            self._state = State.CLOSED
            self._changed(False)

    def failed(self) -> None:
        with self._lock:
            self._failures += 1
            if self._state is State.HALF_OPEN or self._failures >= self._threshold:
                if self._state is State.CLOSED:
                    self._changed(True)
                self._state, self._since = State.OPEN, self._clock()
