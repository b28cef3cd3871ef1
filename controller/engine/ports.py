"""What the loop needs from outside, as small as it can be said; the loop knows nothing else.

Adapters and the simulator implement these.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from controller.model.observation import ResolvedImage
from controller.model.plan import ObjectKind
from controller.model.spec import Json


@dataclass(frozen=True, slots=True)
class EngineFacts:
    """Of GET /version and GET /info."""

    api_version: tuple[int, int]
    engine_version: str
    node_id: str
    is_manager: bool
    cluster_id: str


@dataclass(frozen=True, slots=True)
class SwarmEvent:
    """A hint that something happened; never proof of what is."""

    kind: str  # `service`, `node`, `network`, `config`, `secret`, `container`; `stream` for the stream itself
    action: str  # `create`, `update`, `remove`, `die`, …; of a stream `opened` (always first) or `lost` (events were dropped)
    object_id: str
    attributes: Mapping[str, str]
    time_nano: int  # the engine's wall clock, for `since`


class Swarm(Protocol):
    """The Engine API, one method per HTTP verb. Every method raises the tree below SwarmError and nothing else."""

    async def facts(self) -> EngineFacts: ...

    async def list_objects(self, kind: ObjectKind, *, filters: Mapping[str, Sequence[str]] | None = None) -> list[Json]:
        """All raw objects of a kind; services come with `ServiceStatus` where the engine has it (API 1.41)."""
        ...

    async def create(self, kind: ObjectKind, body: Json, *, auth: str | None = None) -> str:
        """POST the body, return the new id. `auth` is an X-Registry-Auth value, for services."""
        ...

    async def update(self, kind: ObjectKind, object_id: str, version: int, body: Json, *, auth: str | None = None) -> None:
        """Replace the spec if `version` is still the object's. Raises OutOfSequenceError if it is not."""
        ...

    async def remove(self, kind: ObjectKind, object_id: str) -> None: ...

    def registry_auth(self, image: str) -> str | None:
        """The X-Registry-Auth value that docker's client would send for this image; None without credentials."""
        ...

    async def resolve_image(self, image: str, *, auth: str | None = None) -> ResolvedImage:
        """Ask the registry through the engine (GET /distribution/IMAGE/json). Raises RegistryError."""
        ...

    def events(self, *, since_nano: int | None = None) -> AsyncGenerator[SwarmEvent, None]:
        """The engine's stream; `stream`/`opened` and `stream`/`lost` are the adapter's own words about it.

        Ends or raises EngineUnavailableError when the connection does. Closing the generator closes it.
        """
        ...


class Signals(Protocol):
    """What measurements say about services (Prometheus). All raise SignalsUnavailableError: no answer is no evidence."""

    async def holds(self, query: str) -> bool:
        """Whether a PromQL expression has a result now, as an alerting rule's would; NaN alone is no result."""
        ...

    async def firing(self) -> Sequence[Mapping[str, str]]:
        """The labels of every alert that fires now."""
        ...

    async def active(self) -> Sequence[Mapping[str, str]]:
        """The labels of every alert whose condition holds: those that fire, and those whose own `for` is still running."""
        ...


class Clock(Protocol):
    def monotonic(self) -> float:
        """Seconds; only differences mean anything."""
        ...

    def wall(self) -> float:
        """Seconds since 1970, for records that people read."""
        ...
