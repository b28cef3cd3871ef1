"""Status words, those of Argo CD."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Sync(StrEnum):
    SYNCED = "Synced"
    OUT_OF_SYNC = "OutOfSync"
    UNKNOWN = "Unknown"  # the Swarm or the manifest cannot be read


class Health(StrEnum):
    HEALTHY = "Healthy"  # every replica that is asked for runs
    PROGRESSING = "Progressing"  # an update or a start is under way
    DEGRADED = "Degraded"  # fewer run than are asked for and nothing is under way, or an update stands still
    MISSING = "Missing"  # declared and not there
    SUSPENDED = "Suspended"  # paused, or asked for no replicas


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    name: str
    sync: Sync
    health: Health
    running: int
    desired: int
    message: str = ""


@dataclass(frozen=True, slots=True)
class Key:
    """What the workqueue holds: a service of a stack, or with no service the stack's shared objects."""

    stack: str
    service: str | None = None  # the key in the file

    def __str__(self) -> str:
        return f"{self.stack}/{self.service}" if self.service else self.stack
