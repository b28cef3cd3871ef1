"""The Raft store: every write takes the next index, keeps the indexes whole, and tells the event stream."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from controller.model.plan import ObjectKind
from controller.model.spec import Json
from controller.simulator.events import EventLog, event
from controller.simulator.records import Content, Network, Node, Record, Service, Task, TaskState
from controller.simulator.table import R, Table, name_of
from controller.simulator.timeline import Timeline

_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"


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
        self.predefined: dict[str, Network] = {}  # by id: Swarm's stand-ins for what every node has; in no list
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
        self._publishers: dict[tuple[int, str], dict[str, str]] = {}
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
        if old is not None:
            self._unpublish(old)
        for port in _published(row):
            self._publishers.setdefault((port["PublishedPort"], port["Protocol"]), {})[row.id] = port["PublishMode"]
        self._announce("service", row.id, row.name, old, row, _service_changes)
        if self.on_service is not None:
            self.on_service(row)
        return row

    def write_network(self, row: Network) -> Network:
        row = self._stamped(row)
        old = self.networks.put(row)
        self._announce("network", row.id, row.name, old, row, lambda _old, _new: {})
        return row

    def hide(self, row: Network) -> None:
        """Add a stand-in for a network that every node has."""
        self.predefined[row.id] = self._stamped(row)

    def predefined_of_swarm(self, name: str) -> Network | None:
        return next((network for network in self.predefined.values() if network.name == name), None)

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
            self._unpublish(row)
        now = self.timeline.now_ns
        self.events.publish(event(table.kind.value, "remove", row.id, {"name": name_of(row)}, time_ns=now))

    def users(self, object_id: str) -> list[Service]:
        """The services whose current spec refers to a config, secret or network."""
        return [self.services.rows[service_id] for service_id in self._users.get(object_id, ())]

    def publishers(self, port: int, protocol: str) -> dict[str, str]:
        """Service id -> publish mode, of all that publish a port."""
        return self._publishers.get((port, protocol), {})

    def _unpublish(self, row: Service) -> None:
        for port in _published(row):
            self._publishers[port["PublishedPort"], port["Protocol"]].pop(row.id, None)

    # Tasks

    def write_task(self, task: Task, **changes: Any) -> Task:
        """Store a task with these fields changed, or a new one; return it as stored."""
        task = self._stamped(task, **changes)
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
        if not task.holds_place:
            return
        for place in ((task.node_id,), (task.node_id, task.service_id), *((task.node_id, *port) for port in host_ports(task))):
            self._occupied[place] = self._occupied.get(place, 0) + sign

    def _stamped(self, row: _Rec, **changes: Any) -> _Rec:
        self.index += 1
        now = self.timeline.now_ns
        return replace(row, version=self.index, created_ns=row.created_ns or now, updated_ns=now, **changes)

    def _announce(
        self, kind: str, object_id: str, name: str, old: R | None, new: R, changes: Callable[[R, R], dict[str, str]]
    ) -> None:
        attributes = {"name": name} if old is None else {"name": name, **changes(old, new)}
        action = "create" if old is None else "update"
        self.events.publish(event(kind, action, object_id, attributes, time_ns=new.updated_ns))


_Rec = TypeVar("_Rec", bound=Record)


def _published(service: Service) -> list[Json]:
    """Ports of the spec and those that Swarm gave."""
    declared = (service.spec.get("EndpointSpec") or {}).get("Ports", ())
    return [port for port in (*declared, *service.endpoint.get("Ports", ())) if port.get("PublishedPort")]


def host_ports(task: Task) -> set[tuple[int, str]]:
    """The ports of its node that a task takes for itself."""
    ports = (task.endpoint_spec or {}).get("Ports", ())
    return {
        (port["PublishedPort"], port["Protocol"])
        for port in ports
        if port.get("PublishMode") == "host" and port.get("PublishedPort")
    }


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
