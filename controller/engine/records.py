"""What the loop tells about itself: to the journal, which is read again, and to the recorder, which only counts."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from controller.model.incident import FaultKind, Incident, IncidentState
from controller.model.plan import Change, ObjectKind, Reason, Verb
from controller.model.status import ServiceStatus


class PassResult(StrEnum):
    """How one pass over one key ended."""

    UNCHANGED = "unchanged"  # live is as declared
    CHANGED = "changed"  # every action of the plan was executed
    REPORTED = "reported"  # something differs and was left alone on purpose
    RETRY = "retry"  # it failed in a way that time may mend
    FAILED = "failed"  # it will fail again until somebody changes something


class ActionOutcome(StrEnum):
    """What became of one write."""

    DONE = "done"
    SUPERSEDED = "superseded"  # somebody else wrote first; nothing was applied
    REFUSED = "refused"  # the engine took it for wrong; nothing was applied
    UNKNOWN = "unknown"  # no trustworthy answer: it may have been applied


@dataclass(frozen=True, slots=True)
class PassRecord:
    reconcile_id: str
    key: str
    started: float  # wall clock, seconds since 1970
    seconds: float
    result: PassResult
    reason: str = ""  # why the key was due, or why the pass failed


@dataclass(frozen=True, slots=True)
class ActionRecord:
    reconcile_id: str
    key: str
    verb: Verb
    kind: ObjectKind
    name: str
    reason: Reason
    outcome: ActionOutcome
    time: float  # of its end; wall clock, seconds since 1970
    seconds: float
    changes: tuple[Change, ...] = ()  # masked already
    message: str = ""  # the engine's, where it refused


class Journal(Protocol):
    """A memory that survives the process. Every method raises JournalError and nothing else; the loop reports it and goes on."""

    @property
    def writable(self) -> bool:
        """Whether the last write succeeded."""
        ...

    async def record_pass(self, record: PassRecord) -> None:
        """Return when the pass is stored, or was found to say nothing new."""
        ...

    async def record_action(self, record: ActionRecord) -> None:
        """Return when the action is stored."""
        ...

    async def recent_actions(self, *, limit: int, key: str | None = None) -> Sequence[ActionRecord]:
        """The newest first."""
        ...

    async def note(self, name: str, value: str) -> None:
        """Remember one value under a name, in place of an earlier one."""
        ...

    async def notes(self, *, prefix: str = "") -> Mapping[str, str]:
        """Every remembered value whose name begins so."""
        ...

    async def keep_incidents(self, incidents: Sequence[Incident]) -> None:
        """Store them all or none, each in place of what was known under its id."""
        ...

    async def incidents(
        self, *, limit: int, service: str | None = None, states: Collection[IncidentState] = tuple(IncidentState)
    ) -> Sequence[Incident]:
        """Those that have not ended first, then the newest."""
        ...

    async def incident(self, number: int) -> Incident | None: ...


class Recorder(Protocol):
    """Counts what happens. Never raises, never waits."""

    def pass_done(self, result: PassResult, seconds: float) -> None: ...

    def action_done(self, verb: Verb, kind: ObjectKind, outcome: ActionOutcome) -> None: ...

    def api_call(self, operation: str, outcome: str, seconds: float) -> None:
        """One call to the engine; both words come from the adapter's fixed sets."""
        ...

    def queue_depth(self, keys: int) -> None:
        """How many keys wait, those in work not counted."""
        ...

    def sync_states(self, stack: str, statuses: Sequence[ServiceStatus]) -> None:
        """Where a stack stands now; with no statuses the stack is gone and so is what was said of it."""
        ...

    def event_seen(self) -> None:
        """The engine's stream gave a sign of life."""
        ...

    def stream_up(self, *, up: bool) -> None: ...

    def manifest_errors(self, count: int) -> None:
        """How many stack files cannot be read now."""
        ...

    def leads(self, *, leads: bool) -> None:
        """Whether this controller is the one that writes; told when that changes."""
        ...

    def incidents_open(self, kind: FaultKind, count: int) -> None:
        """How many faults of a kind have not ended."""
        ...

    def incident_detected(self, kind: FaultKind, seconds: float) -> None:
        """From the fault, by the engine's stamps, to its detection."""
        ...

    def incident_acted(self, kind: FaultKind, seconds: float) -> None:
        """From the detection to the end of the first action."""
        ...

    def incident_recovered(self, kind: FaultKind, seconds: float) -> None:
        """From the fault, or where its time is not known from the detection, to its end."""
        ...

    def brake(self, *, on: bool) -> None:
        """Whether the brake of the whole Swarm holds writes back."""
        ...

    def held_services(self, count: int) -> None: ...

    def healed(self, reason: Reason) -> None:
        """One correction of a service, by what was wrong."""
        ...


class SilentRecorder:
    """Counts nothing: for commands that end by themselves."""

    def pass_done(self, result: PassResult, seconds: float) -> None: ...

    def action_done(self, verb: Verb, kind: ObjectKind, outcome: ActionOutcome) -> None: ...

    def api_call(self, operation: str, outcome: str, seconds: float) -> None: ...

    def queue_depth(self, keys: int) -> None: ...

    def sync_states(self, stack: str, statuses: Sequence[ServiceStatus]) -> None: ...

    def event_seen(self) -> None: ...

    def stream_up(self, *, up: bool) -> None: ...

    def manifest_errors(self, count: int) -> None: ...

    def leads(self, *, leads: bool) -> None: ...

    def incidents_open(self, kind: FaultKind, count: int) -> None: ...

    def incident_detected(self, kind: FaultKind, seconds: float) -> None: ...

    def incident_acted(self, kind: FaultKind, seconds: float) -> None: ...

    def incident_recovered(self, kind: FaultKind, seconds: float) -> None: ...

    def brake(self, *, on: bool) -> None: ...

    def held_services(self, count: int) -> None: ...

    def healed(self, reason: Reason) -> None: ...
