"""The one choke point that every API call goes through: counted, logged, and where a test asks for it made to fail."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from controller.simulator.refusals import RefusalError, UnreachableError
from controller.simulator.timeline import Timeline

T = TypeVar("T")

WRITES = frozenset({"create", "update", "remove"})


@dataclass(frozen=True, slots=True)
class Site:
    """Where a call happens: the n-th of its operation on its object, counted from 1."""

    operation: str  # `facts`, `list`, `inspect`, `create`, `update`, `remove`, `resolve`, `events`
    target: str  # `service/web`; for lists the kind alone
    nth: int


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong with one call."""

    error: RefusalError | UnreachableError | None = None
    applied: bool = False  # the error comes after the call took effect
    delay: float = 0.0  # seconds that the call hangs first
    distort: Callable[[Any], Any] | None = None  # changes what the caller is told


@dataclass(slots=True)
class Call:
    """One line of the log."""

    site: Site
    time_ns: int
    outcome: str = "pending"  # then `ok`, the status, or `unreachable`

    @property
    def is_write(self) -> bool:
        return self.site.operation in WRITES


@dataclass(slots=True)
class Gate:
    """Set `hook` to fail chosen calls, `away` to fail them all; read `calls` to count them."""

    timeline: Timeline
    hook: Callable[[Site], Fault | None] | None = None
    away: bool = False  # the engine gives no answer to anything
    calls: list[Call] = field(default_factory=list)
    _counts: dict[tuple[str, str], int] = field(default_factory=dict)

    def enter(self, operation: str, target: str) -> tuple[Call, Fault | None]:
        """Note a call before it is made; the transport waits out the fault's delay itself."""
        nth = self._counts[operation, target] = self._counts.get((operation, target), 0) + 1
        call = Call(Site(operation, target, nth), self.timeline.now_ns)
        self.calls.append(call)
        return call, self.hook(call.site) if self.hook is not None else None

    def perform(self, call: Call, fault: Fault | None, effect: Callable[[], T]) -> T:
        """Make the call, with its fault; raises RefusalError or UnreachableError."""
        try:
            result = self._run(fault, effect)
        except RefusalError as refusal:
            call.outcome = str(refusal.status)
            raise
        except UnreachableError:
            call.outcome = "unreachable"
            raise
        call.outcome = "ok"
        return result

    def _run(self, fault: Fault | None, effect: Callable[[], T]) -> T:
        if self.away:
            raise UnreachableError("the engine is away")
        if fault is None:
            return effect()
        if fault.error is not None and not fault.applied:
            raise fault.error
        result = effect()
        if fault.error is not None:
            raise fault.error
        return fault.distort(result) if fault.distort is not None else result

    def writes(self) -> list[Call]:
        return [call for call in self.calls if call.is_write]

    def forget(self) -> None:
        """Start counting anew."""
        self.calls.clear()
        self._counts.clear()


async def through(gate: Gate, operation: str, target: str, effect: Callable[[], T]) -> T:
    """Make one call through the gate, hanging first where its fault says so."""
    call, fault = gate.enter(operation, target)
    await asyncio.sleep(fault.delay if fault is not None else 0)
    return gate.perform(call, fault, effect)
