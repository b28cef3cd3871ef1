"""Which tasks count as replicas, and how many there should be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from controller.model.observation import Snapshot
from controller.model.spec import Json

GOING_BACK = "rollback_started"
UPDATING = frozenset({"updating", GOING_BACK})  # Swarm's updater is at work
TAKEN_BACK = "update rolled back due to failure"  # how its message begins where nobody else asked it to go back
ROLLED_BACK = frozenset({GOING_BACK, "rollback_paused", "rollback_completed"})


def replica_counts(live: Json, snapshot: Snapshot) -> tuple[int, int]:
    """Tasks that run and tasks that are asked for; a finished task of a job counts as one that runs."""
    counts: Mapping[str, int] = live.get("ServiceStatus") or {}
    running = counts.get("RunningTasks", 0) + counts.get("CompletedTasks", 0)
    desired = counts.get("DesiredTasks", 0)
    mode = live["Spec"].get("Mode") or {}
    if "Replicated" in mode:
        desired = (mode["Replicated"] or {}).get("Replicas", 1)
    elif "ReplicatedJob" in mode:
        job = mode["ReplicatedJob"] or {}
        desired = job.get("TotalCompletions", job.get("MaxConcurrent", 1))
    if snapshot.tasks is not None and "Replicated" in mode:
        running = len(current_tasks(live, snapshot.tasks.get(live["ID"], ()), snapshot.nodes))
    return running, desired


def current_tasks(live: Json, tasks: Sequence[Json], nodes: Sequence[Json]) -> list[Json]:
    """Tasks that count as replicas: running, meant to run, of the current spec, on a node that is ready."""
    ready = {node["ID"] for node in nodes if (node.get("Status") or {}).get("State") == "ready"}
    template = live["Spec"].get("TaskTemplate") or {}
    return [
        task
        for task in tasks
        if (task.get("Status") or {}).get("State") == "running"
        and task.get("DesiredState") == "running"
        and (not nodes or task.get("NodeID") in ready)
        and _is_current(task.get("Spec") or {}, template)
    ]


def _is_current(spec: Json, template: Json) -> bool:
    """Both sides were written by the engine from the same spec, so what is equal is equal to the letter."""
    return all(spec.get(key) == template.get(key) for key in ("ContainerSpec", "Resources", "LogDriver")) and spec.get(
        "ForceUpdate", 0
    ) == template.get("ForceUpdate", 0)
