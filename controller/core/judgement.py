"""The judgement on a revision that is new: whether it is proven, or bad, or neither yet.

Swarm's updater judges only what fails within its `monitor` time, waits for ever for what never starts, and forgets. Here a
revision is watched until it is proven, with a deadline that progress re-arms, as Nomad's deployment watcher has it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from controller.core.masking import masked_text
from controller.core.replicas import UPDATING, current_tasks
from controller.core.rollout import Turn
from controller.core.values import SECOND
from controller.model.policy import RollbackPolicy
from controller.model.spec import Json

_PAUSED = frozenset({"paused", "rollback_paused"})
_ENDED = frozenset({"failed", "rejected", "complete", "orphaned"})  # `shutdown` is Swarm's own doing
_AT_REST = _ENDED | {"running", "shutdown", "remove"}
_ENDING = frozenset({"shutdown", "remove"})
_GO_ON = "continue"
OVERLOOKED_SECONDS = 1.0  # Swarm's updater stops in the instant in which it counts a failure too many
_MAY_END = frozenset({"none", "on-failure"})  # restart conditions under which a task that ended well has done its work


@dataclass(frozen=True, slots=True)
class Look:
    """One look at a service whose live revision is watched. Times are seconds of one monotonic clock."""

    live: Json
    tasks: Sequence[Json]
    nodes: Sequence[Json]
    policy: RollbackPolicy
    healthy_for: float = 0.0  # since when all replicas are up without a break; 0 where they are not
    idle_for: float = 0.0  # since the last progress
    overlooked_for: float = 0.0  # since Swarm's updater goes on in spite of too many failures
    is_proven: bool = False  # it was stable before
    is_last: bool = False  # there is nothing to go back to from it
    evidence: Sequence[str] = ()  # what measurements say against it
    is_conclusive: bool = True  # every measurement answered

    def at(self, *, healthy_for: float, idle_for: float, overlooked_for: float = 0.0) -> Look:
        return replace(self, healthy_for=healthy_for, idle_for=idle_for, overlooked_for=overlooked_for)

    @property
    def state(self) -> str:
        """Of Swarm's updater; empty where there was nothing to update."""
        return str((self.live.get("UpdateStatus") or {}).get("State", ""))


@dataclass(frozen=True, slots=True)
class Judgement:
    turn: Turn | None = None
    why: str = ""


def judge(look: Look) -> Judgement:
    """Whether the live revision is proven, or bad, or neither yet.

    While Swarm's updater is at work only measurements and the deadline speak: what fails then is the updater's to judge, by
    the rules of `update_config`. Its own rule (more failures than `max_failure_ratio`) goes on here after its `monitor` has
    ended, until the revision is proven; of a task `monitor` ends long before the update does where `delay` lies between two.
    """
    desired = wanted_replicas(look.live)
    short = running(look) < desired
    if look.state in _PAUSED and (short or failures(look)):  # Swarm also pauses where a task has done its work
        message = look.live["UpdateStatus"].get("Message", "")
        return Judgement(Turn.FOUND_BAD, f"its update is paused: {_error(look) or message}")
    if look.evidence:
        return Judgement(Turn.FOUND_BAD, "; ".join(look.evidence))
    if (look.state not in UPDATING or look.overlooked_for >= OVERLOOKED_SECONDS) and _fails(look, desired, short=short):
        return Judgement(Turn.FOUND_BAD, f"{len(failures(look))} of its tasks failed: {_error(look) or _newest(failures(look))}")
    seconds = look.policy.deadline.total_seconds() + _announced(look)
    if short and look.idle_for >= seconds:
        return Judgement(Turn.FOUND_BAD, f"no progress for {seconds:g} s: {_error(look) or _stuck(look)}")
    if not short and not look.is_proven and look.state not in UPDATING and look.is_conclusive:
        needed = look.policy.min_healthy.total_seconds()
        if look.healthy_for >= needed:
            return Judgement(Turn.PROVEN, f"all replicas up for {needed:g} s")
    return Judgement()


def _fails(look: Look, desired: int, *, short: bool) -> bool:
    """Whether more tasks failed than may.

    A single failure says little where the revision is proven, where `failure_action` is to go on, or where nothing better is
    left to run: then a replica must be missing, and one slot have failed twice or, of a proven one, every slot.
    """
    failed, config = failures(look), look.live["Spec"].get("UpdateConfig") or {}
    allowed = config.get("MaxFailureRatio", 0) * max(desired, 1)
    if not (look.is_proven or look.is_last or config.get("FailureAction") == _GO_ON):
        return bool(len(failed) > allowed)
    slots = {_slot(task) for task in failed}
    is_repeated, is_everywhere = len(failed) > len(slots), len(slots) >= max(desired, 2)
    return short and (is_repeated or (look.is_proven and is_everywhere)) and bool(len(failed) > max(allowed, 1))


def is_overlooked(look: Look) -> bool:
    """Whether Swarm's updater goes on although more failed than may: later than `monitor`, or in a task that it did not make."""
    action = (look.live["Spec"].get("UpdateConfig") or {}).get("FailureAction")
    if look.state != "updating" or look.is_proven or look.is_last or action == _GO_ON:
        return False
    return _fails(look, wanted_replicas(look.live), short=True)


def _announced(look: Look) -> float:
    """Seconds that the spec itself has the service wait now: between two steps, for its health, or before a restart."""
    spec, waiting = look.live["Spec"], _waiting(look)
    task = spec.get("TaskTemplate") or {}
    if not waiting:
        nanoseconds = (spec.get("UpdateConfig") or {}).get("Delay", 0) if look.state in UPDATING else 0
    elif any(item["Status"]["State"] == "starting" for item in waiting):
        nanoseconds = ((task.get("ContainerSpec") or {}).get("Healthcheck") or {}).get("StartPeriod", 0)
    elif all(item.get("DesiredState") == "ready" for item in waiting):
        nanoseconds = (task.get("RestartPolicy") or {}).get("Delay", 0)
    else:
        nanoseconds = 0
    return float((nanoseconds or 0) / SECOND)


def failures(look: Look) -> list[Json]:
    """Tasks of the live revision that ended by themselves since it was written, and not because their work was done."""
    done = {task["ID"] for task in _finished(look.live, look.tasks)}
    return [
        task
        for task in look.tasks
        if (task.get("Status") or {}).get("State") in _ENDED and _is_own(task, look.live) and task["ID"] not in done
    ]


def running(look: Look) -> int:
    """Replicas that are up and of the live spec, or have done their work."""
    return len(serving(look.live, look.tasks, look.nodes))


def serving(live: Json, tasks: Sequence[Json], nodes: Sequence[Json]) -> list[Json]:
    """Tasks of the live spec that run, or ended well where they are not restarted then."""
    return current_tasks(live, tasks, nodes) + _finished(live, tasks)


def _finished(live: Json, tasks: Sequence[Json]) -> list[Json]:
    policy = (live["Spec"].get("TaskTemplate") or {}).get("RestartPolicy") or {}
    if policy.get("Condition", "any") not in _MAY_END:
        return []
    return [task for task in tasks if (task.get("Status") or {}).get("State") == "complete" and _is_own(task, live)]


def _is_own(task: Json, live: Json) -> bool:
    """Of the live spec, and made since that was written."""
    template = live["Spec"].get("TaskTemplate") or {}
    is_same = (task.get("Spec") or {}).get("ContainerSpec") == template.get("ContainerSpec")
    return is_same and sortable(task.get("CreatedAt")) >= began(live)


def began(live: Json) -> str:
    """When the live spec began to roll out, by the engine's own clock."""
    return sortable((live.get("UpdateStatus") or {}).get("StartedAt") or live.get("UpdatedAt"))


def sortable(stamp: object) -> str:
    """RFC 3339 sorts as text once the Z is off: it would rank above the digits of a longer fraction."""
    return str(stamp or "").rstrip("Z")


def wanted_replicas(live: Json) -> int:
    mode = live["Spec"].get("Mode") or {}
    if "Replicated" in mode:
        return int((mode["Replicated"] or {}).get("Replicas", 1))
    return int((live.get("ServiceStatus") or {}).get("DesiredTasks", 0))


def _waiting(look: Look) -> list[Json]:
    """Tasks that shall run and do not yet."""
    return [
        task
        for task in look.tasks
        if (task.get("Status") or {}).get("State") not in _AT_REST and task.get("DesiredState") not in _ENDING
    ]


def _slot(task: Json) -> object:
    return task.get("Slot") or task.get("NodeID", "?")


def _error(look: Look) -> str:
    """The newest error of a task of the live revision."""
    told = [task for task in failures(look) if (task.get("Status") or {}).get("Err")]
    return _newest(told) if told else ""


def _newest(ended: Sequence[Json]) -> str:
    """How the last of these tasks ended; masked, for an error may quote a command line. One that was unhealthy may have none."""
    latest = max(ended, key=lambda task: sortable(task["Status"].get("Timestamp")))
    status = latest["Status"]
    return f"task {_slot(latest)} {status['State']}: {masked_text(status.get('Err') or status.get('Message', ''))}"


def _stuck(look: Look) -> str:
    """Where the newest task that does not run stands."""
    waiting = _waiting(look)
    if not waiting:
        return f"{running(look)} of {wanted_replicas(look.live)} replicas run"
    latest = max(waiting, key=lambda task: sortable(task.get("CreatedAt")))
    status = latest["Status"]
    return f"task {_slot(latest)} {status.get('State')}: {masked_text(status.get('Err') or status.get('Message', ''))}"
