"""A controller as a process on the simulator: it starts, ends in order, dies, freezes, and its line to the engine fails.

What is on its way to the engine arrives, whether or not anybody still waits for the answer.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from controller.core.lease import LEASE_NAME
from controller.engine.declarations import Declarations
from controller.engine.leader import Leader
from controller.engine.loop import Loop, run_workers
from controller.engine.observer import Observer
from controller.engine.ports import Signals
from controller.engine.reconciler import Reconciler
from controller.engine.workqueue import WorkQueue
from controller.errors import EngineUnavailableError, JournalError
from controller.model.plan import ObjectKind
from controller.model.spec import DesiredStack
from controller.simulator.faults import WRITES
from controller.simulator.inprocess import InProcessSwarm
from controller.simulator.timeline import LoopPump
from controller.sources.docker_events import DockerEvents
from controller.sources.resync import resync
from tests.machines.ledger import CALL, RecordedSwarm, Sent
from tests.support.fakes import FakeJournal, FakeRecorder, LoopClock
from tests.support.rig import CALL_SECONDS, make_world

T = TypeVar("T")
LEASE_SECONDS = 10.0
_WORKERS = 3
_DRAIN_SECONDS = 8.0


class Wire:
    """What carries a process's calls, and those of its election, to the engine and back."""

    def __init__(self, who: str) -> None:
        self.who = who
        self.is_cut = False  # nothing arrives
        self.is_deaf = False  # everything arrives, no answer comes back
        self.before_write: Callable[[], None] = lambda: None
        self.moving = asyncio.Event()
        self.moving.set()
        self._under_way: set[asyncio.Task[Any]] = set()

    def carry(self, call: Callable[[], Any]) -> asyncio.Task[Any]:
        task = asyncio.create_task(call())
        self._under_way.add(task)
        task.add_done_callback(self._arrived)
        return task

    async def drop_all(self) -> None:
        await _end(tuple(self._under_way))

    def _arrived(self, task: asyncio.Task[Any]) -> None:
        self._under_way.discard(task)
        if not task.cancelled():
            task.exception()  # perhaps nobody waits for it any more


class Line(InProcessSwarm):
    """The engine's API over a wire. A frozen process neither sends nor hears."""

    def __init__(self, swarm: RecordedSwarm, wire: Wire, pump: LoopPump, *, may_write: Callable[[], bool]) -> None:
        super().__init__(swarm, may_write=may_write)
        self._wire = wire
        self._pump = pump

    def close(self) -> None:
        """The pump is everybody's."""

    async def _call(self, operation: str, target: str, effect: Callable[[], T], kind: ObjectKind | None = None) -> T:
        wire = self._wire
        if operation in WRITES and target != f"config/{LEASE_NAME}":
            wire.before_write()
        await wire.moving.wait()
        if wire.is_cut:
            await asyncio.sleep(CALL_SECONDS)
            raise EngineUnavailableError("cut", operation=operation)

        async def send() -> T:
            CALL.set(Sent(wire.who, self.simulator.timeline.now_ns / 1e9))
            return await super(Line, self)._call(operation, target, effect, kind)

        sent = wire.carry(send)
        await asyncio.wait([sent])
        await wire.moving.wait()
        if wire.is_deaf or sent.cancelled():
            raise EngineUnavailableError("no answer", operation=operation)
        answer: T = sent.result()
        return answer


class Process:
    """One controller; `start` it on a running loop. With `has_lease` it acts only while it leads."""

    def __init__(
        self,
        name: str,
        swarm: RecordedSwarm,
        pump: LoopPump,
        stack: DesiredStack,
        *,
        journal: FakeJournal,
        signals: Signals,
        has_lease: bool,
    ) -> None:
        self.name, self.journal = name, journal
        self.wire = Wire(name)
        self.recorder, clock = FakeRecorder(), LoopClock()
        self.leader: Leader | None = None
        if has_lease:
            unfenced = Line(swarm, self.wire, pump, may_write=lambda: True)
            self.leader = Leader(unfenced, clock, self.recorder, holder=name, seconds=LEASE_SECONDS)
            self.leader.on_change = self._follow
        self.line = Line(swarm, self.wire, pump, may_write=self.may_write)
        self.declarations, self.queue = Declarations(), WorkQueue()
        self.observer = Observer(self.line)
        self.world = make_world(
            self.line, self.declarations, self.observer, journal, self.recorder, signals=signals, leads=self.may_write
        )
        self.loop = Loop(self.queue, Reconciler(self.world), self.observer, self.recorder)
        self.events = DockerEvents(self.line, self.queue, self.declarations, self.observer, self.recorder, clock)
        self.whole_since = swarm.now  # when it began, or was last frozen or cut off
        self.stalls: list[float] = []  # for how many seconds it freezes right before its next writes
        self.wire.before_write = self._stall
        self._swarm = swarm
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self.declarations.accept(stack)

    @property
    def runs(self) -> bool:
        return bool(self._tasks)

    @property
    def is_well(self) -> bool:
        return self.runs and self.wire.moving.is_set() and not self.wire.is_cut and not self.wire.is_deaf

    def may_write(self) -> bool:
        return self.leader is None or self.leader.may_write()

    async def start(self) -> None:
        with contextlib.suppress(JournalError):
            await self.world.memory.load()
            await self.world.incidents.load()
        stacks = self.declarations.stacks.values()
        self.world.incidents.retain([service.name for stack in stacks for service in stack.services.values()])
        parts = {
            "events": self.events.run(),
            "resync": resync(self.queue, self.declarations),
            "guards": self.world.guards.run(),
            "workers": run_workers(self.loop, _WORKERS),
        }
        if self.leader is not None:
            parts["lease"] = self.leader.run()
        self._tasks = {name: asyncio.create_task(part, name=f"{self.name} {name}") for name, part in parts.items()}

    def declare(self, stack: DesiredStack) -> None:
        if self.declarations.accept(stack):
            for key in self.declarations.keys(stack.name):
                self.queue.add(key, reason="manifest edited")

    def surprises(self) -> list[str]:
        """Parts that should never end and did."""
        return [f"{task.get_name()}: {task}" for task in self._tasks.values() if task.done()]

    async def kill(self) -> None:
        """As kill -9 does it."""
        await _end(self._tasks.values())
        self._tasks = {}
        if self.leader is not None:
            self.leader.on_change = lambda leads: None

    async def stop(self) -> None:
        """As SIGTERM does it."""
        tasks = dict(self._tasks)
        await _end([tasks[name] for name in ("events", "resync", "guards")])
        self.queue.close()
        await asyncio.wait([tasks["workers"]], timeout=_DRAIN_SECONDS)
        await _end([tasks["workers"]])
        await self.world.guards.flush()
        with contextlib.suppress(JournalError):
            await self.world.memory.save()
            await self.world.incidents.save()
        if self.leader is not None:
            await _end([tasks["lease"]])
            await self.leader.release()
        self._tasks = {}

    def _stall(self) -> None:
        if self.stalls and self.wire.moving.is_set():
            self.wire.moving.clear()
            asyncio.get_running_loop().call_later(self.stalls.pop(), self._go_on)

    def _go_on(self) -> None:
        self.wire.moving.set()
        self.whole_since = self._swarm.now

    def _follow(self, leads: bool) -> None:
        if leads:
            self.observer.forget_all()
            for key in self.declarations.keys():  # noqa: SIM118 - a method of its own, not a mapping's
                self.queue.add(key, reason="leads now")


async def _end(tasks: Iterable[asyncio.Task[Any]]) -> None:
    ending = tuple(tasks)
    for task in ending:
        task.cancel()
    await asyncio.gather(*ending, return_exceptions=True)
