"""The notice board: how every declared service stands, as its last pass saw it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

from controller.model.status import Health, Key, ServiceStatus


@dataclass(slots=True)
class Board:
    _statuses: dict[Key, ServiceStatus] = field(default_factory=dict)
    _moving_since: dict[Key, float] = field(default_factory=dict)
    _short_since: dict[Key, float] = field(default_factory=dict)

    def post(self, key: Key, status: ServiceStatus, now: float, *, patience_seconds: float = math.inf) -> bool:
        """Put up a status; returns whether it differs from the one before. `now` is loop time in seconds.

        A service that has been short of replicas for longer than `patience_seconds` does not progress: it is degraded.
        """
        if status.health is not Health.PROGRESSING or status.running >= status.desired:
            self._short_since.pop(key, None)
        elif now - self._short_since.setdefault(key, now) >= patience_seconds:
            status = replace(status, health=Health.DEGRADED)
        changed = self._statuses.get(key) != status
        self._statuses[key] = status
        if status.health is not Health.PROGRESSING:
            self._moving_since.pop(key, None)
        elif changed or key not in self._moving_since:
            self._moving_since[key] = now
        return changed

    def status(self, key: Key) -> ServiceStatus | None:
        """As it was put up: also degraded for lack of patience."""
        return self._statuses.get(key)

    def short_since(self, key: Key) -> float | None:
        """Loop time since when replicas have been missing; None when none are."""
        return self._short_since.get(key)

    def remove(self, key: Key) -> None:
        self._statuses.pop(key, None)
        self._moving_since.pop(key, None)
        self._short_since.pop(key, None)

    def statuses(self, stack: str | None = None) -> list[ServiceStatus]:
        """Of one stack or of all, by name."""
        chosen = (status for key, status in self._statuses.items() if stack in (None, key.stack))
        return sorted(chosen, key=lambda status: status.name)

    def moving(self) -> dict[Key, float]:
        """Keys of services that start, stop or update, and since when nothing about them has changed."""
        return dict(self._moving_since)
