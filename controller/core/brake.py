"""The brake for the whole Swarm: when too much goes wrong at once, the cause is not one service, and to act makes it worse.

A cause is noisy while it is seen to happen:
- DEGRADED: within WINDOW_SECONDS at least max(3, 30 %) of the services turned degraded, and then each further one that does;
- NODE: a node that was ready is not any more, while tasks move, at most MOVING_SECONDS;
- QUORUM, PROMETHEUS, REGISTRY: the source is away. Without a registry only writes that restart tasks are held back.
A cause holds the brake until it has been quiet for QUIET_SECONDS, a lost node no longer than MOVING_SECONDS.

Why it always lets go. While the quorum is away nothing can be written, so only the other causes matter. Each of them ends by
itself QUIET_SECONDS after its last noise. Against noise without end (Prometheus may be one of the very services that wait for
a heal) stands LONGEST_SECONDS: a brake that has been on for so long, counted anew while the quorum is away, is worn out. Worn
out it holds nothing back until every cause has been quiet; only then it can come on again. So in any stretch of
LONGEST_SECONDS in which the quorum is there all the time, writes are let through at some moment, whatever happens.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from controller.model.spec import Json
from controller.model.status import Health, ServiceStatus

LEAST_SERVICES, SHARE = 3, 0.3
WINDOW_SECONDS = 60.0
QUIET_SECONDS = 30.0
MOVING_SECONDS = 60.0
LONGEST_SECONDS = 300.0


class Cause(StrEnum):
    DEGRADED = "services degraded"
    NODE = "node lost"
    QUORUM = "quorum away"
    PROMETHEUS = "Prometheus away"
    REGISTRY = "registry away"


@dataclass(frozen=True, slots=True)
class Sight:
    """What the controller sees at one moment."""

    now: float  # monotonic seconds
    services: Mapping[str, Health] = field(default_factory=dict)  # every declared one that can be seen, by name
    excused: frozenset[str] = frozenset()  # those that an edit or a rollback of ours explains
    nodes: Mapping[str, bool] = field(default_factory=dict)  # name -> is ready, as `readiness` makes it
    is_moving: bool = False  # somewhere tasks start or stop
    away: frozenset[Cause] = frozenset()  # QUORUM, PROMETHEUS (where one is configured), REGISTRY


@dataclass(frozen=True, slots=True)
class Brake:
    """The brake after a sight; `step` makes the next. A new one has seen nothing and is off."""

    services: Mapping[str, Health] = field(default_factory=dict)
    nodes: Mapping[str, bool] = field(default_factory=dict)
    turned: Mapping[str, float] = field(default_factory=dict)  # service -> when it turned degraded
    lost: Mapping[str, float] = field(default_factory=dict)  # node -> when
    heard: Mapping[Cause, float] = field(default_factory=dict)  # causes at work, and when they were last noisy
    since: float | None = None  # when it came on
    counted_from: float = 0.0  # of LONGEST_SECONDS
    is_worn_out: bool = False

    @property
    def holding(self) -> tuple[Cause, ...]:
        """The causes for which something is held back now."""
        return tuple(cause for cause in Cause if cause in self.heard and (cause is Cause.QUORUM or not self.is_worn_out))

    @property
    def is_on(self) -> bool:
        return bool(self.holding)

    def reason(self) -> str:
        """Why it is on, in words; empty when it is off."""
        return "; ".join(self._words(cause) for cause in self.holding)

    def holds_back(self, *, restarts_tasks: bool) -> str:
        """Why a write has to wait; empty when it need not."""
        return self.reason() if restarts_tasks or set(self.holding) - {Cause.REGISTRY} else ""

    def _words(self, cause: Cause) -> str:
        if cause is Cause.DEGRADED:
            return f"{len(self.turned)} of {_counted(self.services)} services turned degraded together"
        if cause is Cause.NODE:
            return f"lost {', '.join(sorted(self.lost))}"
        return str(cause)


def seen(
    now: float,
    statuses: Iterable[ServiceStatus],
    nodes: Sequence[Json],
    *,
    excused: frozenset[str] = frozenset(),
    away: frozenset[Cause] = frozenset(),
) -> Sight:
    """The sight of what the services' last passes and the list of nodes tell.

    Swarm goes on counting the tasks of a node that is lost: where they were replaced, more run than are asked for.
    """
    known = list(statuses)
    services = {status.name: status.health for status in known}
    is_moving = any(status.health is Health.PROGRESSING or status.running != status.desired for status in known)
    return Sight(now, services, excused, readiness(nodes), is_moving, away)


def step(brake: Brake, sight: Sight) -> Brake:
    """The brake after the next sight; times of sights never go back."""
    newly = _newly_degraded(brake, sight)
    turned = _still_degraded(brake, sight) | dict.fromkeys(newly, sight.now)
    lost = {node: when for node, when in brake.lost.items() if sight.now - when < MOVING_SECONDS}
    lost |= {node: sight.now for node, is_ready in sight.nodes.items() if not is_ready and brake.nodes.get(node)}
    noisy = set(sight.away)
    if newly if Cause.DEGRADED in brake.heard else len(turned) >= _threshold(sight.services):
        noisy.add(Cause.DEGRADED)
    if any(not sight.nodes.get(node, True) and (sight.is_moving or when == sight.now) for node, when in lost.items()):
        noisy.add(Cause.NODE)
    heard = {cause: when for cause, when in brake.heard.items() if sight.now - when < QUIET_SECONDS}
    heard |= dict.fromkeys(noisy, sight.now)
    if not lost:
        heard.pop(Cause.NODE, None)
    if Cause.DEGRADED in brake.heard.keys() - heard.keys():
        turned = {}  # they have had their say
    return _timed(replace(brake, services=sight.services, nodes=sight.nodes, turned=turned, lost=lost, heard=heard), brake, sight)


def readiness(nodes: Sequence[Json]) -> dict[str, bool]:
    """Whether each node is there to work with, by a name for people; a manager that the others cannot reach is not."""
    return {
        f"{(node.get('Description') or {}).get('Hostname', '')} ({node['ID'][:10]})": (node.get("Status") or {}).get("State")
        == "ready"
        and (node.get("ManagerStatus") or {}).get("Reachability") != "unreachable"
        for node in nodes
    }


def _newly_degraded(brake: Brake, sight: Sight) -> list[str]:
    """Services that were seen before and were not degraded then; what an edit explains does not count."""
    return [
        name
        for name, health in sight.services.items()
        if health is Health.DEGRADED
        and brake.services.get(name, Health.DEGRADED) is not Health.DEGRADED
        and name not in sight.excused
    ]


def _still_degraded(brake: Brake, sight: Sight) -> dict[str, float]:
    at_work = Cause.DEGRADED in brake.heard
    return {
        name: when
        for name, when in brake.turned.items()
        if sight.services.get(name) is Health.DEGRADED and (at_work or sight.now - when < WINDOW_SECONDS)
    }


def _timed(after: Brake, before: Brake, sight: Sight) -> Brake:
    """With its times, and worn out where it has been on for too long."""
    limited = after.heard.keys() - {Cause.QUORUM}
    counted_from = before.counted_from if before.is_on and Cause.QUORUM not in sight.away else sight.now
    is_worn_out = bool(limited) and (before.is_worn_out or sight.now - counted_from >= LONGEST_SECONDS)
    after = replace(after, counted_from=counted_from, is_worn_out=is_worn_out)
    since = before.since if before.since is not None else sight.now
    return replace(after, since=since if after.is_on else None)


def _counted(services: Mapping[str, Health]) -> int:
    return sum(health is not Health.SUSPENDED for health in services.values())


def _threshold(services: Mapping[str, Health]) -> int:
    return max(LEAST_SERVICES, math.ceil(SHARE * _counted(services)))
