"""The ground that a state machine plays on: a Swarm, controllers on it, what is declared, and the ways to break each of them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeVar

from controller.engine import by_hand
from controller.engine.memory import Memory
from controller.engine.pausing import set_paused
from controller.errors import ProdBreakerError, SignalsUnavailableError
from controller.model.plan import ObjectKind
from controller.model.spec import Json
from controller.simulator.faults import Fault, Site
from controller.simulator.inprocess import InProcessSwarm
from controller.simulator.records import Service
from controller.simulator.refusals import RefusalError, UnreachableError
from controller.simulator.timeline import LoopPump
from tests.machines.laws import Laws
from tests.machines.ledger import CALL, RecordedSwarm
from tests.machines.loop import VirtualLoop
from tests.machines.process import Process
from tests.machines.scenery import IMAGES, Want, Wishes
from tests.support.fakes import FakeJournal, LoopClock
from tests.support.rig import CALL_SECONDS, OPTIONS
from tests.support.specs import STACK

T = TypeVar("T")

LOST_QUORUM = RefusalError(500, "rpc error: code = Unknown desc = The swarm does not have a leader.")
OUT_OF_SEQUENCE = RefusalError(500, "rpc error: code = Unknown desc = update out of sequence")
WRITE_FAULTS: Mapping[str, Fault] = {
    "500 before": Fault(error=LOST_QUORUM, delay=CALL_SECONDS),
    "500 after": Fault(error=LOST_QUORUM, applied=True, delay=CALL_SECONDS),
    "out of sequence": Fault(error=OUT_OF_SEQUENCE, delay=CALL_SECONDS),
    "reset before": Fault(error=UnreachableError("reset"), delay=CALL_SECONDS),
    "timeout after": Fault(error=UnreachableError("timed out"), applied=True, delay=20.0),
    "slow": Fault(delay=4.0),
}


@dataclass
class Measurements:
    """Implements Signals: says that something is wrong with a service while it is told so, or while it has an image that is."""

    swarm: RecordedSwarm
    is_bad: bool = False
    is_away: bool = False

    async def holds(self, query: str) -> bool:
        return query.split()[0] in await self._noisy()

    async def firing(self) -> Sequence[Mapping[str, str]]:
        return [{"alertname": "Errors", "service": name} for name in await self._noisy()]

    async def active(self) -> Sequence[Mapping[str, str]]:
        return await self.firing()

    async def _noisy(self) -> list[str]:
        await asyncio.sleep(CALL_SECONDS)
        if self.is_away:
            raise SignalsUnavailableError("no answer")
        return [item.name for item in self.swarm.store.services.rows.values() if self.is_bad or item.image == "noisy:1"]


@dataclass
class Ground:
    nodes: int
    controllers: int
    has_lease: bool
    wishes: Wishes
    loop: VirtualLoop = field(default_factory=VirtualLoop)
    processes: list[Process] = field(default_factory=list)
    write_faults: list[Fault] = field(default_factory=list)  # of the next writes
    list_faults: list[Fault] = field(default_factory=list)  # of the next lists
    stale_lists: list[list[Json]] = field(default_factory=list)  # that the next lists of services answer with
    races: list[Callable[[], None]] = field(default_factory=list)  # between the next writes' sending and their arrival
    started: int = 0
    dead: list[Process] = field(default_factory=list)
    paused: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.swarm = RecordedSwarm(nodes=self.nodes)
        self.swarm.images.update(IMAGES)
        self.swarm.gate.hook = self._hook
        self.signals = Measurements(self.swarm)
        self.laws = Laws(self.swarm, self.processes)
        self.pump = LoopPump(self.swarm.timeline, self.loop)
        self.operator = InProcessSwarm(self.swarm)
        self.operator._pump = self.pump
        self.laws.declared(self.wishes)
        for _ in range(self.controllers):
            self.run(self._begin(FakeJournal()))

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    def inside(self, effect: Callable[[], T]) -> T:
        """Call what asks for the running loop's time."""

        async def call() -> T:
            return effect()

        return self.run(call())

    def pass_time(self, seconds: float) -> None:
        self.run(asyncio.sleep(seconds))
        self.pump.sync()

    def close(self) -> None:
        self.run(self._end_all())
        self.pump.close()
        self.loop.close()

    # The manifest

    def declare(self, wishes: Wishes) -> None:
        self.wishes = wishes
        self.laws.declared(wishes)
        for process in self.processes:
            if process.runs:
                self.inside(partial(process.declare, wishes.stack()))

    def want(self, key: str, change: Callable[[Want], Want]) -> None:
        services = dict(self.wishes.services)
        services[key] = change(services[key])
        self.declare(replace(self.wishes, services=services))

    def key(self, number: int) -> str:
        keys = sorted(self.wishes.services)
        return keys[number % len(keys)]

    # By hand

    def live(self, key: str) -> Service | None:
        return self.swarm.store.services.by_name(f"{STACK}_{key}")

    def meddle(self, key: str, change: Callable[[Json], Json], *, rollback: str = "") -> None:
        """Update a service as docker's client would."""
        live = self.live(key)
        if live is not None:
            spec = change(live.spec)
            with _by_hand(), contextlib.suppress(RefusalError):
                self.swarm.update(ObjectKind.SERVICE, live.id, live.version, spec, rollback=rollback)

    def remove(self, key: str) -> None:
        with _by_hand(), contextlib.suppress(RefusalError):
            self.swarm.remove(ObjectKind.SERVICE, f"{STACK}_{key}")

    def pause(self, target: str, *, paused: bool) -> None:
        with contextlib.suppress(ProdBreakerError):
            self.run(set_paused(self.operator, LoopClock(), target, paused=paused))
            (self.paused.add if paused else self.paused.discard)(target)
            if not paused:
                self.laws.resumed(target)

    def repeatedly(self, key: str, change: Callable[[Json], Json], *, times: int, pause: float) -> None:
        """As a script does it that knows nothing of us."""
        for _ in range(times):
            self.meddle(key, change)
            self.pass_time(pause)

    def disturb(self, number: int, seconds: float, *, how: str) -> None:
        """Freeze a process, cut it off, or keep from it what it is answered."""
        process = self.process(number)
        wire = process.wire
        if how == "frozen":
            wire.moving.clear()
        wire.is_cut, wire.is_deaf = how == "cut", how == "deaf"
        self.pass_time(seconds)
        self.undisturb(process)

    def undisturb(self, process: Process) -> None:
        process.wire.is_cut = process.wire.is_deaf = False
        process.stalls.clear()
        process.wire.moving.set()
        process.whole_since = self.swarm.now

    def take_the_engine_away(self, seconds: float) -> None:
        self.swarm.take_away()
        self.pass_time(seconds)
        self.swarm.bring_back()
        for process in self.processes:
            process.whole_since = self.swarm.now

    def roll_back(self, key: str, *, to: int | None) -> None:
        """As `prodbreaker rollback` does it."""
        desired = self.wishes.stack()
        memory = Memory(FakeJournal(), monotonic=self.loop.time)
        with contextlib.suppress(ProdBreakerError):
            order = self.run(by_hand.roll_back(self.operator, memory, desired, desired.services[key], OPTIONS, to=to))
            if order.actions:
                self.laws.ordered(key, is_release=False)

    def release(self, key: str) -> None:
        """As `prodbreaker release` does it."""
        with contextlib.suppress(ProdBreakerError):
            order = self.run(by_hand.release(self.operator, f"{STACK}_{key}"))
            if order.actions:
                self.laws.ordered(key, is_release=True)

    # Processes

    def process(self, number: int) -> Process:
        return self.processes[number % len(self.processes)]

    def kill(self, number: int) -> None:
        self.run(self.process(number).kill())

    def stop(self, number: int) -> None:
        process = self.process(number)
        if process.is_well:
            self.run(process.stop())
        else:
            self.kill(number)

    def start(self, number: int, *, keeps_journal: bool = True) -> None:
        """In the place of one that ended."""
        old = self.process(number)
        if old.runs:
            return
        old.wire.moving.set()  # what it had under way when it died is on its way still
        self.laws.restarted()
        self.run(self._begin(old.journal if keeps_journal else FakeJournal(), in_place_of=old))

    async def _begin(self, journal: FakeJournal, *, in_place_of: Process | None = None) -> None:
        self.started += 1
        process = Process(
            f"controller-{self.started}",
            self.swarm,
            self.pump,
            self.wishes.stack(),
            journal=journal,
            signals=self.signals,
            has_lease=self.has_lease,
        )
        if in_place_of is None:
            self.processes.append(process)
        else:
            self.dead.append(in_place_of)
            self.processes[self.processes.index(in_place_of)] = process
        await process.start()

    async def _end_all(self) -> None:
        for process in (*self.processes, *self.dead):
            await process.kill()
            await process.wire.drop_all()

    # The line

    def _hook(self, site: Site) -> Fault | None:
        if CALL.get() is None:
            return None  # the operator's
        fault = Fault(delay=CALL_SECONDS)
        if site.operation in ("create", "update", "remove"):
            self.laws.sent(site)
            if self.races and site.target.startswith("service/"):
                with _by_hand():
                    self.races.pop()()
            if self.write_faults:
                fault = self.write_faults.pop()
        elif site.operation == "list" and self.list_faults:
            fault = self.list_faults.pop()
        elif site == Site("list", ObjectKind.SERVICE.value, site.nth) and self.stale_lists:
            listed = self.stale_lists.pop()
            self.swarm.note_read(listed)
            fault = Fault(delay=CALL_SECONDS, distort=lambda _: listed)
        return fault


@contextlib.contextmanager
def _by_hand() -> Any:
    token = CALL.set(None)
    try:
        yield
    finally:
        CALL.reset(token)
