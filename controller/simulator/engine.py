"""The simulated Swarm as a whole: what the API can ask of it, and the knobs with which a test breaks it."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from controller.model.plan import ObjectKind
from controller.model.spec import Json
from controller.simulator import listing, validation
from controller.simulator.agents import Agents
from controller.simulator.behaviour import DEFAULT, Behaviour
from controller.simulator.events import EventLog
from controller.simulator.faults import Gate
from controller.simulator.listing import Filters
from controller.simulator.objects import Contents, Networks, Nodes
from controller.simulator.orchestrator import Orchestrator
from controller.simulator.records import Content, Network, Node, Service, Task, TaskState
from controller.simulator.refusals import RefusalError, not_found
from controller.simulator.scheduler import Scheduler
from controller.simulator.services import Services
from controller.simulator.store import Store
from controller.simulator.timeline import DEFAULT_EPOCH_NS, Timeline, Timer
from controller.simulator.views import Views

ENGINE_VERSION = "27.0.0"
DEFAULT_API = (1, 47)
HEARTBEAT_SECONDS = 15.0  # three heartbeats of five seconds, and a node is down


class Simulator:
    """A Swarm of `nodes` nodes, the first of them its manager and the engine that is asked. Time stands still until `advance`."""

    def __init__(
        self, *, nodes: int = 1, seed: int = 1, api_version: tuple[int, int] = DEFAULT_API, epoch_ns: int = DEFAULT_EPOCH_NS
    ) -> None:
        self.api_version = api_version
        self.timeline = Timeline(epoch_ns=epoch_ns)
        self.events = EventLog()
        self.gate = Gate(self.timeline)
        self._losses: dict[str, Timer] = {}  # by node, what tells the manager that it is cut off
        self.images: dict[str, Behaviour] = {}  # by image as in the spec, with or without its digest
        self.store = Store(self.timeline, self.events, seed=seed)
        self.views = Views(self.store)
        self.orchestrator = Orchestrator(self.store)
        self.scheduler = Scheduler(self.store)
        self.agents = Agents(self.store, self.behaviour, lambda: self.node_id)
        self.services = Services(self.store, self.orchestrator, self.scheduler)
        self.networks = Networks(self.store, self.scheduler.network_written)
        self.configs = Contents(self.store, self.store.configs)
        self.secrets = Contents(self.store, self.store.secrets)
        self.nodes = Nodes(self.store, self._node_written)
        self.store.on_task = self._task_written
        self.store.on_service = self._service_written
        self.cluster_id = self.store.new_id()
        self.networks.seed()
        for _ in range(nodes):
            self.add_node()
        self.node_id = next(iter(self.store.nodes.rows))
        self.events.forget()  # what came before the Swarm was there to be asked

    def advance(self, seconds: float) -> None:
        """Let virtual time pass, and with it everything that the Swarm does meanwhile."""
        self.timeline.advance(seconds)

    # What the API asks

    def list_objects(self, kind: ObjectKind, filters: Filters | None = None, *, status: bool = True) -> list[Json]:
        """Shared, read-only views; services with their ServiceStatus where it is asked for and the version has it."""
        filters = filters or {}
        if kind is ObjectKind.TASK:
            return [self.views.show(task) for task in listing.tasks(self.store, filters)]
        if kind is ObjectKind.SERVICE:
            services = listing.objects(self.store.services, filters)
            if not status or self.api_version < (1, 41):
                return [self.views.show(service) for service in services]
            return [{**self.views.show(service), "ServiceStatus": self.views.status_of(service)} for service in services]
        if kind is ObjectKind.NETWORK:
            return [self.views.show(network) for network in listing.objects(self.store.networks, filters)]
        if kind is ObjectKind.NODE:
            return [self.views.show(node) for node in listing.objects(self.store.nodes, filters)]
        table = self.store.configs if kind is ObjectKind.CONFIG else self.store.secrets
        return [self.views.show(content) for content in listing.objects(table, filters)]

    def inspect(self, kind: ObjectKind, reference: str, *, of_swarm: bool = False) -> Json:
        """One object; of a network's name `of_swarm` means what Swarm has by it, where a node has one too."""
        if kind is ObjectKind.NETWORK and of_swarm:
            return self.views.show(self.networks.get_of_swarm(reference))
        if kind is ObjectKind.TASK:
            return self.views.show(self.task(reference))
        return self.views.show(self._one(kind, reference))

    def create(self, kind: ObjectKind, body: Json, *, api: tuple[int, int] | None = None) -> str:
        """Return the new id; a client that speaks an older `api` loses the fields which that does not know."""
        match kind:
            case ObjectKind.SERVICE:
                return self.services.create(body, api=api or self.api_version)
            case ObjectKind.NETWORK:
                return self.networks.create(body)
            case ObjectKind.CONFIG:
                return self.configs.create(body)
            case ObjectKind.SECRET:
                return self.secrets.create(body)
        raise RefusalError(404, "page not found")

    def update(
        self,
        kind: ObjectKind,
        reference: str,
        version: int,
        body: Json,
        *,
        rollback: str = "",
        api: tuple[int, int] | None = None,
    ) -> None:
        match kind:
            case ObjectKind.SERVICE:
                self.services.update(reference, version, body, api=api or self.api_version, rollback=rollback)
            case ObjectKind.CONFIG:
                self.configs.update(reference, version, body)
            case ObjectKind.SECRET:
                self.secrets.update(reference, version, body)
            case ObjectKind.NODE:
                self.nodes.update(reference, version, body)
            case _:
                raise RefusalError(404, "page not found")

    def remove(self, kind: ObjectKind, reference: str) -> None:
        match kind:
            case ObjectKind.SERVICE:
                self.services.remove(reference)
            case ObjectKind.NETWORK:
                self.networks.remove(reference)
            case ObjectKind.CONFIG:
                self.configs.remove(reference)
            case ObjectKind.SECRET:
                self.secrets.remove(reference)
            case ObjectKind.NODE:
                self.nodes.remove(reference)
            case _:
                raise RefusalError(404, "page not found")

    def digest(self, image: str) -> str:
        """What the registry says of an image: the digest of its knob, or one made from its name."""
        if not validation.is_image_reference(image):
            raise RefusalError(400, "invalid reference format")
        acts = self.behaviour(image)
        if not acts.exists:
            raise RefusalError(404, f"manifest unknown: {image}")
        return acts.digest or "sha256:" + hashlib.sha256(image.partition("@")[0].encode()).hexdigest()

    def name_of(self, kind: ObjectKind, reference: str) -> str:
        """`kind/name` for the call log; what does not exist keeps its reference."""
        try:
            row = self._one(kind, reference)
        except RefusalError:
            return f"{kind.value}/{reference}"
        return f"{kind.value}/{row.hostname if isinstance(row, Node) else row.name}"

    # Knobs

    def behaviour(self, image: str) -> Behaviour:
        return self.images.get(image) or self.images.get(image.partition("@")[0]) or DEFAULT

    def service(self, name: str) -> Service:
        return self.services.get(name)

    def task(self, task_id: str) -> Task:
        task = self.store.tasks.get(task_id)
        if task is None:
            raise not_found("task", task_id)
        return task

    def tasks(self, service: str) -> list[Task]:
        """A service's tasks, by slot, the newest of a slot first."""
        found = self.store.tasks_of_service(self.service(service).id)
        return sorted(found, key=lambda task: (str(task.slot_key), -task.created_ns))

    def running(self, service: str) -> list[Task]:
        return [task for task in self.tasks(service) if task.is_up and task.desired is TaskState.RUNNING]

    def kill(self, task_id: str, *, exit_code: int = 137) -> None:
        """End a task's container from outside."""
        self.agents.kill(self.task(task_id), exit_code=exit_code)

    def add_node(self, *, role: str = "", labels: dict[str, str] | None = None) -> Node:
        """Join a node; the first is the manager, named node1."""
        number = len(self.store.nodes.rows) + 1
        spec = {"Labels": labels or {}, "Role": role or ("manager" if number == 1 else "worker"), "Availability": "active"}
        address = f"192.0.2.{number}"
        node = Node(id=self.store.new_id(), spec=spec, hostname=f"node{number}", address=address, leader=number == 1)
        return self.nodes.write(node)

    def set_availability(self, node: str, availability: str) -> None:
        """`active`, `pause` or `drain`, as `docker node update` does it."""
        row = self.nodes.get(node)
        self.nodes.write(replace(row, spec={**row.spec, "Availability": availability}))

    def fail_node(self, node: str, *, noticed_after: float = HEARTBEAT_SECONDS) -> None:
        """Cut a node off; after `noticed_after` seconds the manager calls it down."""
        row = self.nodes.get(node)
        self.agents.node_lost(row.id)
        self._forget_loss(row.id)
        self._losses[row.id] = self.timeline.call_later(
            noticed_after, lambda: self._set_state(row.id, "down", "heartbeat failure")
        )

    def recover_node(self, node: str) -> None:
        """Connect a node again; who is back before anybody noticed was never down."""
        row = self.nodes.get(node)
        self._forget_loss(row.id)
        self._set_state(row.id, "ready", "")
        self.agents.node_back(row.id)

    def take_away(self) -> None:
        """The engine stops answering: every call fails and open streams end."""
        self.gate.away = True
        self.events.close_all()

    def bring_back(self) -> None:
        self.gate.away = False

    # Reactions

    def _forget_loss(self, node_id: str) -> None:
        timer = self._losses.pop(node_id, None)
        if timer is not None:
            timer.cancel()

    def _set_state(self, node_id: str, state: str, message: str) -> None:
        self.nodes.write(replace(self.store.nodes.rows[node_id], state=state, message=message))

    def _node_written(self, node: Node) -> None:
        self.orchestrator.node_written(node)
        self.scheduler.tick_soon()

    def _service_written(self, service: Service) -> None:
        self.scheduler.service_written(service)
        self.orchestrator.service_written(service)

    def _task_written(self, old: Task | None, new: Task | None) -> None:
        self.scheduler.task_written(old, new)
        self.agents.task_written(old, new)
        self.orchestrator.task_written(old, new)
        if new is None and old is not None:
            self.views.forget(old.id)

    def _one(self, kind: ObjectKind, reference: str) -> Service | Network | Node | Content:
        match kind:
            case ObjectKind.SERVICE:
                return self.services.get(reference)
            case ObjectKind.NETWORK:
                return self.networks.get(reference)
            case ObjectKind.CONFIG:
                return self.configs.get(reference)
            case ObjectKind.SECRET:
                return self.secrets.get(reference)
            case ObjectKind.NODE:
                return self.nodes.get(reference)
        raise RefusalError(404, "page not found")
