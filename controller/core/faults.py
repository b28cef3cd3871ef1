"""What is wrong with a service now, from its status and its plan, and since when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from controller.model.incident import FaultKind
from controller.model.plan import Action, Change, Notice, Reason, Verb
from controller.model.spec import Json
from controller.model.status import Health, ServiceStatus

# Notices of what a hand changed and the plan leaves as it is; DRIFT_IGNORED is nobody's business.
_DRIFTED = frozenset({Reason.DRIFT_REPORTED, Reason.UPDATE_RUNNING})
# Notices of what cannot be carried out until somebody changes something.
_REFUSED = frozenset({Reason.IMPOSSIBLE, Reason.IMMUTABLE, Reason.FOREIGN, Reason.UNRESOLVED_IMAGE})
# Notices beside which a service is as it should be.
_AT_PEACE = frozenset({Reason.DRIFT_IGNORED, Reason.UNKNOWN_CONTENT, Reason.QUARANTINED})
_SHOWN_CHANGES, _SHOWN_CHARACTERS = 5, 60


@dataclass(frozen=True, slots=True)
class Fault:
    kind: FaultKind
    text: str
    began: float | None = None  # wall clock in seconds, by the engine's stamps where it has one


class Standing(StrEnum):
    FAULTY = "faulty"
    MOVING = "moving"  # on its way to what is declared, or waiting for something
    PAUSED = "paused"
    WELL = "well"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one pass says of one service."""

    standing: Standing
    text: str
    fault: Fault | None = None  # where it is faulty
    is_as_declared: bool = False  # well, and what runs is the declared revision and no earlier one


@dataclass(frozen=True, slots=True)
class Signs:
    """What the status and the plan do not say; times are wall clock in seconds."""

    was_there: bool  # the service ran under this very declaration before
    is_paused: bool = False
    happened: float | None = None  # by the event that made the pass due
    short_since: float | None = None  # since when replicas have been missing


def find_fault(status: ServiceStatus, action: Action | None, notice: Notice | None, live: Json | None, signs: Signs) -> Finding:
    """Look at one service. `action` and `notice` are its plan before anything held it back.

    What is paused, asked for no replicas or has completed is no fault; nor is the absence of what never ran under this
    declaration.
    """
    if signs.is_paused:
        return Finding(Standing.PAUSED, "paused")
    fault = _fault(status, action, notice, live, signs)
    if fault is not None:
        return Finding(Standing.FAULTY, fault.text, fault)
    at_rest = action is None and (notice is None or notice.reason in _AT_PEACE)
    if live is None or not at_rest or status.health not in (Health.HEALTHY, Health.SUSPENDED):
        return Finding(Standing.MOVING, _replicas(status))
    quarantined = notice is not None and notice.reason is Reason.QUARANTINED
    return Finding(Standing.WELL, _replicas(status), is_as_declared=not quarantined)


def decision_text(action: Action | None, notice: Notice | None) -> str:
    """What the plan is going to do about it, or why it does nothing; empty where there is nothing to say."""
    if action is not None:
        changes = f": {_listed(action.changes)}" if action.changes else ""
        return f"{action.verb} it ({action.reason}){changes}"
    return f"nothing is written: {notice.message} ({notice.reason})" if notice is not None else ""


def action_text(action: Action, *, seconds: float) -> str:
    """What was done, as a timeline says it."""
    done = {Verb.CREATE: "created", Verb.UPDATE: "updated", Verb.REMOVE: "removed"}[action.verb]
    return f"{done} in {seconds:.3f} s ({action.reason})"


def _fault(status: ServiceStatus, action: Action | None, notice: Notice | None, live: Json | None, signs: Signs) -> Fault | None:
    reason = action.reason if action else notice.reason if notice else None
    if live is None and signs.was_there:
        return Fault(FaultKind.MISSING, "is not there", signs.happened)
    if live is not None and (reason is Reason.DRIFT or reason in _DRIFTED):
        changes = action.changes if action else notice.changes if notice else ()
        began = _last_written(live) if signs.was_there else None  # what was found so at first sight may be years old
        by_hand = [Change(change.field, change.new, change.old) for change in changes]  # a plan tells the way back
        return Fault(FaultKind.DRIFT, f"was changed by hand: {_listed(by_hand)}", began)
    if notice is not None and notice.reason in _REFUSED:
        return Fault(FaultKind.REFUSED, notice.message)
    if live is not None and status.health is Health.DEGRADED:
        if status.running < status.desired:
            return Fault(FaultKind.DEGRADED, _replicas(status), signs.short_since)
        return Fault(FaultKind.DEGRADED, status.message, _time(live.get("UpdatedAt")))
    return None


def _replicas(status: ServiceStatus) -> str:
    if status.health is Health.MISSING:
        return status.message
    if status.desired == 0 and status.running == 0:
        return "asked for no replicas"
    return f"{status.running} of {status.desired} replicas run"


def _listed(changes: Sequence[Change]) -> str:
    shown = [_shown(change) for change in changes[:_SHOWN_CHANGES]]
    more = [f"and {len(changes) - len(shown)} more"] if len(changes) > len(shown) else []
    return ", ".join(shown + more) or "something that has no name here"


def _shown(change: Change) -> str:
    if change.old == change.new:
        return f"{change.field} (differs)"
    return f"{change.field} {_clipped(change.old)} -> {_clipped(change.new)}"


def _clipped(value: str | None) -> str:
    if value is None:
        return "(not set)"
    return value if len(value) <= _SHOWN_CHARACTERS else f"{value[: _SHOWN_CHARACTERS - 1]}…"


def _last_written(live: Json) -> float | None:
    """When the spec was written. A write drops the update status, and the updater's own writes move `UpdatedAt`."""
    return _time((live.get("UpdateStatus") or {}).get("StartedAt")) or _time(live.get("UpdatedAt"))


def _time(stamp: str | None) -> float | None:
    """Seconds since 1970 of an RFC 3339 stamp; None where there is none, Go's zero time included."""
    try:
        read = datetime.fromisoformat(stamp or "").timestamp()
    except ValueError:
        return None
    return read if read > 0 else None
