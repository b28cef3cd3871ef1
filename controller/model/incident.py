"""An incident: one fault of one service, from its first sign to its end."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class FaultKind(StrEnum):
    """What can be wrong; with the service it is an incident's key."""

    MISSING = "missing"  # declared and not there
    DRIFT = "drift"  # changed by hand
    DEGRADED = "degraded"  # fewer replicas than asked for, and nothing under way that explains it
    BAD_REVISION = "bad revision"  # an update that was found bad
    REFUSED = "refused"  # a declaration that cannot be carried out: impossible, or refused by the engine
    HELD = "held"  # the controller has spent its budget on it, or has nothing left to go back to
    BRAKE = "brake"  # the whole Swarm: too much is wrong at once to act on


class IncidentState(StrEnum):
    OPEN = "open"
    RECOVERED = "recovered"
    HELD = "held"  # nothing more is done by itself; a person is needed


class EntryKind(StrEnum):
    OBSERVATION = "observation"
    DECISION = "decision"
    ACTION = "action"


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the timeline."""

    time: float  # wall clock, seconds since 1970
    kind: EntryKind
    text: str  # masked already


@dataclass(frozen=True, slots=True)
class Incident:
    id: int
    service: str  # the real name; empty for the whole Swarm
    kind: FaultKind
    state: IncidentState
    opened: float  # wall clock
    summary: str
    began: float | None = None  # when the fault itself came about by the engine's stamps, where that is known
    acted: float | None = None  # end of the first action on it
    ended: float | None = None
    entries: tuple[Entry, ...] = ()

    @property
    def seconds_to_detect(self) -> float | None:
        return None if self.began is None else max(0.0, self.opened - self.began)

    @property
    def seconds_to_act(self) -> float | None:
        """From the detection to the end of the first action."""
        return None if self.acted is None else max(0.0, self.acted - self.opened)

    @property
    def seconds_to_recover(self) -> float | None:
        """From the fault, or where its time is not known from the detection, to the end."""
        start = self.opened if self.began is None else min(self.began, self.opened)
        return None if self.ended is None or self.state is not IncidentState.RECOVERED else max(0.0, self.ended - start)
