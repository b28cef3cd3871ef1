"""Where a task may run: resources, constraints, replicas per node, ports of the host; then the emptiest node."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from controller.model.spec import Json
from controller.simulator.records import Node, Task
from controller.simulator.refusals import rpc
from controller.simulator.store import Store, host_ports

_KEY = re.compile(r"^[a-zA-Z_][a-zA-Z0-9\-_.]+$")
_VALUE = re.compile(r"^[a-zA-Z0-9:\-_\s.*()?+\[\]\\^$|/]+$")


@dataclass(frozen=True, slots=True)
class Constraint:
    key: str
    is_equal: bool
    value: str

    def matches(self, node: Node) -> bool:
        actual = _attribute(self.key, node)
        if actual is None:
            return False  # a key that nobody knows is met by no node
        return (actual.lower() == self.value.lower()) is self.is_equal


def parse(constraint: str) -> Constraint:
    """Raise the manager's refusal for one that it cannot read."""
    for operator, is_equal in (("==", True), ("!=", False)):
        if operator not in constraint:
            continue
        key, value = (part.strip() for part in constraint.split(operator, 1))
        if not _KEY.match(key):
            raise rpc("Unknown", f"key '{key}' is invalid")
        if not _VALUE.match(value):
            raise rpc("Unknown", f"value '{value}' is invalid")
        return Constraint(key, is_equal, value)
    raise rpc("Unknown", "constraint expected one operator from ==, !=")


def meets_constraints(template: Json, node: Node) -> bool:
    return all(parse(text).matches(node) for text in (template.get("Placement") or {}).get("Constraints", ()))


def pick(store: Store, task: Task) -> tuple[Node | None, str]:
    """The node for a task, or why there is none, in the scheduler's words."""
    reasons: dict[str, int] = {}
    fitting = []
    for node in store.nodes.rows.values():
        reason = _objection(store, task, node)
        if reason:
            reasons[reason] = reasons.get(reason, 0) + 1
        else:
            fitting.append(node)
    if fitting:
        return min(fitting, key=lambda node: _load(store, task, node)), ""
    told = "; ".join(
        text.format(count=f"{count} node{'s' if count > 1 else ''}", verb="s" if count > 1 else "")
        for text, count in sorted(reasons.items())
    )
    return None, f"no suitable node ({told})" if told else "no suitable node"


def _objection(store: Store, task: Task, node: Node) -> str:
    if task.node_id and task.node_id != node.id:
        return "another node"  # a global service's task has its node from birth
    if not node.is_schedulable:
        return "{count} not available for new tasks"
    if any(asked > _left(store, node, kind) for kind, asked in _reserved(task).items()):
        return "insufficient resources on {count}"
    if not meets_constraints(task.spec, node):
        return "scheduling constraints not satisfied on {count}"
    limit = (task.spec.get("Placement") or {}).get("MaxReplicas", 0)
    if limit and store.occupied(node.id, task.service_id) >= limit:
        return "max replicas per node limit exceed"
    if any(store.occupied(node.id, *port) for port in host_ports(task)):
        return "host-mode port already in use on {count}"
    return ""


def _reserved(task: Task) -> Mapping[str, int]:
    asked = (task.spec.get("Resources") or {}).get("Reservations") or {}
    return {kind: asked[kind] for kind in ("NanoCPUs", "MemoryBytes") if asked.get(kind)}


def _left(store: Store, node: Node, kind: str) -> int:
    """What its tasks leave of a node."""
    has: int = node.resources[kind]
    return has - sum(_reserved(task).get(kind, 0) for task in store.tasks_of_node(node.id) if task.holds_place)


def _load(store: Store, task: Task, node: Node) -> tuple[int, int]:
    return store.occupied(node.id, task.service_id), store.occupied(node.id)


def _attribute(key: str, node: Node) -> str | None:
    fixed = {
        "node.id": node.id,
        "node.hostname": node.hostname,
        "node.ip": node.address,
        "node.role": str(node.spec["Role"]),
        "node.platform.os": "linux",
        "node.platform.arch": "x86_64",
    }
    if key.lower() in fixed:
        return fixed[key.lower()]
    for prefix in ("node.labels.", "engine.labels."):
        if key.lower().startswith(prefix):
            labels = node.spec.get("Labels") or {} if prefix == "node.labels." else {}
            return str(labels.get(key[len(prefix) :], ""))
    return None
