"""The simulator behind the loop's own port, in one process.

    simulator = Simulator(nodes=3)
    swarm = InProcessSwarm(simulator)                 # implements controller.engine.ports.Swarm
    await swarm.create(ObjectKind.SERVICE, {"Name": "web", "TaskTemplate": {"ContainerSpec": {"Image": "nginx:1"}}})
    await asyncio.sleep(3)                            # under looptime virtual, else real: the tasks are running
    assert len(simulator.running("web")) == 1

Virtual time follows the running loop's clock from the first call on; without a loop a test calls `simulator.advance(seconds)`.

Break things through the simulator:
- `images["nginx:2"] = CRASHING` (MISSING, UNHEALTHY, or any Behaviour), `kill(task_id)`;
- `set_availability("node2", "drain")`, `fail_node("node2")`, `recover_node("node2")`;
- `take_away()` and `bring_back()`: every call fails meanwhile; `events.is_silent = True`; `events.close_all()`;
- `gate.hook = hook`, where `hook(site)` returns a Fault or None: `Fault(error=RefusalError(500, "…"), applied=True)` for
  `Site("update", "service/web", 1)` makes the first update of web fail after it took effect.

Write behind the controller's back with `simulator.update(…)` and `simulator.remove(…)`; count with `simulator.gate.writes()`.
Lists share their objects with the store: read them, never write to them.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from typing import TypeVar

from controller import errors
from controller.engine.ports import EngineFacts, SwarmEvent
from controller.model.observation import ResolvedImage
from controller.model.plan import ObjectKind
from controller.model.spec import Json
from controller.simulator.engine import ENGINE_VERSION, Simulator
from controller.simulator.faults import WRITES, through
from controller.simulator.refusals import RefusalError, UnreachableError
from controller.simulator.timeline import LoopPump

T = TypeVar("T")

OPENED = SwarmEvent("stream", "opened", "", {}, 0)  # the port wants it first; a reader's losses go untold, as the engine's do
_MISSING = re.compile(r"(network|config|secret|plugin|node|service)\b.* not found")
_REFUSED_AS_500 = re.compile(r"desc = (constraint |key '|value ')|^network \S+ not found")


class InProcessSwarm:
    """Implements ports.Swarm; raises the tree below SwarmError as the docker adapter does."""

    def __init__(self, simulator: Simulator, *, may_write: Callable[[], bool] = lambda: True) -> None:
        """`may_write` is asked right before a write is sent; where it says no, NotLeaderError is raised and nothing is sent."""
        self.simulator = simulator
        self._may_write = may_write
        self._pump: LoopPump | None = None

    def close(self) -> None:
        """Stop following the loop's clock."""
        if self._pump is not None:
            self._pump.close()
            self._pump = None

    async def facts(self) -> EngineFacts:
        sim = self.simulator
        return await self._call(
            "facts",
            "engine",
            lambda: EngineFacts(
                api_version=sim.api_version,
                engine_version=ENGINE_VERSION,
                node_id=sim.node_id,
                is_manager=True,
                cluster_id=sim.cluster_id,
            ),
        )

    async def list_objects(self, kind: ObjectKind, *, filters: Mapping[str, Sequence[str]] | None = None) -> list[Json]:
        return await self._call("list", kind.value, lambda: self.simulator.list_objects(kind, filters), kind)

    async def create(self, kind: ObjectKind, body: Json, *, auth: str | None = None) -> str:
        del auth  # the simulated registry is open to everybody
        return await self._call("create", f"{kind.value}/{body.get('Name', '')}", lambda: self.simulator.create(kind, body), kind)

    async def update(self, kind: ObjectKind, object_id: str, version: int, body: Json, *, auth: str | None = None) -> None:
        del auth
        target = self.simulator.name_of(kind, object_id)
        await self._call("update", target, lambda: self.simulator.update(kind, object_id, version, body), kind)

    async def remove(self, kind: ObjectKind, object_id: str) -> None:
        target = self.simulator.name_of(kind, object_id)
        await self._call("remove", target, lambda: self.simulator.remove(kind, object_id), kind)

    def registry_auth(self, image: str) -> str | None:
        del image
        return None

    async def resolve_image(self, image: str, *, auth: str | None = None) -> ResolvedImage:
        del auth
        name = tagged(image)
        try:
            digest = await self._call("resolve", image, lambda: self.simulator.digest(image))
        except errors.EngineUnavailableError:
            raise
        except errors.SwarmError as error:
            raise errors.RegistryError(f"{image}: {error}") from error
        reference = name if "@" in name else f"{name}@{digest}"
        return ResolvedImage(reference, ({"Architecture": "amd64", "OS": "linux"},))

    async def events(self, *, since_nano: int | None = None) -> AsyncGenerator[SwarmEvent, None]:
        ready = asyncio.Event()
        log = self.simulator.events
        reader = await self._call("events", "stream", lambda: log.open(ready.set, since_ns=since_nano))
        try:
            yield OPENED
            while True:
                while reader.pending:
                    yield _event(reader.pending.popleft())
                if reader.is_closed:
                    return
                ready.clear()
                await ready.wait()
        finally:
            log.release(reader)

    async def _call(self, operation: str, target: str, effect: Callable[[], T], kind: ObjectKind | None = None) -> T:
        if self._pump is None:
            self._pump = LoopPump(self.simulator.timeline, asyncio.get_running_loop())
        pump = self._pump
        pump.sync()

        def in_time() -> T:
            pump.sync()  # the call may have hung
            return effect()

        if operation in WRITES and not self._may_write():
            raise errors.NotLeaderError(f"{operation} {target}: not sent, another controller may lead", operation=operation)
        try:
            return await through(self.simulator.gate, operation, target, in_time)
        except RefusalError as refusal:
            raise translated(refusal, operation=f"{operation} {target}", kind=kind) from refusal
        except UnreachableError as error:
            raise errors.EngineUnavailableError(str(error), operation=f"{operation} {target}") from error


def tagged(image: str) -> str:
    """An image name with `:latest` where it has neither tag nor digest, as docker's client completes it."""
    return image if "@" in image or ":" in image.rpartition("/")[2] else f"{image}:latest"


def translated(refusal: RefusalError, *, operation: str, kind: ObjectKind | None) -> errors.SwarmError:
    """The error of controller.errors for an answer of the engine: the docker adapter's rules, which a test compares."""
    verb = operation.partition(" ")[0]
    return _error_type(refusal, verb, kind)(refusal.message, operation=operation, status=refusal.status)


def _error_type(refusal: RefusalError, verb: str, kind: ObjectKind | None) -> type[errors.SwarmError]:
    text, status = refusal.message, refusal.status
    if status == 404:
        missing = _MISSING.match(text)
        of_another = verb == "create" or (verb == "update" and missing is not None and missing[1] != kind)
        return errors.RefusedError if of_another or text == "page not found" else errors.NotFoundError
    if verb == "remove" and status in (400, 403, 409) and "in use" in text:
        return errors.InUseError
    if status == 409 and verb == "create":
        return errors.NameTakenError
    if status == 503:
        return errors.NotManagerError if "swarm manager" in text else errors.EngineUnavailableError
    if status == 500:
        if "update out of sequence" in text:
            return errors.OutOfSequenceError
        return errors.RefusedError if _REFUSED_AS_500.search(text) else errors.EngineUnavailableError
    return errors.RefusedError if status == 501 or 400 <= status < 500 else errors.EngineUnavailableError


def _event(message: Json) -> SwarmEvent:
    return SwarmEvent(
        kind=message["Type"],
        action=message["Action"],
        object_id=message["Actor"]["ID"],
        attributes=message["Actor"]["Attributes"],
        time_nano=message["timeNano"],
    )
