"""Every metric that the service counts while it works. Of several processes each counts into its own files; see `exposition`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from prometheus_client import Counter, Gauge, Histogram, disable_created_metrics

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

disable_created_metrics()  # type: ignore[no-untyped-call]  # several processes could not tell it, so nobody does

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

REQUESTS = Counter("http_requests", "Requests that were answered.", ["method", "route", "status"])
DURATION = Histogram(
    "http_request_duration_seconds", "Time from the request's head to its answer, in the application.", ["method", "route"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)  # fmt: skip
IN_PROGRESS = Gauge("http_requests_in_progress", "Requests that threads work on now.", multiprocess_mode="livesum")
INFO = Gauge("app_info", "Always 1; which version runs as which replica.", ["version", "replica"], multiprocess_mode="livemax")

POOL_SIZE = Gauge("app_pool_size", "Connections to PostgreSQL that the processes may have.", multiprocess_mode="livesum")
POOL_IN_USE = Gauge("app_pool_in_use", "Connections that requests hold now.", multiprocess_mode="livesum")
POOL_WAITS = Counter("app_pool_waits", "Times that a request found all connections in use and waited.")
POOL_TIMEOUTS = Counter("app_pool_timeouts", "Times that a request waited for a connection in vain.")

CACHE_HITS = Counter("app_cache_hits", "Redirects whose code was found in Redis.")
CACHE_MISSES = Counter("app_cache_misses", "Redirects whose code was not in Redis.")
CACHE_ERRORS = Counter("app_cache_errors", "Exchanges with Redis that failed.")

BREAKER = Gauge("app_breaker_open", "Whether calls are withheld: 1 in at least one process.", ["to"], multiprocess_mode="livemax")
BREAKER_OPENS = Counter("app_breaker_opens", "Times that calls began to be withheld.", ["to"])

IMPORT_ROWS = Counter("app_import_rows", "Rows of CSV files by what became of them.", ["kind", "outcome"])
IMPORT_BATCH = Histogram(
    "app_import_batch_seconds", "Time for one batch of an import.", ["kind"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)  # fmt: skip

CHAOS = Gauge("app_chaos_active", "1 while Chaos Mode has this fault active.", ["fault"], multiprocess_mode="livemax")

_requests: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}


def observe_request(method: str, route: str, status: int, seconds: float) -> None:
    """Count one answered request. `route` is a rule of the application, never a path: paths have no bound."""
    known = method if method in _METHODS else "other"
    children = _requests.get((known, route, status))
    if children is None:
        children = REQUESTS.labels(known, route, str(status)), DURATION.labels(known, route)
        _requests[known, route, status] = children
    children[0].inc()
    children[1].observe(seconds)


def in_progress(application: WSGIApplication) -> WSGIApplication:
    """The application, with what it works on counted."""

    def counted(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        IN_PROGRESS.inc()
        try:
            return application(environ, start_response)
        finally:
            IN_PROGRESS.dec()

    return counted


def watch_breaker(to: str) -> Callable[[bool], None]:
    """What a breaker calls with whether it is open."""
    gauge, opens = BREAKER.labels(to), BREAKER_OPENS.labels(to)

    def changed(is_open: bool) -> None:
        gauge.set(is_open)
        if is_open:
            opens.inc()

    return changed


def count_import(kind: str, outcome: str, number: int) -> None:
    """Count rows of an import: `kind` is the table, `outcome` what became of them, as inserted or rejected."""
    IMPORT_ROWS.labels(kind, outcome).inc(number)
