"""Make the Swarm match one stack, once, and wait until it does."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from controller.core.health import is_converged, may_be_depended_on, service_status
from controller.core.planner import Options, ServicePlanner, make_plan
from controller.engine.executor import ActionResult, Executor
from controller.engine.memory import Memory
from controller.engine.observer import Observer
from controller.engine.ports import Swarm
from controller.engine.records import ActionOutcome
from controller.errors import NotConvergedError, ProdBreakerError
from controller.model.observation import Snapshot
from controller.model.plan import Action, ObjectKind, Plan, Reason, Verb
from controller.model.spec import STACK_LABEL, DesiredStack, Json
from controller.model.status import ServiceStatus

_BLOCKING = frozenset(
    {
        Reason.FOREIGN,
        Reason.UNRESOLVED_IMAGE,
        Reason.WAITS,
        Reason.PAUSED,
        Reason.DRIFT_REPORTED,
        Reason.IMPOSSIBLE,
        Reason.QUARANTINED,
    }
)
_ENDED_BADLY = {
    "paused": "its update is paused",
    "rollback_completed": "Swarm rolled it back",
    "rollback_paused": "its rollback is paused",
}
_POLL_SECONDS = 0.5
_ATTEMPTS = 8  # against other writers, before they are reported


class Progress(Protocol):
    """Where a command shows what goes on."""

    def planned(self, plan: Plan) -> None: ...

    def acted(self, result: ActionResult) -> None: ...

    def waits(self, action: Action, unready: Sequence[str]) -> None:
        """A service is created only after others; told once per service."""
        ...

    def waited_enough(self, action: Action, unready: Sequence[str]) -> None: ...

    def converging(self, statuses: Sequence[ServiceStatus], errors: Mapping[str, str]) -> None:
        """How the services stand, and by service the newest error of a task."""
        ...


@dataclass(frozen=True, slots=True)
class Limits:
    timeout_seconds: float = 600.0
    wait: bool = True


async def plan_stack(
    swarm: Swarm, observer: Observer, memory: Memory, desired: DesiredStack, options: Options, *, since: float
) -> Plan:
    """Make the plan on a snapshot no older than loop time `since`, the registry asked where it has to be."""
    return (await _look(swarm, observer, memory, desired, options, since))[1]


async def apply_stack(
    swarm: Swarm, executor: Executor, desired: DesiredStack, options: Options, limits: Limits, progress: Progress
) -> None:
    """Carry out the plan until nothing is left of it, then wait for the tasks.

    Raises NotConvergedError at the timeout or when an update ends badly, ProdBreakerError with every refusal.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + limits.timeout_seconds
    observer, memory = Observer(swarm), Memory()
    waiting: dict[str, float] = {}
    written: set[str] = set()
    conflicts = 0
    snapshot, plan = await _look(swarm, observer, memory, desired, options, loop.time())
    progress.planned(plan)
    while True:
        ready, deferred = _gate(plan, desired, snapshot, waiting, progress)
        results = await _execute(executor, ready, snapshot, observer, progress)
        written |= {result.action.name for result in results if result.action.kind is ObjectKind.SERVICE}
        undone = [result for result in results if result.outcome is not ActionOutcome.DONE]
        conflicts = conflicts + 1 if undone else 0
        if conflicts == _ATTEMPTS:
            raise ProdBreakerError(f"{undone[0].action.name}: given up after {conflicts} attempts: {undone[0].message}")
        waits = [f"{action.name} still waits for what it depends on" for action in deferred]
        waits += [f"{notice.name}: {notice.message}" for notice in plan.notices if notice.reason is Reason.UPDATE_RUNNING]
        if not (undone or waits or (results and _may_go_on(plan))):
            break
        if waits and loop.time() > deadline:
            raise NotConvergedError("; ".join(waits))
        if undone:
            await asyncio.sleep(random.uniform(0.05, 0.2) * conflicts)  # noqa: S311 - keeps two writers apart, guards nothing
        elif not results:
            await asyncio.sleep(_POLL_SECONDS)
        snapshot, plan = await _look(swarm, observer, memory, desired, options, loop.time())
    _refuse_blocked(plan)
    if limits.wait:
        await _converge(swarm, observer, desired, written, deadline, progress)


async def _look(
    swarm: Swarm, observer: Observer, memory: Memory, desired: DesiredStack, options: Options, since: float
) -> tuple[Snapshot, Plan]:
    snapshot = await observer.snapshot(since=since, shared_since=since)
    planner = ServicePlanner(desired, snapshot, memory.knowledge(desired, snapshot), options)
    questions = {planner.image_to_ask(service) for service in desired.services.values()} - {None}
    if questions:
        await memory.ask(swarm, [image for image in questions if image is not None])
    return snapshot, make_plan(desired, snapshot, memory.knowledge(desired, snapshot), options)


def _gate(
    plan: Plan, desired: DesiredStack, snapshot: Snapshot, waiting: dict[str, float], progress: Progress
) -> tuple[Plan, list[Action]]:
    """The part of the plan that may go on now, and the services that wait for others. Removals come when nothing waits."""
    now = asyncio.get_running_loop().time()
    is_ready = {service.name: may_be_depended_on(service, snapshot) for service in desired.services.values()}
    ready: list[Action] = []
    deferred: list[Action] = []
    deadlines = {service.name: service.policy.rollback.deadline.total_seconds() for service in desired.services.values()}
    for action in plan.actions:
        names = [name for name in action.after if not is_ready[name]]
        if not names:
            ready.append(action)
            continue
        if action.name not in waiting:
            waiting[action.name] = now
            progress.waits(action, names)
        if now - waiting[action.name] > deadlines[action.name]:
            progress.waited_enough(action, names)
            ready.append(action)
        else:
            deferred.append(action)
    if deferred:
        ready = [action for action in ready if action.verb is not Verb.REMOVE]
    return replace(plan, actions=tuple(ready)), deferred


def _may_go_on(plan: Plan) -> bool:
    """Whether a further look may find more to do: secrets that wait for the key, or things to remove after their users."""
    return any(notice.reason is Reason.WAITS for notice in plan.notices) or any(
        action.verb is Verb.REMOVE or action.reason is Reason.EDITED for action in plan.actions
    )


async def _execute(
    executor: Executor, plan: Plan, snapshot: Snapshot, observer: Observer, progress: Progress
) -> list[ActionResult]:
    async def report(result: ActionResult) -> None:
        progress.acted(result)

    results = await executor.execute(plan, snapshot, report)
    for kind in {result.action.kind for result in results}:
        observer.invalidate(kind)
    refused = [result for result in results if result.outcome is ActionOutcome.REFUSED]
    if refused:
        raise ProdBreakerError(
            "\n".join(f"{item.action.verb} {item.action.kind} {item.action.name}: {item.message}" for item in refused)
        )
    return results


def _refuse_blocked(plan: Plan) -> None:
    blocked = [notice for notice in plan.notices if notice.reason in _BLOCKING]
    blocked += [notice for notice in plan.notices if notice.reason is Reason.IMMUTABLE and notice.kind is ObjectKind.SERVICE]
    if blocked:
        raise ProdBreakerError("\n".join(f"{notice.kind} {notice.name}: {notice.message}" for notice in blocked))


async def _converge(
    swarm: Swarm, observer: Observer, desired: DesiredStack, written: set[str], deadline: float, progress: Progress
) -> None:
    loop = asyncio.get_running_loop()
    started, good_looks = loop.time(), 0
    while True:
        snapshot = await observer.snapshot(since=loop.time())
        tasks = await swarm.list_objects(ObjectKind.TASK, filters={"label": [f"{STACK_LABEL}={desired.name}"]})
        by_service: dict[str, list[Json]] = {}
        for task in tasks:
            by_service.setdefault(task["ServiceID"], []).append(task)
        seen = replace(snapshot, tasks=by_service)
        statuses = [service_status(service, seen, None, None) for service in desired.services.values()]
        errors = {status.name: task_error(seen, status.name) for status in statuses}
        unready = [status for status in statuses if not is_converged(status)]
        progress.converging(statuses, {name: text for name, text in errors.items() if text})
        ended = [_bad_end(seen.services.get(name), name, errors.get(name, "")) for name in sorted(written)]
        if any(ended):
            raise NotConvergedError("; ".join(text for text in ended if text))
        good_looks = 0 if unready else good_looks + 1
        # Right after a write the old tasks, or a count of none, look like the end: Swarm has not begun yet.
        if good_looks == (2 if any(_starts_tasks(seen.services.get(name)) for name in written) else 1):
            return
        if unready and loop.time() > deadline:
            causes = [f"{status.name}: {errors[status.name] or status.message}" for status in unready]
            raise NotConvergedError(f"not converged in {loop.time() - started:.0f} s: " + "; ".join(causes))
        await asyncio.sleep(_POLL_SECONDS)


def _starts_tasks(live: Json | None) -> bool:
    mode = (live or {"Spec": {}})["Spec"].get("Mode") or {}
    return (mode.get("Replicated") or {}).get("Replicas") != 0


def task_error(snapshot: Snapshot, name: str) -> str:
    """The newest error of a service's tasks, with the task's place; empty when there is none."""
    live = snapshot.services.get(name)
    tasks = (snapshot.tasks or {}).get(live["ID"], ()) if live else ()
    failed = [task for task in tasks if (task.get("Status") or {}).get("Err")]
    if not failed:
        return ""
    newest = max(failed, key=lambda task: str(task["Status"].get("Timestamp", "")))
    hosts = {node["ID"]: (node.get("Description") or {}).get("Hostname", node["ID"]) for node in snapshot.nodes}
    place = newest.get("Slot") or hosts.get(newest.get("NodeID", ""), "?")
    return f"task {place} {newest['Status'].get('State')}: {newest['Status']['Err']}"


def _bad_end(live: Json | None, name: str, error: str) -> str:
    """How an update of ours ended, if badly. An old service's status says nothing: a write of ours has reset it."""
    status = (live or {}).get("UpdateStatus") or {}
    if status.get("State") not in _ENDED_BADLY:
        return ""
    return f"{name}: {_ENDED_BADLY[status['State']]}: {error or status.get('Message', '')}"
