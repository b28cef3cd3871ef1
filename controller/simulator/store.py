"""The Raft store: every write takes the next index, keeps the indexes whole, and tells the event stream."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from controller.model.plan import ObjectKind
from controller.model.spec import Json
from controller.simulator.events import EventLog, event
from controller.simulator.records import Content, Network, Node, Record, Service, Task, TaskState
from controller.simulator.timeline import Timeline

_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"

R = TypeVar("R", Service, Network, Content, Node)


class Table(Generic[R]):
    """One collection, by id, by name and by label."""

    def __init__(self, kind: ObjectKind) -> None:
        self.kind = kind
        self.rows: dict[str, R] = {}
        self._ids: dict[str, str] = {}  # by name
        self._labelled: dict[tuple[str, str], dict[str, None]] = {}

    def get(self, reference: str) -> R | None:
        """By id, by name, or by an unambiguous beginning of the id, as the engine's paths take it."""
        row = self.rows.get(reference) or self.by_name(reference)
        if row is None and reference:
            matches = [row for key, row in self.rows.items() if key.startswith(reference)]
            row = matches[0] if len(matches) == 1 else None
        return row

    def by_name(self, name: str) -> R | None:
        return self.rows.get(self._ids.get(name, ""))

    def with_label(self, key: str, value: str) -> Iterator[R]:
        return (self.rows[row_id] for row_id in self._labelled.get((key, value), ()))

    def put(self, row: R) -> R | None:
        """Store it and return what was there."""
        old = self.rows.get(row.id)
        if old is not None:
            self._unlabel(old)
        self.rows[row.id] = row
        self._ids[_name(row)] = row.id
        for pair in _labels(row).items():
            self._labelled.setdefault(pair, {})[row.id] = None
        return old

    def drop(self, row: R) -> None:
        self._unlabel(row)
        del self.rows[row.id]
        self._ids.pop(_name(row), None)

    def _unlabel(self, row: R) -> None:
        for pair in _labels(row).items():
            members = self._labelled[pair]
            del members[row.id]
            if not members:
                del self._labelled[pair]


@dataclass(slots=True)
class TaskCounts:
    """What `ServiceStatus` is made of."""

    running: int = 0
    wanted: int = 0
    complete: int = 0

    def add(self, task: Task, sign: int) -> None:
        if task.state is TaskState.RUNNING:
            self.running += sign
        if task.desired is TaskState.RUNNING:
            self.wanted += sign
        if task.state is TaskState.COMPLETE:
            self.complete += sign


class Store:
    def __init__(self, timeline: Timeline, events: EventLog, *, seed: int) -> None:
        self.timeline = timeline
        self.events = events
        self.index = 10  # a fresh Swarm has written about that much about itself
        self.services: Table[Service] = Table(ObjectKind.SERVICE)
        self.networks: Table[Network] = Table(ObjectKind.NETWORK)
        self.configs: Table[Content] = Table(ObjectKind.CONFIG)
        self.secrets: Table[Content] = Table(ObjectKind.SECRET)
        self.nodes: Table[Node] = Table(ObjectKind.NODE)
        self.tasks: dict[str, Task] = {}
        self.counts: dict[str, TaskCounts] = {}  # by service id; outlives the service while it has tasks
        self.on_task: Callable[[Task | None, Task | None], None] | None = None  # (old, new), after every task write
        self.on_service: Callable[[Service], None] | None = None  # after every service write
        self._of_service: dict[str, dict[str, Task]] = {}
        self._of_slot: dict[tuple[str, int | str], dict[str, Task]] = {}
        self._of_node: dict[str, dict[str, Task]] = {}
        self._users: dict[str, dict[str, None]] = {}  # config, secret or network id -> service ids
        self._occupied: dict[tuple[object, ...], int] = {}
        self._random = random.Random(seed)  # noqa: S311 - ids that repeat from run to run are the point

    def new_id(self, *, length: int = 25) -> str:
        return "".join(self._random.choices(_ALPHABET, k=length))

    def container_id(self) -> str:
        return f"{self._random.getrandbits(256):064x}"

    # Objects

    def write_service(self, row: Service) -> Service:
        row = self._stamped(row)
        old = self.services.put(row)
        for used in _references(old) - _references(row):
            self._users[used].pop(row.id)
        for used in _references(row) - _references(old):
            self._users.setdefault(used, {})[row.id] = None
        self._announce("service", row.id, row.name, old, row, _service_changes)
        if self.on_service is not None:
            self.on_service(row)
        return row

    def write_network(self, row: Network) -> Network:
        row = self._stamped(row)
        old = self.networks.put(row)
        self._announce("network", row.id, row.name, old, row, lambda _old, _new: {})
        return row

    def write_content(self, row: Content) -> Content:
        row = self._stamped(row)
        table = self.configs if row.kind is ObjectKind.CONFIG else self.secrets
        self._announce(row.kind.value, row.id, row.name, table.put(row), row, lambda _old, _new: {})
        return row

    def write_node(self, row: Node) -> Node:
        row = self._stamped(row)
        self._announce("node", row.id, row.hostname, self.nodes.put(row), row, _node_changes)
        return row

    def drop(self, table: Table[R], row: R) -> None:
        self.index += 1
        table.drop(row)
        if isinstance(row, Service):
            for used in _references(row):
                self._users[used].pop(row.id)
        now = self.timeline.now_ns
        self.events.publish(event(table.kind.value, "remove", row.id, {"name": _name(row)}, time_ns=now))

    def users(self, object_id: str) -> list[Service]:
        """The services whose current spec refers to a config, secret or network."""
        return [self.services.rows[service_id] for service_id in self._users.get(object_id, ())]

    # Tasks

    def write_task(self, task: Task) -> Task:
        task = self._stamped(task)
        old = self.tasks.get(task.id)
        self.tasks[task.id] = task
        self._of_service.setdefault(task.service_id, {})[task.id] = task
        if old is not None and old.slot_key != task.slot_key:
            self._leave_slot(old)
        self._of_slot.setdefault((task.service_id, task.slot_key), {})[task.id] = task
        if task.node_id:
            self._of_node.setdefault(task.node_id, {})[task.id] = task
        counts = self.counts.setdefault(task.service_id, TaskCounts())
        if old is not None:
            counts.add(old, -1)
            self._occupy(old, -1)
        counts.add(task, 1)
        self._occupy(task, 1)
        if self.on_task is not None:
            self.on_task(old, task)
        return task

    def drop_task(self, task: Task) -> None:
        self.index += 1
        del self.tasks[task.id]
        self._leave_slot(task)
        siblings = self._of_service[task.service_id]
        del siblings[task.id]
        self.counts[task.service_id].add(task, -1)
        self._occupy(task, -1)
        if not siblings:
            del self._of_service[task.service_id]
            del self.counts[task.service_id]
        if task.node_id:
            del self._of_node[task.node_id][task.id]
        if self.on_task is not None:
            self.on_task(task, None)

    def tasks_of_service(self, service_id: str) -> list[Task]:
        return list(self._of_service.get(service_id, {}).values())

    def tasks_of_slot(self, service_id: str, slot_key: int | str) -> list[Task]:
        return list(self._of_slot.get((service_id, slot_key), {}).values())

    def tasks_of_node(self, node_id: str) -> list[Task]:
        return list(self._of_node.get(node_id, {}).values())

    def _leave_slot(self, task: Task) -> None:
        slot = self._of_slot[task.service_id, task.slot_key]
        del slot[task.id]
        if not slot:
            del self._of_slot[task.service_id, task.slot_key]

    def occupied(self, *place: object) -> int:
        """How many live tasks there are on (node,), (node, service id) or (node, port, protocol)."""
        return self._occupied.get(place, 0)

    def _occupy(self, task: Task, sign: int) -> None:
        if not task.node_id or task.has_ended or task.desired > TaskState.COMPLETE or task.state < TaskState.ASSIGNED:
            return
        for place in ((task.node_id,), (task.node_id, task.service_id), *((task.node_id, *port) for port in host_ports(task))):
            self._occupied[place] = self._occupied.get(place, 0) + sign

    def _stamped(self, row: _Rec) -> _Rec:
        self.index += 1
        now = self.timeline.now_ns
        return replace(row, version=self.index, created_ns=row.created_ns or now, updated_ns=now)

    def _announce(
        self, kind: str, object_id: str, name: str, old: R | None, new: R, changes: Callable[[R, R], dict[str, str]]
    ) -> None:
        attributes = {"name": name} if old is None else {"name": name, **changes(old, new)}
        action = "create" if old is None else "update"
        self.events.publish(event(kind, action, object_id, attributes, time_ns=new.updated_ns))


_Rec = TypeVar("_Rec", bound=Record)


def host_ports(task: Task) -> set[tuple[int, str]]:
    """The ports of its node that a task takes for itself."""
    ports = (task.endpoint_spec or {}).get("Ports", ())
    return {
        (port["PublishedPort"], port["Protocol"])
        for port in ports
        if port.get("PublishMode") == "host" and port.get("PublishedPort")
    }


def _name(row: Service | Network | Content | Node) -> str:
    return row.hostname if isinstance(row, Node) else row.name


def _labels(row: Service | Network | Content | Node) -> Mapping[str, str]:
    return row.spec.get("Labels") or {}


def _references(service: Service | None) -> set[str]:
    """Ids of the configs, secrets and networks of a service's current spec."""
    if service is None:
        return set()
    container = service.template["ContainerSpec"]
    used = {ref["ConfigID"] for ref in container.get("Configs", ())}
    used |= {ref["SecretID"] for ref in container.get("Secrets", ())}
    return used | {attachment["Target"] for attachment in service.template.get("Networks", ())}


def _service_changes(old: Service, new: Service) -> dict[str, str]:
    """The attributes with which the engine says what an update changed."""
    changes: dict[str, str] = {}
    if old.image != new.image:
        changes |= {"image.old": old.image, "image.new": new.image}
    before, after = (_replicas(service) for service in (old, new))
    if before != after:
        changes |= {"replicas.old": before, "replicas.new": after}
    state_before = old.update_status.state.value if old.update_status else ""
    state_after = new.update_status.state.value if new.update_status else ""
    if state_before != state_after:
        changes |= {key: word for key, word in (("updatestate.old", state_before), ("updatestate.new", state_after)) if word}
    return changes


def _replicas(service: Service) -> str:
    count: Json = service.spec["Mode"].get("Replicated", {})
    return str(count.get("Replicas", ""))


def _node_changes(old: Node, new: Node) -> dict[str, str]:
    changes: dict[str, str] = {}
    for key, before, after in (
        ("state", old.state, new.state),
        ("availability", old.spec["Availability"], new.spec["Availability"]),
        ("role", old.spec["Role"], new.spec["Role"]),
    ):
        if before != after:
            changes |= {f"{key}.old": before, f"{key}.new": after}
    return changes
