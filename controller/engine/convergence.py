"""Waiting until what was written runs."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from controller.core.health import is_converged, service_status
from controller.engine.executor import ActionResult
from controller.engine.observer import Observer
from controller.engine.ports import Swarm
from controller.errors import NotConvergedError
from controller.model.observation import Snapshot
from controller.model.plan import Action, ObjectKind, Plan
from controller.model.spec import DesiredService, Json
from controller.model.status import ServiceStatus

POLL_SECONDS = 0.5
_ENDED_BADLY = {
    "paused": "its update is paused",
    "rollback_completed": "Swarm rolled it back",
    "rollback_paused": "its rollback is paused",
}


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


async def converge(
    swarm: Swarm,
    observer: Observer,
    services: Sequence[DesiredService],
    tasks_of: Mapping[str, Sequence[str]],
    *,
    written: frozenset[str],
    deadline: float,
    progress: Progress,
) -> Snapshot:
    """Wait until every replica of the services runs; returns the last look, tasks included.

    `tasks_of` is the filter that lists all their tasks at once. Raises NotConvergedError at the deadline (loop time), or once
    an update of what was `written` has ended badly.
    """
    loop = asyncio.get_running_loop()
    started, good_looks = loop.time(), 0
    while True:
        seen = await look_at_tasks(swarm, await observer.snapshot(since=loop.time()), tasks_of)
        statuses = [service_status(service, seen, None, None) for service in services]
        errors = {status.name: task_error(seen, status.name) for status in statuses}
        unready = [status for status in statuses if not is_converged(status)]
        progress.converging(statuses, {name: text for name, text in errors.items() if text})
        ended = [_bad_end(seen.services.get(name), name, errors.get(name, "")) for name in sorted(written)]
        if any(ended):
            raise NotConvergedError("; ".join(text for text in ended if text))
        good_looks = 0 if unready else good_looks + 1
        # Right after a write the old tasks, or a count of none, look like the end: Swarm has not begun yet.
        if good_looks == (2 if any(_starts_tasks(seen.services.get(name)) for name in written) else 1):
            return seen
        if unready and loop.time() > deadline:
            causes = [f"{status.name}: {errors[status.name] or status.message}" for status in unready]
            raise NotConvergedError(f"not converged in {loop.time() - started:.0f} s: " + "; ".join(causes))
        await asyncio.sleep(POLL_SECONDS)


async def look_at_tasks(swarm: Swarm, snapshot: Snapshot, tasks_of: Mapping[str, Sequence[str]]) -> Snapshot:
    """The snapshot with the tasks that a filter finds, in one call."""
    by_service: dict[str, list[Json]] = {}
    for task in await swarm.list_objects(ObjectKind.TASK, filters=tasks_of):
        by_service.setdefault(task["ServiceID"], []).append(task)
    return replace(snapshot, tasks=by_service)


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


def _starts_tasks(live: Json | None) -> bool:
    mode = (live or {"Spec": {}})["Spec"].get("Mode") or {}
    return (mode.get("Replicated") or {}).get("Replicas") != 0


def _bad_end(live: Json | None, name: str, error: str) -> str:
    """How an update of ours ended, if badly. An old service's status says nothing: a write of ours has reset it."""
    status = (live or {}).get("UpdateStatus") or {}
    if status.get("State") not in _ENDED_BADLY:
        return ""
    return f"{name}: {_ENDED_BADLY[status['State']]}: {error or status.get('Message', '')}"
