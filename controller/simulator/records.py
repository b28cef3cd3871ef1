"""What the Swarm stores: frozen records, replaced whole by every write."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum, StrEnum

from controller.model.plan import ObjectKind
from controller.model.spec import Json

TASK_HISTORY_LIMIT = 5  # tasks kept per slot


class TaskState(IntEnum):
    """A task's life, in swarmkit's order: what is above RUNNING has ended."""

    NEW = 0
    PENDING = 64
    ASSIGNED = 192
    ACCEPTED = 256
    PREPARING = 320
    READY = 384
    STARTING = 448
    RUNNING = 512
    COMPLETE = 576
    SHUTDOWN = 640
    FAILED = 704
    REJECTED = 768
    REMOVE = 800
    ORPHANED = 832

    @property
    def word(self) -> str:
        return self.name.lower()


class UpdateState(StrEnum):
    UPDATING = "updating"
    PAUSED = "paused"
    COMPLETED = "completed"
    ROLLBACK_STARTED = "rollback_started"
    ROLLBACK_PAUSED = "rollback_paused"
    ROLLBACK_COMPLETED = "rollback_completed"


class Mode(StrEnum):
    REPLICATED = "Replicated"
    GLOBAL = "Global"
    REPLICATED_JOB = "ReplicatedJob"
    GLOBAL_JOB = "GlobalJob"


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateStatus:
    state: UpdateState
    message: str
    started_ns: int | None = None
    completed_ns: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """Anything with an id and a place in the Raft log."""

    id: str
    version: int = 0
    created_ns: int = 0
    updated_ns: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Named(Record):
    """An object that the API writes; `spec` is complete, as the engine would return it."""

    spec: Json

    @property
    def name(self) -> str:
        name: str = self.spec["Name"]
        return name


@dataclass(frozen=True, slots=True, kw_only=True)
class Service(Named):
    previous_spec: Json | None = None
    spec_version: int = 0  # a task made from the same number is of the current spec
    previous_spec_version: int = 0
    update_status: UpdateStatus | None = None
    endpoint: Json = field(default_factory=lambda: {"Spec": {}})
    job_iteration: int | None = None
    job_started_ns: int = 0

    @property
    def mode(self) -> Mode:
        return Mode(next(iter(self.spec["Mode"])))

    @property
    def replicas(self) -> int:
        count: int = self.spec["Mode"]["Replicated"]["Replicas"]
        return count

    @property
    def template(self) -> Json:
        template: Json = self.spec["TaskTemplate"]
        return template

    @property
    def image(self) -> str:
        image: str = self.template["ContainerSpec"]["Image"]
        return image


@dataclass(frozen=True, slots=True, kw_only=True)
class Network(Named):
    """`spec` is the body of the create call, with its defaults; `predefined` ones belong to a node or to Swarm itself."""

    subnet: str | None = None  # None: not allocated, tasks that need it stay `new`
    gateway: str | None = None
    vxlan: int = 0
    scope: str = "swarm"
    predefined: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Content(Named):
    """A config or a secret."""

    kind: ObjectKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Node(Record):
    spec: Json
    hostname: str
    address: str
    state: str = "ready"  # or `down`
    message: str = ""
    leader: bool = False
    resources: Json = field(default_factory=lambda: {"NanoCPUs": 4_000_000_000, "MemoryBytes": 8 << 30})

    @property
    def is_schedulable(self) -> bool:
        return self.state == "ready" and self.spec["Availability"] == "active"

    @property
    def is_invalid(self) -> bool:
        """No task may stay here."""
        return self.state == "down" or self.spec["Availability"] == "drain"


@dataclass(frozen=True, slots=True, kw_only=True)
class Task(Record):
    service_id: str
    service_name: str
    slot: int  # 0 for global services and jobs
    spec: Json  # the service's TaskTemplate
    endpoint_spec: Json | None
    spec_version: int
    desired: TaskState
    state: TaskState = TaskState.NEW
    node_id: str = ""
    status_ns: int = 0
    message: str = "created"
    err: str = ""
    container_id: str = ""
    exit_code: int = 0
    addresses: tuple[tuple[str, str], ...] = ()  # (network id, address)
    job_iteration: int | None = None

    @property
    def slot_key(self) -> int | str:
        """What replaces what: the slot, or for a global service the node."""
        return self.slot or self.node_id

    @property
    def is_up(self) -> bool:
        return self.state is TaskState.RUNNING

    @property
    def has_ended(self) -> bool:
        return self.state > TaskState.RUNNING

    @property
    def holds_place(self) -> bool:
        """Whether it takes of its node what others then cannot have."""
        is_wanted = self.desired <= TaskState.COMPLETE and not self.has_ended
        return bool(self.node_id) and is_wanted and self.state >= TaskState.ASSIGNED
