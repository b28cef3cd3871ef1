"""Snapshots of the Swarm, shared by every key that is due.

A pass says since when its key is due and gets a snapshot whose lists were asked for later than that; passes that come
together share one. Services are always read. Networks, configs, secrets and nodes change rarely and announce it: their
lists are kept until an event or a write of ours says otherwise; what is old is read again one list at a time, so that a
Swarm at rest is asked evenly and little.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence

from controller.engine.ports import EngineFacts, Swarm
from controller.model.observation import Snapshot
from controller.model.plan import ObjectKind
from controller.model.spec import Json

SHARED_KINDS = (ObjectKind.NETWORK, ObjectKind.CONFIG, ObjectKind.SECRET, ObjectKind.NODE)
_PREDEFINED_DRIVERS = frozenset({"bridge", "host", "null"})


class Observer:
    """Belongs to one event loop."""

    def __init__(self, swarm: Swarm, *, shared_max_age_seconds: float = 100.0) -> None:
        self._swarm = swarm
        self._max_age = shared_max_age_seconds
        self._lock = asyncio.Lock()
        self._shared: dict[ObjectKind, tuple[float, list[Json]]] = {}
        self._news = dict.fromkeys(SHARED_KINDS, 0)  # how often a kind's list was called out of date
        self._latest: Snapshot | None = None
        self._started = -1.0
        self._spoilt = math.inf  # when a list was first called out of date while the latest snapshot was taken
        self._facts: EngineFacts | None = None

    async def facts(self) -> EngineFacts:
        """What the engine is; asked once, and again after `forget_all`."""
        if self._facts is None:
            self._facts = await self._swarm.facts()
        return self._facts

    def invalidate(self, kind: ObjectKind) -> None:
        """The kept list of a kind is out of date."""
        self._shared.pop(kind, None)
        self._latest = None
        self._spoilt = min(self._spoilt, _now())
        if kind in self._news:
            self._news[kind] += 1

    def forget_all(self) -> None:
        """The connection was lost: anything may have happened, to the engine itself too."""
        for kind in SHARED_KINDS:
            self.invalidate(kind)
        self._facts = None

    def rest(self) -> None:
        """Nobody needs the last snapshot any more; give its memory back."""
        self._latest = None

    async def snapshot(self, *, since: float, shared_since: float | None = None) -> Snapshot:
        """A snapshot taken at loop time `since` or later, its shared lists at `shared_since` or later where that is given."""
        async with self._lock:
            if shared_since is not None:
                for kind in [kind for kind, (taken, _) in self._shared.items() if taken < shared_since]:
                    self.invalidate(kind)
            if self._latest is None or self._started < since or self._spoilt <= since:
                self._latest = None  # the old lists go before the new ones come: they are large
                started, self._spoilt = _now(), math.inf
                self._latest = await self._take()
                self._started = started
            return self._latest

    async def _take(self) -> Snapshot:
        facts = await self.facts()
        due = self._due()
        started, news = _now(), dict(self._news)
        kept = {kind: found for kind, (_, found) in self._shared.items() if kind not in due}
        services, *lists = await asyncio.gather(
            self._swarm.list_objects(ObjectKind.SERVICE), *(self._swarm.list_objects(kind) for kind in due)
        )
        fresh = dict(zip(due, lists, strict=True))
        # What was called out of date while it was on its way may have been read before that.
        self._shared |= {kind: (started, found) for kind, found in fresh.items() if self._news[kind] == news[kind]}
        return assemble(facts, services, kept | fresh)

    def _due(self) -> list[ObjectKind]:
        """Every list that is missing; where none is, the oldest if it is too old."""
        missing = [kind for kind in SHARED_KINDS if kind not in self._shared]
        if missing:
            return missing
        oldest = min(SHARED_KINDS, key=lambda kind: self._shared[kind][0])
        return [oldest] if self._shared[oldest][0] + self._max_age <= _now() else []


async def full_snapshot(swarm: Swarm) -> Snapshot:
    """One snapshot with every list fresh, for a command that runs once."""
    return await Observer(swarm).snapshot(since=0.0)


def assemble(facts: EngineFacts, services: Sequence[Json], shared: Mapping[ObjectKind, Sequence[Json]]) -> Snapshot:
    return Snapshot(
        api_version=facts.api_version,
        services=_by_name(services),
        networks={item["Name"]: item for item in sorted(shared[ObjectKind.NETWORK], key=_scope) if _is_usable(item)},
        configs=_by_name(shared[ObjectKind.CONFIG]),
        secrets=_by_name(shared[ObjectKind.SECRET]),
        nodes=shared[ObjectKind.NODE],
    )


def _scope(network: Json) -> bool:
    """Swarm's networks last: `host` and others exist once on the node and once in the Swarm, and services refer to the latter."""
    return bool(network.get("Scope") == "swarm")


def _is_usable(network: Json) -> bool:
    return _scope(network) or network.get("Driver") in _PREDEFINED_DRIVERS


def _by_name(objects: Sequence[Json], name: Callable[[Json], str] = lambda item: item["Spec"]["Name"]) -> dict[str, Json]:
    return {name(item): item for item in objects}


def _now() -> float:
    return asyncio.get_running_loop().time()
