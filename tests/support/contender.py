"""Controllers that contend for the lease over lines that fail, and freeze with their process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, TypeVar

from controller.engine.leader import Leader
from controller.engine.ports import Swarm
from controller.engine.records import SilentRecorder
from controller.errors import EngineUnavailableError
from controller.model.plan import ObjectKind
from controller.model.spec import Json
from tests.support.fakes import FakeSwarm, LoopClock

T = TypeVar("T")


class Line(FakeSwarm):
    """The calls that an election makes, over a line that a test breaks. A frozen process neither sends nor hears.

    What is on its way arrives, whether or not anybody still waits for the answer.
    """

    def __init__(self, swarm: Swarm) -> None:
        super().__init__()
        self._swarm = swarm
        self._moving = asyncio.Event()
        self._moving.set()
        self.is_cut = False  # nothing arrives
        self.is_deaf = False  # everything arrives, no answer comes back
        self.delays = (0.0, 0.0)  # of a request and of its answer
        self._under_way: set[asyncio.Task[Any]] = set()

    def freeze(self) -> None:
        self._moving.clear()

    def thaw(self) -> None:
        self._moving.set()

    async def close(self) -> None:
        for task in self._under_way:
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)

    @property
    def is_well(self) -> bool:
        return self._moving.is_set() and not self.is_cut and not self.is_deaf and sum(self.delays) == 0

    async def list_objects(self, kind: ObjectKind, *, filters: Mapping[str, Sequence[str]] | None = None) -> list[Json]:
        return await self._carry(lambda: self._swarm.list_objects(kind, filters=filters))

    async def create(self, kind: ObjectKind, body: Json, *, auth: str | None = None) -> str:
        return await self._carry(lambda: self._swarm.create(kind, body, auth=auth))

    async def update(self, kind: ObjectKind, object_id: str, version: int, body: Json, *, auth: str | None = None) -> None:
        await self._carry(lambda: self._swarm.update(kind, object_id, version, body, auth=auth))

    async def _carry(self, call: Callable[[], Coroutine[Any, Any, T]]) -> T:
        await self._moving.wait()
        sent = asyncio.create_task(self._deliver(call))
        self._under_way.add(sent)
        sent.add_done_callback(self._arrived)
        await asyncio.wait([sent])
        if sent.cancelled():
            raise EngineUnavailableError("the line was closed")
        answer = sent.result()
        await self._moving.wait()
        if self.is_deaf:
            raise EngineUnavailableError("no answer")
        return answer

    async def _deliver(self, call: Callable[[], Coroutine[Any, Any, T]]) -> T:
        there, back = self.delays
        if self.is_cut:
            raise EngineUnavailableError("cut")
        await asyncio.sleep(there)
        answer = await call()
        await asyncio.sleep(back)
        return answer

    def _arrived(self, sent: asyncio.Task[Any]) -> None:
        self._under_way.discard(sent)
        if not sent.cancelled():
            sent.exception()  # perhaps nobody waits for it any more


class LeadRecorder(SilentRecorder):
    def __init__(self) -> None:
        self.leading: list[bool] = []

    def leads(self, *, leads: bool) -> None:
        self.leading.append(leads)


class Contender:
    """`start` it on a running loop, and `stop` it as SIGTERM does or `kill` it."""

    def __init__(
        self, swarm: Swarm, name: str, *, seconds: float, jitter: Callable[[float], float] = lambda delay: delay
    ) -> None:
        self.name, self.line, self.recorder = name, Line(swarm), LeadRecorder()
        self.leader = Leader(self.line, LoopClock(), self.recorder, holder=name, seconds=seconds, jitter=jitter)
        self.changes: list[tuple[float, bool]] = []
        self.leader.on_change = lambda leads: self.changes.append((asyncio.get_running_loop().time(), leads))
        self._task: asyncio.Task[None] | None = None

    @property
    def runs(self) -> bool:
        return self._task is not None

    def start(self) -> None:
        self._task = asyncio.create_task(self.leader.run(), name=self.name)

    async def kill(self) -> None:
        """The process is gone; what it would answer to `may_write` does not matter any more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
            await self.line.close()

    async def stop(self) -> None:
        await self.kill()
        await self.leader.release()
        await self.line.close()
