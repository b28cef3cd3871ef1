"""Lists and their filters, answered from indexes where there is one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from controller.model.plan import ObjectKind
from controller.simulator.records import Network, Node, Record, Service, Task, TaskState
from controller.simulator.refusals import RefusalError, not_found
from controller.simulator.store import Store
from controller.simulator.table import R, Table

Filters = Mapping[str, Sequence[str]]

_KNOWN = {
    ObjectKind.SERVICE: {"name", "id", "label", "mode", "runtime"},
    ObjectKind.CONFIG: {"name", "id", "label"},
    ObjectKind.SECRET: {"name", "id", "label"},
    ObjectKind.NETWORK: {"name", "id", "label", "driver", "type", "scope", "dangling"},
    ObjectKind.NODE: {"name", "id", "label", "role", "membership", "node.label"},
    ObjectKind.TASK: {"name", "id", "label", "service", "node", "desired-state", "runtime", "up-to-date", "_up-to-date"},
}
_DESIRED = {
    "running": TaskState.RUNNING,
    "shutdown": TaskState.SHUTDOWN,
    "accepted": TaskState.ACCEPTED,
    "remove": TaskState.REMOVE,
}


def check_filters(kind: ObjectKind, filters: Filters) -> None:
    for key in filters:
        if key not in _KNOWN[kind]:
            raise RefusalError(400, f"Invalid filter '{key}'")


def objects(table: Table[R], filters: Filters) -> list[R]:
    """All rows that pass every filter."""
    check_filters(table.kind, filters)
    rows: Iterable[R] = table.rows.values()
    exact = next((text.split("=", 1) for text in filters.get("label", ()) if "=" in text), None)
    if exact is not None:
        rows = table.with_label(exact[0], exact[1])
    tests = _tests(filters)
    return [row for row in rows if all(test(row) for test in tests)] if tests else list(rows)


def tasks(store: Store, filters: Filters) -> list[Task]:
    """Tasks that pass every filter; a service or node that does not exist is refused, as the engine does."""
    check_filters(ObjectKind.TASK, filters)
    rows: Iterable[Task] = store.tasks.values()
    if "service" in filters:
        services = [_required(store.services, reference) for reference in filters["service"]]
        rows = [task for service in services for task in store.tasks_of_service(service.id)]
    if "node" in filters:
        nodes = {_required(store.nodes, reference).id for reference in filters["node"]}
        rows = [task for task in rows if task.node_id in nodes]
    if "desired-state" in filters:
        unknown = [word for word in filters["desired-state"] if word not in _DESIRED]
        if unknown:
            raise RefusalError(400, f"Invalid filter 'desired-state={unknown[0]}'")
        wanted = {_DESIRED[word] for word in filters["desired-state"]}
        rows = [task for task in rows if task.desired in wanted]
    if "id" in filters:
        rows = [task for task in rows if any(task.id.startswith(prefix) for prefix in filters["id"])]
    if "name" in filters:
        rows = [task for task in rows if any(f"{task.service_name}.{task.slot_key}".startswith(name) for name in filters["name"])]
    if "label" in filters:
        rows = [task for task in rows if _carries(task.spec["ContainerSpec"].get("Labels") or {}, filters["label"])]
    return list(rows)


def _required(table: Table[R], reference: str) -> R:
    row = table.get(reference)
    if row is None:
        raise not_found(table.kind.value, reference)
    return row


def _tests(filters: Filters) -> list[Callable[[Record], bool]]:
    tests: list[Callable[[Record], bool]] = []
    for key, values in filters.items():
        make = _TESTS.get(key)
        if make is not None:
            tests.append(make(values))
    return tests


def _by_name(values: Sequence[str]) -> Callable[[Record], bool]:
    def test(row: Record) -> bool:
        if isinstance(row, Network):  # Swarm's own are asked for by their whole name
            return row.name in values if row.scope == "swarm" else any(value in row.name for value in values)
        name = row.hostname if isinstance(row, Node) else getattr(row, "name", "")
        return any(name.startswith(value) for value in values)

    return test


def _by_mode(values: Sequence[str]) -> Callable[[Record], bool]:
    words = {"Replicated": "replicated", "Global": "global", "ReplicatedJob": "replicated-job", "GlobalJob": "global-job"}
    return lambda row: isinstance(row, Service) and words[row.mode.value] in values


def _labels(row: Record) -> Mapping[str, str]:
    spec: Mapping[str, Mapping[str, str]] = getattr(row, "spec", {})
    return spec.get("Labels") or {}


def _carries(labels: Mapping[str, str], wanted: Sequence[str]) -> bool:
    for text in wanted:
        key, equals, value = text.partition("=")
        if key not in labels or (equals and labels[key] != value):
            return False
    return True


def _by_kind(values: Sequence[str]) -> Callable[[Record], bool]:
    builtin = {"bridge", "host", "none", "ingress"}
    return lambda row: isinstance(row, Network) and ("builtin" if row.name in builtin else "custom") in values


_TESTS: dict[str, Callable[[Sequence[str]], Callable[[Record], bool]]] = {
    "name": _by_name,
    "id": lambda values: lambda row: any(row.id.startswith(value) for value in values),
    "label": lambda values: lambda row: _carries(_labels(row), values),
    "node.label": lambda values: lambda row: _carries(_labels(row), values),
    "mode": _by_mode,
    "driver": lambda values: lambda row: isinstance(row, Network) and row.spec["Driver"] in values,
    "scope": lambda values: lambda row: isinstance(row, Network) and row.scope in values,
    "type": _by_kind,
    "role": lambda values: lambda row: isinstance(row, Node) and row.spec["Role"] in values,
}
