"""What the HTTP interface asks of the controller."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from controller.core.by_hand import Entry, Release, Rollback
from controller.model.incident import Incident, IncidentState
from controller.model.plan import Plan
from controller.model.status import Key, ServiceStatus


class Controller(Protocol):
    """Methods that reach for the Swarm raise ProdBreakerError."""

    def readiness(self) -> Mapping[str, bool]:
        """What must hold before this controller can be relied on, in words, and whether it does."""
        ...

    def leads(self) -> bool:
        """Whether this controller writes; of several on one Swarm one does."""
        ...

    def leader(self) -> str:
        """Which controller leads; empty where that is not known."""
        ...

    def statuses(self) -> Sequence[ServiceStatus]: ...

    def stacks(self) -> Mapping[str, str]:
        """By name, what is wrong with a stack's manifest; empty where nothing is."""
        ...

    def owner(self, service_name: str) -> Key | None:
        """The key of the declared service whose real name this is."""
        ...

    def open_incidents(self) -> Sequence[Incident]:
        """Those that have not ended, newest first."""
        ...

    async def incidents(self, *, limit: int, service: str | None, states: Collection[IncidentState]) -> Sequence[Incident]:
        """Those that have not ended first, then the newest."""
        ...

    async def incident(self, number: int) -> Incident | None:
        """Raises JournalError where only an unreadable journal could tell."""
        ...

    async def plans(self) -> Sequence[Plan]:
        """What would be written now, stack by stack."""
        ...

    async def pause(self, target: str) -> None:
        """Stop acting on `STACK` or `STACK/SERVICE`; done twice, it is done once."""
        ...

    async def resume(self, target: str) -> None: ...

    async def history(self, service: str) -> Sequence[Entry]:
        """What ran of a service (its real name), from the oldest to the newest, from a fresh look at the Swarm."""
        ...

    async def roll_back(self, key: Key, *, to: int | None) -> Rollback:
        """Refuse what is declared of a service; done twice, it is done once. The loop then carries it out."""
        ...

    async def release(self, key: Key) -> Release:
        """Let what is declared of a service go live again, if it is refused."""
        ...
