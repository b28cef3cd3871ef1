"""What becomes of a revision: its states, what is evidence against it, and what runs in the place of a bad one.

Swarm's updater judges only what fails within its `monitor` time, waits for ever for what never starts, and forgets. Here a
revision is watched until it is proven: the shape is Nomad's deployment watcher (a deadline that progress re-arms, the way
back leads to the newest revision that was stable, never a rollback of a rollback).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from controller.core.replicas import ROLLED_BACK, UPDATING, current_tasks
from controller.core.revisions import contents, digest_of
from controller.model.policy import RollbackPolicy
from controller.model.revision import Revision, RevisionState
from controller.model.spec import Json

_PAUSED = frozenset({"paused", "rollback_paused"})
_ENDED = frozenset({"failed", "rejected", "complete", "orphaned"})  # `shutdown` is Swarm's own doing
_JOBS = frozenset({"ReplicatedJob", "GlobalJob"})


class Turn(StrEnum):
    """What happens to a revision."""

    PROVEN = "proven"
    REPLACED = "replaced"  # another one was written over it
    FOUND_BAD = "found bad"
    WENT_BACK = "went back"  # the way back has ended, well or badly
    RELEASED = "released"


_S = RevisionState
TRANSITIONS: Mapping[tuple[RevisionState, Turn], RevisionState] = {
    (_S.PROGRESSING, Turn.PROVEN): _S.STABLE,
    (_S.PROGRESSING, Turn.REPLACED): _S.SUPERSEDED,
    (_S.PROGRESSING, Turn.FOUND_BAD): _S.FAILED,
    (_S.STABLE, Turn.FOUND_BAD): _S.FAILED,
    (_S.SUPERSEDED, Turn.FOUND_BAD): _S.FAILED,  # by hand
    (_S.FAILED, Turn.WENT_BACK): _S.QUARANTINED,
    (_S.FAILED, Turn.RELEASED): _S.SUPERSEDED,
    (_S.QUARANTINED, Turn.RELEASED): _S.SUPERSEDED,
}


def turned(revision: Revision, turn: Turn, why: str) -> Revision:
    """The revision after it; raises ValueError for a turn that its state does not have."""
    state = TRANSITIONS.get((revision.state, turn))
    if state is None:
        raise ValueError(f"a {revision.state} revision cannot be {turn}")
    return replace(revision, state=state, why=why)


def newest(revisions: Sequence[Revision], digest: str) -> Revision | None:
    """The newest revision of a digest; a declaration that comes back gets a revision of its own."""
    return next((item for item in reversed(revisions) if item.digest == digest), None)


def way_back(revisions: Sequence[Revision], bad: Revision) -> Revision | None:
    """The newest stable revision that is not the bad declaration itself."""
    return next((item for item in reversed(revisions) if item.state is _S.STABLE and item.digest != bad.digest), None)


@dataclass(frozen=True, slots=True)
class Standing:
    """What a service is to run where its declaration is refused."""

    refused: Revision | None = None  # the declared revision, found bad
    target: Revision | None = None  # what runs in its place; None with a refused one: what runs is left as it is


def standing(revisions: Sequence[Revision], declared: str, live: Json | None) -> Standing:
    """Whether the declared digest is refused, and what runs instead.

    While the way back is under way that is its target. Afterwards it is what runs, if that was written from a revision that
    is not refused itself: after A, a bad B and a good C, a B that is declared again leads to C, not to A.
    """
    refused = newest(revisions, declared)
    if refused is None or refused.state not in (_S.FAILED, _S.QUARANTINED):
        return Standing()
    if refused.state is _S.QUARANTINED:
        running = newest(revisions, digest_of(live))
        if running is not None and running.state not in (_S.FAILED, _S.QUARANTINED):
            return Standing(refused, running)
    target = next((item for item in revisions if item.number == refused.target), None)
    return Standing(refused, target or way_back(revisions, refused))


def is_undone(refused: Revision, live: Json | None) -> bool:
    """Swarm rolled our way back itself back: to write it again would go to and fro for ever."""
    state = ((live or {}).get("UpdateStatus") or {}).get("State", "")
    return digest_of(live) == refused.digest and state in ROLLED_BACK


def partners(bad: Revision, histories: Mapping[str, Sequence[Revision]]) -> list[Revision]:
    """Revisions of other services that one edit brought together with a bad one, by a config or secret that is new to both.

    A content that breaks one service was changed for all of them: they go back together.
    """
    news = _new_contents(bad, histories.get(bad.service, ()))
    found = []
    for service, revisions in histories.items():
        latest = revisions[-1]
        together = bad.group and latest.group == bad.group and service != bad.service
        if together and latest.state in (_S.PROGRESSING, _S.STABLE) and news & _new_contents(latest, revisions):
            found.append(latest)
    return found


def _new_contents(revision: Revision, revisions: Sequence[Revision]) -> frozenset[tuple[object, str]]:
    before = next((item for item in reversed(revisions) if item.number < revision.number), None)
    return contents(revision.body) - (contents(before.body) if before else frozenset())


@dataclass(frozen=True, slots=True)
class Look:
    """One look at a service whose live revision is watched. Times are seconds of one monotonic clock."""

    live: Json
    tasks: Sequence[Json]
    nodes: Sequence[Json]
    policy: RollbackPolicy
    healthy_for: float = 0.0  # since when all replicas are up without a break; 0 where they are not
    idle_for: float = 0.0  # since the last progress
    is_proven: bool = False  # it was stable before; a single failure then says little
    evidence: Sequence[str] = ()  # what measurements say against it
    is_conclusive: bool = True  # every measurement answered

    def at(self, *, healthy_for: float, idle_for: float) -> Look:
        return replace(self, healthy_for=healthy_for, idle_for=idle_for)


@dataclass(frozen=True, slots=True)
class Judgement:
    turn: Turn | None = None
    why: str = ""


def is_job(spec: Json) -> bool:
    return bool(_JOBS.intersection(spec.get("Mode") or ()))


def running(look: Look) -> int:
    """Replicas that are up and of the live spec."""
    return len(current_tasks(look.live, look.tasks, look.nodes))


def judge(look: Look) -> Judgement:
    """Whether the live revision is proven, or bad, or neither yet.

    While Swarm's updater is at work only measurements and the deadline speak: what fails then is the updater's to judge, by
    the rules of `update_config`. Its own rule (more failures than `max_failure_ratio`) goes on here after its `monitor` has
    ended, until the revision is proven; then a second failure and a missing replica are needed too.
    """
    status = look.live.get("UpdateStatus") or {}
    state = status.get("State", "")
    desired = wanted_replicas(look.live)
    short = running(look) < desired
    if state in _PAUSED:
        return Judgement(Turn.FOUND_BAD, f"its update is paused: {_error(look) or status.get('Message', '')}")
    if look.evidence:
        return Judgement(Turn.FOUND_BAD, "; ".join(look.evidence))
    if state not in UPDATING:
        failed = len(failures(look))
        allowed = (look.live["Spec"].get("UpdateConfig") or {}).get("MaxFailureRatio", 0) * max(desired, 1)
        if failed > max(allowed, 1 if look.is_proven else 0) and (short or not look.is_proven):
            return Judgement(Turn.FOUND_BAD, f"{failed} of its tasks failed: {_error(look)}")
    if short and look.idle_for >= look.policy.deadline.total_seconds():
        seconds = look.policy.deadline.total_seconds()
        return Judgement(Turn.FOUND_BAD, f"no progress for {seconds:g} s: {_error(look) or _stuck(look)}")
    if not short and not look.is_proven and state not in UPDATING and look.is_conclusive:
        needed = look.policy.min_healthy.total_seconds()
        if look.healthy_for >= needed:
            return Judgement(Turn.PROVEN, f"all replicas up for {needed:g} s")
    return Judgement()


def failures(look: Look) -> list[Json]:
    """Tasks of the live revision that ended by themselves since it was written."""
    since = began(look.live)
    template = look.live["Spec"].get("TaskTemplate") or {}
    return [
        task
        for task in look.tasks
        if (task.get("Status") or {}).get("State") in _ENDED
        and _sortable(task.get("CreatedAt")) >= since
        and (task.get("Spec") or {}).get("ContainerSpec") == template.get("ContainerSpec")
    ]


def began(live: Json) -> str:
    """When the live spec began to roll out, by the engine's own clock."""
    return _sortable((live.get("UpdateStatus") or {}).get("StartedAt") or live.get("UpdatedAt"))


def _sortable(stamp: object) -> str:
    """RFC 3339 sorts as text once the Z is off: it would rank above the digits of a longer fraction."""
    return str(stamp or "").rstrip("Z")


def wanted_replicas(live: Json) -> int:
    mode = live["Spec"].get("Mode") or {}
    if "Replicated" in mode:
        return int((mode["Replicated"] or {}).get("Replicas", 1))
    return int((live.get("ServiceStatus") or {}).get("DesiredTasks", 0))


def _error(look: Look) -> str:
    """The newest error of a task of the live revision."""
    told = [task for task in failures(look) if (task.get("Status") or {}).get("Err")]
    if not told:
        return ""
    latest = max(told, key=lambda task: _sortable(task["Status"].get("Timestamp")))
    return f"task {latest.get('Slot') or latest.get('NodeID', '?')} {latest['Status']['State']}: {latest['Status']['Err']}"


def _stuck(look: Look) -> str:
    """Where the newest task that does not run stands."""
    waiting = [
        task for task in look.tasks if (task.get("Status") or {}).get("State") not in (*_ENDED, "running", "shutdown", "remove")
    ]
    if not waiting:
        return f"{running(look)} of {wanted_replicas(look.live)} replicas run"
    latest = max(waiting, key=lambda task: _sortable(task.get("CreatedAt")))
    status = latest["Status"]
    return f"task {latest.get('Slot') or '?'} {status.get('State')}: {status.get('Err') or status.get('Message', '')}"
