"""A Swarm, a journal and a recorder that do what a test tells them, for behaviour that the simulator cannot be asked for."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from controller.engine.ports import EngineFacts, SwarmEvent
from controller.engine.records import ActionOutcome, ActionRecord, PassRecord, PassResult, SilentRecorder
from controller.errors import JournalError
from controller.model.incident import FaultKind, Incident, IncidentState
from controller.model.observation import ResolvedImage
from controller.model.plan import ObjectKind, Verb
from controller.model.spec import Json
from controller.model.status import ServiceStatus
from tests.support.specs import API

FACTS = EngineFacts(api_version=API, engine_version="27.0.0", node_id="n1", is_manager=True, cluster_id="c1")
OPENED = SwarmEvent("stream", "opened", "", {}, 0)


@dataclass
class FakeSwarm:
    """Implements controller.engine.ports.Swarm. `answers` maps an operation to what it raises; `hold` stops lists until set."""

    objects: dict[ObjectKind, list[Json]] = field(default_factory=dict)
    answers: dict[str, Exception] = field(default_factory=dict)
    calls: list[tuple[str, ...]] = field(default_factory=list)
    bodies: list[Json] = field(default_factory=list)
    versions: list[int] = field(default_factory=list)
    auths: list[str | None] = field(default_factory=list)
    hold: asyncio.Event | None = None
    streams: list[list[SwarmEvent | Exception | float]] = field(default_factory=list)  # floats are seconds of silence
    since: list[int | None] = field(default_factory=list)
    seconds: float = 0.0  # that each write takes
    busy: int = 0
    most_busy: int = 0

    async def facts(self) -> EngineFacts:
        self._note("facts")
        return FACTS

    async def list_objects(self, kind: ObjectKind, *, filters: Mapping[str, Sequence[str]] | None = None) -> list[Json]:
        found = list(self.objects.get(kind, ()))  # as it was when the call was made
        self._note("list", kind.value, *(f"{key}={','.join(values)}" for key, values in (filters or {}).items()))
        if self.hold is not None:
            await self.hold.wait()
        return found

    async def create(self, kind: ObjectKind, body: Json, *, auth: str | None = None) -> str:
        self.bodies.append(body)
        self.auths.append(auth)
        await self._write("create", kind.value, body["Name"])
        return f"new-{body['Name']}"

    async def update(self, kind: ObjectKind, object_id: str, version: int, body: Json, *, auth: str | None = None) -> None:
        self.bodies.append(body)
        self.auths.append(auth)
        self.versions.append(version)
        await self._write("update", kind.value, object_id)

    async def remove(self, kind: ObjectKind, object_id: str) -> None:
        await self._write("remove", kind.value, object_id)

    def registry_auth(self, image: str) -> str | None:
        return f"auth for {image}"

    async def resolve_image(self, image: str, *, auth: str | None = None) -> ResolvedImage:
        self._note("resolve", image, auth or "")
        return ResolvedImage(f"{image}@sha256:d")

    async def events(self, *, since_nano: int | None = None) -> AsyncGenerator[SwarmEvent, None]:
        self.since.append(since_nano)
        self._note("events")
        script = self.streams.pop(0) if self.streams else [3600.0]
        for step in script:
            if isinstance(step, Exception):
                raise step
            if isinstance(step, float):
                await asyncio.sleep(step)
            else:
                yield step

    def count(self, *call: str) -> int:
        return sum(1 for made in self.calls if made[: len(call)] == call)

    async def _write(self, *call: str) -> None:
        self.busy += 1
        self.most_busy = max(self.most_busy, self.busy)
        try:
            await asyncio.sleep(self.seconds)
            self._note(*call)
        finally:
            self.busy -= 1

    def _note(self, *call: str) -> None:
        self.calls.append(call)
        for length in (len(call), 2, 1):
            error = self.answers.get(" ".join(call[:length]))
            if error is not None:
                raise error


@dataclass
class FakeJournal:
    """Implements controller.engine.records.Journal; `broken` makes every write fail, and every look at incidents."""

    passes: list[PassRecord] = field(default_factory=list)
    actions: list[ActionRecord] = field(default_factory=list)
    kept: dict[str, str] = field(default_factory=dict)
    known: dict[int, Incident] = field(default_factory=dict)
    broken: bool = False

    @property
    def writable(self) -> bool:
        return not self.broken

    async def record_pass(self, record: PassRecord) -> None:
        self._check()
        self.passes.append(record)

    async def record_action(self, record: ActionRecord) -> None:
        self._check()
        self.actions.append(record)

    async def recent_actions(self, *, limit: int, key: str | None = None) -> Sequence[ActionRecord]:
        return [record for record in reversed(self.actions) if key in (None, record.key)][:limit]

    async def note(self, name: str, value: str) -> None:
        self._check()
        self.kept[name] = value

    async def notes(self, *, prefix: str = "") -> Mapping[str, str]:
        return {name: value for name, value in self.kept.items() if name.startswith(prefix)}

    async def keep_incidents(self, incidents: Sequence[Incident]) -> None:
        self._check()
        self.known |= {incident.id: incident for incident in incidents}

    async def incidents(
        self, *, limit: int, service: str | None = None, states: Collection[IncidentState] = tuple(IncidentState)
    ) -> Sequence[Incident]:
        self._check()
        found = [item for item in self.known.values() if item.state in states and service in (None, item.service)]
        return sorted(found, key=lambda item: (item.ended is not None, -item.id))[:limit]

    async def incident(self, number: int) -> Incident | None:
        self._check()
        return self.known.get(number)

    def _check(self) -> None:
        if self.broken:
            raise JournalError("the disk is full")


class FakeRecorder(SilentRecorder):
    """Implements controller.engine.records.Recorder and keeps what it was told."""

    def __init__(self) -> None:
        self.passes: Counter[PassResult] = Counter()
        self.outcomes: Counter[tuple[Verb, ObjectKind, ActionOutcome]] = Counter()
        self.stacks: dict[str, list[ServiceStatus]] = {}
        self.stream: list[bool] = []
        self.events = 0
        self.broken_manifests = 0
        self.open_incidents: dict[FaultKind, int] = {}
        self.timed: list[tuple[str, FaultKind, float]] = []

    def pass_done(self, result: PassResult, seconds: float) -> None:
        self.passes[result] += 1

    def action_done(self, verb: Verb, kind: ObjectKind, outcome: ActionOutcome) -> None:
        self.outcomes[verb, kind, outcome] += 1

    def sync_states(self, stack: str, statuses: Sequence[ServiceStatus]) -> None:
        self.stacks[stack] = list(statuses)

    def event_seen(self) -> None:
        self.events += 1

    def stream_up(self, *, up: bool) -> None:
        self.stream.append(up)

    def manifest_errors(self, count: int) -> None:
        self.broken_manifests = count

    def incidents_open(self, kind: FaultKind, count: int) -> None:
        self.open_incidents[kind] = count

    def incident_detected(self, kind: FaultKind, seconds: float) -> None:
        self.timed.append(("detected", kind, seconds))

    def incident_acted(self, kind: FaultKind, seconds: float) -> None:
        self.timed.append(("acted", kind, seconds))

    def incident_recovered(self, kind: FaultKind, seconds: float) -> None:
        self.timed.append(("recovered", kind, seconds))


class LoopClock:
    """Implements controller.engine.ports.Clock on the running loop's time, virtual or real."""

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    def wall(self) -> float:
        return 1_767_225_600.0 + asyncio.get_running_loop().time()  # the simulator's epoch


def event(kind: str, action: str = "update", *, time_nano: int = 0, **attributes: str) -> SwarmEvent:
    return SwarmEvent(kind, action, "id", attributes, time_nano)


def changed(spec: Json, change: Callable[[dict[str, Any]], None]) -> Json:
    """A deep copy of a JSON value with one edit."""
    copy: dict[str, Any] = _copied(spec)
    change(copy)
    return copy


def _copied(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _copied(item) for key, item in value.items()}
    return [_copied(item) for item in value] if isinstance(value, list) else value


def with_facts(**parts: Any) -> EngineFacts:
    return replace(FACTS, **parts)
