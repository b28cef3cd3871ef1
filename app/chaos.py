"""Chaos Mode: what a replica does to itself when it is told to. Orders stand on the board, so all of its processes follow them.

Requests meet hang, slow and errors in `install_chaos`; an `Agent` in each process, gunicorn's master included, does the rest.
Every order ends by itself, and what it took is given back.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping
from itertools import count
from mmap import PAGESIZE, mmap
from threading import Event, Thread
from typing import Protocol

from flask import Flask, request
from werkzeug.exceptions import InternalServerError

from app.errors import Unavailable
from app.replica import BOARD, Board, Fault, Order
from app.store.connection import Connection
from app.store.pool import Pool
from app.telemetry.metrics import CHAOS

TICK_SECONDS = 0.1
# How long a crash stands on the board, and after how much of it the processes end: the order's answer is to go out first.
CRASH_SECONDS, CRASH_AFTER = 2.0, 0.3
_EXIT_CODE = 70

_log = logging.getLogger("app.chaos")
# Where orders are given and watched; and what the engine, nginx and people ask: only a hang reaches these.
_SPARED = frozenset({"/chaos", "/metrics"})
_PROBES = frozenset({"/livez", "/readyz", "/health", "/logs"})


def install_chaos(app: Flask, *, board: Board = BOARD, sleep: Callable[[float], None] = time.sleep) -> None:
    """Let requests meet what is ordered."""
    turns = count(1)

    @app.before_request
    def disturb() -> None:
        if board.is_calm() or request.path in _SPARED:
            return
        while board.order(Fault.HANG):
            sleep(TICK_SECONDS / 2)
        if request.path in _PROBES:
            return
        turn = next(turns)
        if (slow := board.order(Fault.SLOW)) and _has_its_turn(turn, slow.share):
            sleep(min(slow.delay, board.left(slow)))
        if (errors := board.order(Fault.ERRORS)) and _has_its_turn(turn, errors.share):
            raise InternalServerError("Chaos Mode answers so.")


def _has_its_turn(turn: int, share: float) -> bool:
    """Evenly spread, so that of any hundred requests in a row a share of 0.1 meets ten."""
    return int(turn * share) > int((turn - 1) * share)


class Effect(Protocol):
    """What an order does to a process, apart from its requests."""

    def go_on(self, order: Order) -> None:
        """Called on each tick while the order stands."""

    def end(self) -> None:
        """Give everything back."""


class Leak:
    """Takes memory, over about a second."""

    def __init__(self) -> None:
        self._taken: list[mmap] = []

    def go_on(self, order: Order) -> None:
        piece = int(order.megabytes * 1024 * 1024 / 10)
        if len(self._taken) < 10:
            memory = mmap(-1, max(piece, 1))
            for at in range(0, len(memory), PAGESIZE):
                memory[at] = 1  # memory that nobody has written to is nobody's
            self._taken.append(memory)

    def end(self) -> None:
        while self._taken:
            self._taken.pop().close()


class Burn:
    """Keeps a core busy for `share` of the time, and with it the threads that answer requests: they take turns."""

    def __init__(self) -> None:
        self._ending = Event()
        self._thread: Thread | None = None

    def go_on(self, order: Order) -> None:
        if self._thread is None:
            self._ending = Event()
            self._thread = Thread(target=self._burn, args=(order.share, self._ending), name="chaos-cpu", daemon=True)
            self._thread.start()

    def end(self) -> None:
        self._ending.set()
        self._thread = None

    @staticmethod
    def _burn(share: float, ending: Event) -> None:
        while not ending.is_set():
            until = time.monotonic() + TICK_SECONDS * share
            while time.monotonic() < until:
                pass
            ending.wait(TICK_SECONDS * (1 - share))


class Exhaust:
    """Holds every connection of the pool that it can get."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._held: list[Connection] = []

    def go_on(self, order: Order) -> None:
        try:
            while len(self._held) < self._pool.size:
                self._held.append(self._pool.take())
        except Unavailable as error:
            _log.info("chaos waits for connections", extra={"fields": {"held": len(self._held), "reason": str(error)}})

    def end(self) -> None:
        while self._held:
            self._pool.give(self._held.pop())


class Crash:
    """Ends the process without a word to anybody."""

    def __init__(self, board: Board, leave: Callable[[int], None] = os._exit) -> None:
        self._board, self._leave = board, leave

    def go_on(self, order: Order) -> None:
        if self._board.left(order) < CRASH_SECONDS - CRASH_AFTER:
            _log.critical("chaos ends this process", extra={"fields": {"pid": os.getpid()}})
            self._leave(_EXIT_CODE)

    def end(self) -> None:
        pass


class Agent:
    """Looks at the board ten times a second and does what stands there to its process."""

    def __init__(self, effects: Mapping[Fault, Effect], *, board: Board = BOARD) -> None:
        self._effects, self._board = effects, board
        self._active: set[Fault] = set()

    def start(self) -> None:
        """From now on, in a thread that ends with the process."""
        Thread(target=self._run, name="chaos", daemon=True).start()

    def look(self) -> None:
        """One tick."""
        if self._board.is_calm() and not self._active:
            return
        orders = self._board.active()
        for fault in self._active - orders.keys():
            self._tell(fault, "chaos ended")
        for fault in orders.keys() - self._active:
            self._tell(fault, "chaos began")
        for fault, effect in self._effects.items():
            if fault in orders:
                effect.go_on(orders[fault])
            elif fault in self._active:
                effect.end()
        self._active = set(orders)

    def _tell(self, fault: Fault, event: str) -> None:
        CHAOS.labels(fault).set(event == "chaos began")
        _log.warning(event, extra={"fields": {"fault": fault, "pid": os.getpid()}})

    def _run(self) -> None:
        while True:
            self.look()
            time.sleep(TICK_SECONDS)


def worker_agent(pool: Pool, *, board: Board = BOARD) -> Agent:
    """For a process that answers requests."""
    effects: dict[Fault, Effect] = {
        Fault.CRASH: Crash(board),
        Fault.LEAK: Leak(),
        Fault.CPU: Burn(),
        Fault.EXHAUST_POOL: Exhaust(pool),
    }
    return Agent(effects, board=board)


def master_agent(*, board: Board = BOARD) -> Agent:
    """For gunicorn's master, with which the replica crashes: its workers alone would be made again."""
    return Agent({Fault.CRASH: Crash(board)}, board=board)
