"""The whole loop in one process on the simulator: sources, queue, workers, everything but the composition root's I/O."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from types import TracebackType

from controller.core.images import Resolve
from controller.core.planner import Options
from controller.core.revisions import histories
from controller.engine.board import Board
from controller.engine.declarations import Declarations
from controller.engine.executor import Executor
from controller.engine.guards import Guards
from controller.engine.incidents import Incidents
from controller.engine.loop import Loop, run_workers
from controller.engine.memory import Memory
from controller.engine.observer import Observer
from controller.engine.ports import Signals, Swarm
from controller.engine.reconciler import Reconciler
from controller.engine.records import Journal, Recorder
from controller.engine.rollouts import Rollouts
from controller.engine.signals import SignalWatch
from controller.engine.workqueue import WorkQueue
from controller.engine.world import World
from controller.model.observation import Snapshot
from controller.model.plan import ObjectKind
from controller.model.revision import Revision
from controller.model.spec import DesiredStack, Json
from controller.model.status import Key, ServiceStatus
from controller.simulator.engine import Simulator
from controller.simulator.faults import Fault, Site
from controller.simulator.inprocess import InProcessSwarm
from controller.sources.docker_events import DockerEvents
from controller.sources.resync import resync
from tests.support.fakes import FakeJournal, FakeRecorder, LoopClock

REVISION = "config/prodbreaker_rev_"
CALL_SECONDS = 0.002  # that every call to the engine takes, so that before and after it are two times
OPTIONS = Options(resolve=Resolve.NEVER)


def make_world(
    swarm: Swarm,
    declarations: Declarations,
    observer: Observer,
    journal: Journal,
    recorder: Recorder,
    *,
    signals: Signals | None = None,
    options: Options = OPTIONS,
    leads: Callable[[], bool] = lambda: True,
) -> World:
    """Everything a pass reaches, on the running loop's time."""
    clock = LoopClock()
    return World(
        swarm=swarm,
        observer=observer,
        declarations=declarations,
        memory=Memory(journal, monotonic=clock.monotonic),
        executor=Executor(swarm, clock, with_registry_auth=False),
        rollouts=Rollouts(swarm, clock, SignalWatch(signals, clock)),
        incidents=Incidents(journal, recorder, clock),
        guards=Guards(swarm, clock, recorder),
        board=Board(),
        journal=journal,
        recorder=recorder,
        clock=clock,
        options=options,
        leads=leads,
    )


class Rig:
    """`async with Rig(stack) as rig`: the loop runs meanwhile. Break things through `rig.sim`, read what became of them there."""

    def __init__(
        self,
        *stacks: DesiredStack,
        options: Options = OPTIONS,
        sim: Simulator | None = None,
        journal: FakeJournal | None = None,
        workers: int = 4,
        signals: Signals | None = None,
    ) -> None:
        self.sim = sim or Simulator()
        self.sim.gate.hook = self._hook
        self.fault: Callable[[Site], Fault | None] = lambda site: None
        self.swarm = InProcessSwarm(self.sim)
        self.journal, self.recorder, self.clock = journal or FakeJournal(), FakeRecorder(), LoopClock()
        self.queue, self.declarations, self.observer = WorkQueue(), Declarations(), Observer(self.swarm)
        self.world = make_world(
            self.swarm, self.declarations, self.observer, self.journal, self.recorder, signals=signals, options=options
        )
        self.incidents = self.world.incidents
        self.loop = Loop(self.queue, Reconciler(self.world), self.observer, self.recorder)
        self.events = DockerEvents(self.swarm, self.queue, self.declarations, self.observer, self.recorder, self.clock)
        self._workers = workers
        self._tasks: list[asyncio.Task[None]] = []
        for stack in stacks:
            self.declare(stack)

    async def __aenter__(self) -> Rig:
        await self.world.memory.load()
        await self.incidents.load()
        sources = [
            self.events.run(),
            resync(self.queue, self.declarations),
            self.world.guards.run(),
            run_workers(self.loop, self._workers),
        ]
        self._tasks = [asyncio.create_task(source) for source in sources]
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        ended = [task for task in self._tasks if task.done()]
        self.queue.close()
        for task in self._tasks[:-1]:
            task.cancel()
        for task in self._tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        self.swarm.close()
        assert not ended, "a source or the workers ended by themselves"

    def declare(self, stack: DesiredStack) -> None:
        """As an edit of the manifest does it."""
        if self.declarations.accept(stack) and self._tasks:
            for key in self.declarations.keys(stack.name):
                self.queue.add(key, reason="manifest edited")

    async def settle(self, seconds: float = 20.0) -> None:
        """Let the loop and the Swarm come to rest, then count calls anew."""
        await asyncio.sleep(seconds)
        self.forget()

    def forget(self) -> None:
        self.sim.gate.forget()

    @property
    def writes(self) -> list[str]:
        """`update service/shop_web` and so on, in order; what is kept of revisions stands in `records`."""
        return [write for write in self._writes() if REVISION not in write]

    @property
    def service_writes(self) -> list[str]:
        return [write for write in self.writes if " service/" in write]

    @property
    def records(self) -> list[str]:
        """What was written of revisions: `create 1`, `update 1`, in order."""
        return [f"{write.split()[0]} {write.rpartition('_')[2]}" for write in self._writes() if REVISION in write]

    def _writes(self) -> list[str]:
        return [f"{call.site.operation} {call.site.target}" for call in self.sim.gate.writes()]

    def revisions(self, service: str = "shop_web") -> list[Revision]:
        configs = {item["Spec"]["Name"]: item for item in self.sim.list_objects(ObjectKind.CONFIG)}
        seen = Snapshot((1, 41), services={}, networks={}, configs=configs, secrets={})
        return list(histories(seen).get(service, ()))

    @property
    def calls(self) -> int:
        return len(self.sim.gate.calls)

    def spec(self, name: str) -> Json:
        return self.live(name)["Spec"]  # type: ignore[no-any-return] # JSON

    def live(self, name: str) -> Json:
        return self.sim.inspect(ObjectKind.SERVICE, name)

    def edit(self, name: str, change: Callable[[Json], Json]) -> None:
        """Change a service behind the controller's back."""
        live = self.live(name)
        self.sim.update(ObjectKind.SERVICE, name, live["Version"]["Index"], change(live["Spec"]))

    def names(self, kind: ObjectKind) -> list[str]:
        """Of all objects of a kind, kept revisions left out."""
        found = self.sim.list_objects(kind)
        names = (item["Name"] if kind is ObjectKind.NETWORK else item["Spec"]["Name"] for item in found)
        return sorted(name for name in names if not name.startswith(REVISION.removeprefix("config/")))

    def status(self, name: str) -> ServiceStatus:
        return next(status for status in self.world.board.statuses() if status.name == name)

    def posted(self) -> list[str]:
        return [status.name for status in self.world.board.statuses()]

    def has_passed(self) -> bool:
        return self.loop.has_passed([Key(key.stack, key.service) for key in self.declarations.keys()])  # noqa: SIM118 - a method

    def _hook(self, site: Site) -> Fault | None:
        return self.fault(site) or Fault(delay=CALL_SECONDS)
