"""How far behind the worker is. Asked for when somebody scrapes; what cannot be told at the moment is left out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress

import peewee
from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from app.cache.client import CacheAway
from app.errors import Unavailable
from app.services import Services
from app.telemetry import exposition
from app.telemetry.metrics import INFO

_OLDEST_IMPORT = """
SELECT coalesce(extract(epoch FROM now() AT TIME ZONE 'UTC' - min(created_at)), 0)
FROM import_job WHERE status IN ('receiving', 'queued', 'running')
"""


class Lag(Collector):
    """Clicks that wait in the stream, the age of the oldest, and the age of the oldest import that has not ended."""

    def __init__(self, services: Services, *, now: Callable[[], float] = time.time) -> None:
        self._services, self._now = services, now

    def describe(self) -> Iterable[Metric]:
        """Nothing in advance: being registered must not touch the network."""
        return []

    def collect(self) -> Iterable[Metric]:
        with suppress(CacheAway):
            waiting = self._services.clicks.backlog()
            yield GaugeMetricFamily("app_clicks_waiting", "Clicks in the stream that are no events yet.", waiting.clicks)
            age = max(self._now() - waiting.since, 0.0) if waiting.since else 0.0
            yield GaugeMetricFamily("app_event_lag_seconds", "Age of the oldest click that is no event yet.", age)
        try:
            oldest = float(self._services.database.rows(_OLDEST_IMPORT)[0][0])
        except (Unavailable, peewee.PeeweeException):
            return
        finally:
            self._services.database.close()
        yield GaugeMetricFamily("app_import_oldest_unfinished_seconds", "Age of the oldest import that has not ended.", oldest)


@contextmanager
def served(services: Services) -> Iterator[None]:
    """While this lasts, /metrics of a worker on its port: its lag, and what the process counts."""
    settings = services.settings
    INFO.labels(settings.version, settings.replica).set(1)
    both = CollectorRegistry()
    both.register(Lag(services))
    both.register(REGISTRY)
    server = exposition.serve(settings.metrics_port, both)
    try:
        yield
    finally:
        if server:
            server.shutdown()
            server.server_close()
