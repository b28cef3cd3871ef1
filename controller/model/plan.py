"""A plan: a value that says what would be written and why, before anything is."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from controller.model.spec import Json


class ObjectKind(StrEnum):
    """The engine's collections, in the words of its paths."""

    SERVICE = "service"
    TASK = "task"
    NETWORK = "network"
    CONFIG = "config"
    SECRET = "secret"  # noqa: S105 - the collection, not a password
    NODE = "node"


class Verb(StrEnum):
    CREATE = "create"
    UPDATE = "update"
    REMOVE = "remove"


class Restart(StrEnum):
    """What a write does to the tasks that run."""

    NONE = "none"
    ROLLING = "rolling"  # every task is replaced, by Swarm's updater
    UNLESS_FITTING = "unless fitting"  # only tasks whose node no longer meets the placement
    START = "start"  # a new service's first tasks
    STOP = "stop"  # a removed service's last


class Reason(StrEnum):
    """Why an action stands in a plan, or why there is none although something differs."""

    MISSING = "missing"
    DRIFT = "drift"  # live was changed, the declaration was not
    EDITED = "edited"  # the declaration was changed
    ROLLBACK = "rolled back"  # the declared revision is bad; an earlier one takes its place
    NOT_DECLARED = "not declared"
    UNUSED_VERSION = "unused version"
    REVISION = "remembers a revision"
    UPDATE_RUNNING = "Swarm's updater is at work"
    DRIFT_REPORTED = "drift is only reported"
    DRIFT_IGNORED = "drift is ignored"
    QUARANTINED = "the declared revision is bad"
    IMPOSSIBLE = "no node can take it"
    HELD = "held until somebody looks"
    BRAKE = "the brake is on"
    TURN = "waits its turn"  # it rests after its last correction, or enough others are in change
    STANDBY = "another controller leads"
    PAUSED = "paused"
    OWN_STACK = "the controller's own stack"
    WAITS = "waits for what it depends on"
    IMMUTABLE = "cannot be changed in place"
    UNRESOLVED_IMAGE = "image cannot be resolved"
    FOREIGN = "not this stack's"
    UNKNOWN_CONTENT = "content cannot be compared"


@dataclass(frozen=True, slots=True)
class Change:
    """One field that differs; `old` and `new` are printable and already masked. None: not set."""

    field: str  # path in the stack file's words, such as `environment.LOG_LEVEL`
    old: str | None
    new: str | None


@dataclass(frozen=True, slots=True)
class Action:
    """One write."""

    verb: Verb
    kind: ObjectKind
    name: str  # the real name
    reason: Reason
    changes: tuple[Change, ...] = ()
    restart: Restart = Restart.NONE
    after: tuple[str, ...] = ()  # real names of services that must be healthy before this one is created
    needs: tuple[tuple[ObjectKind, str], ...] = ()  # objects, by kind and real name, that must exist before the write
    object_id: str = ""  # of what is updated or removed
    version: int = 0  # that the decision was made on
    body: Json = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that differs or is wrong and that this plan leaves alone."""

    kind: ObjectKind
    name: str
    reason: Reason
    message: str
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    stack: str
    actions: tuple[Action, ...] = ()  # in the order in which they may be executed
    notices: tuple[Notice, ...] = ()

    @property
    def is_empty(self) -> bool:
        return not self.actions
