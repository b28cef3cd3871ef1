"""One pass of the controller's loop over a stack, in this process."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence

from controller.adapters.swarm import DockerSwarm, resolve_endpoint
from controller.core.planner import Options
from controller.engine.board import Board
from controller.engine.clock import SystemClock
from controller.engine.declarations import Declarations
from controller.engine.executor import Executor
from controller.engine.guards import Guards
from controller.engine.incidents import Incidents
from controller.engine.memory import Memory
from controller.engine.observer import Observer
from controller.engine.reconciler import Reconciler
from controller.engine.records import ActionRecord, PassRecord, SilentRecorder
from controller.engine.rollouts import Rollouts
from controller.engine.signals import SignalWatch
from controller.engine.workqueue import Due
from controller.engine.world import World
from controller.model.incident import Incident, IncidentState
from controller.model.spec import DesiredStack
from controller.model.status import Key


class ForgetfulJournal:
    """Implements controller.engine.records.Journal for the length of a test."""

    writable = True

    async def record_pass(self, record: PassRecord) -> None: ...

    async def record_action(self, record: ActionRecord) -> None: ...

    async def recent_actions(self, *, limit: int, key: str | None = None) -> Sequence[ActionRecord]:
        return ()

    async def note(self, name: str, value: str) -> None: ...

    async def notes(self, *, prefix: str = "") -> Mapping[str, str]:
        return {}

    async def keep_incidents(self, incidents: Sequence[Incident]) -> None: ...

    async def incidents(
        self, *, limit: int, service: str | None = None, states: Collection[IncidentState] = tuple(IncidentState)
    ) -> Sequence[Incident]:
        return ()

    async def incident(self, number: int) -> Incident | None:
        return None


async def pass_over(desired: DesiredStack, environment: Mapping[str, str]) -> list[str]:
    """What every key of the stack came to, as `key: result reason`."""
    swarm = DockerSwarm(resolve_endpoint(environment))
    declarations, memory = Declarations(), Memory()
    declarations.accept(desired)
    try:
        incidents = Incidents(ForgetfulJournal(), SilentRecorder(), SystemClock())
        world = World(
            swarm=swarm,
            observer=Observer(swarm),
            declarations=declarations,
            memory=memory,
            executor=Executor(swarm, SystemClock()),
            rollouts=Rollouts(swarm, SystemClock(), SignalWatch(None, SystemClock())),
            incidents=incidents,
            guards=Guards(swarm, SystemClock(), SilentRecorder()),
            board=Board(),
            journal=ForgetfulJournal(),
            recorder=SilentRecorder(),
            clock=SystemClock(),
            options=Options(),
        )
        reconciler = Reconciler(world)
        return [await _pass(reconciler, key) for key in declarations.keys()]  # noqa: SIM118 - a method, no mapping
    finally:
        await swarm.close()


async def _pass(reconciler: Reconciler, key: Key) -> str:
    verdict = await reconciler.reconcile(Due(key, "test", asyncio.get_running_loop().time()))
    return f"{key}: {verdict.result} {verdict.reason}".rstrip()
