"""What the processes of one replica know together: a page of memory that gunicorn's master shares with its workers.

It is made when this module is imported, so the master imports it before it forks. Reading it costs a request next to nothing.
Moments are CLOCK_MONOTONIC, which all processes of a host share.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable
from enum import StrEnum
from mmap import PAGESIZE, mmap
from typing import NamedTuple


class Fault(StrEnum):
    """What Chaos Mode can do to a replica."""

    CRASH = "crash"
    HANG = "hang"
    LEAK = "leak"
    CPU = "cpu"
    SLOW = "slow"
    ERRORS = "errors"
    UNREADY = "unready"
    EXHAUST_POOL = "exhaust_pool"


class Order(NamedTuple):
    """How a fault goes: until when, and its measures. A fault reads the measures that it has a use for."""

    until: float
    share: float = 1.0
    delay: float = 1.0  # seconds
    megabytes: float = 64.0  # of each process


_PLACES = {fault: 64 + 32 * number for number, fault in enumerate(Fault)}
_ORDER = struct.Struct("4d")
_MOMENT = struct.Struct("d")
_DRAINING, _LATEST = 0, 8


class Board:
    """One page: whether the replica drains, and which faults it was ordered to have until when."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._page = mmap(-1, PAGESIZE)
        self._clock = clock

    @property
    def draining(self) -> bool:
        """Whether the replica was told to end and only answers what is under way."""
        return self._page[_DRAINING] != 0

    @draining.setter
    def draining(self, value: bool) -> None:
        self._page[_DRAINING] = value

    def is_calm(self) -> bool:
        """Whether no fault is active; the cheap question before all others."""
        return bool(_MOMENT.unpack_from(self._page, _LATEST)[0] <= self._clock())

    def start(self, fault: Fault, order: Order) -> None:
        """Begin a fault, or go on with other measures."""
        _ORDER.pack_into(self._page, _PLACES[fault], *order)
        self._sum_up()

    def end(self) -> None:
        """End every fault."""
        for place in _PLACES.values():
            _ORDER.pack_into(self._page, place, 0, 0, 0, 0)
        self._sum_up()

    def order(self, fault: Fault) -> Order | None:
        """The order for a fault, None if it is not active."""
        order = Order(*_ORDER.unpack_from(self._page, _PLACES[fault]))
        return order if order.until > self._clock() else None

    def active(self) -> dict[Fault, Order]:
        """All that is active."""
        return {fault: order for fault in Fault if (order := self.order(fault))}

    def left(self, order: Order) -> float:
        """Seconds until an order ends by itself."""
        return max(order.until - self._clock(), 0.0)

    def _sum_up(self) -> None:
        latest = max((order.until for order in self.active().values()), default=0.0)
        _MOMENT.pack_into(self._page, _LATEST, latest)


BOARD = Board()
