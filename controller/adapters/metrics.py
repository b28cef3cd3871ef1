"""The only place that knows Prometheus: what is counted, under which names, with labels of bounded variety."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector

from controller import __version__
from controller.engine.records import ActionOutcome, PassResult
from controller.model.plan import ObjectKind, Verb
from controller.model.status import ServiceStatus, Sync

PASS_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0)
CALL_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0)


class Metrics:
    """Implements `controller.engine.records.Recorder`; `registry` is what a scrape reads."""

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call] # else every series comes twice
        self.registry = CollectorRegistry()
        self._monotonic = monotonic
        self._event_seen = monotonic()
        ProcessCollector(registry=self.registry)
        Info("prodbreaker_build", "What runs.", registry=self.registry).info({"version": __version__})
        self._passes = Counter("prodbreaker_passes", "Passes, by how they ended.", ["result"], registry=self.registry)
        for result in PassResult:
            self._passes.labels(result.value)  # a rate over a series that begins with its first failure would miss that failure
        self._pass_seconds = Histogram(
            "prodbreaker_pass_seconds", "What a pass over one key took.", buckets=PASS_SECONDS, registry=self.registry
        )
        self._actions = Counter(
            "prodbreaker_actions",
            "Writes to the Swarm, by what became of them.",
            ["verb", "kind", "outcome"],
            registry=self.registry,
        )
        self._queue_depth = Gauge("prodbreaker_queue_depth", "Keys that wait for a worker.", registry=self.registry)
        self._out_of_sync = Gauge(
            "prodbreaker_out_of_sync_services", "Services that differ from their declaration.", ["stack"], registry=self.registry
        )
        self._api_calls = Counter(
            "prodbreaker_api_calls",
            "Calls to the Engine API, by how they ended.",
            ["operation", "outcome"],
            registry=self.registry,
        )
        self._api_call_seconds = Histogram(
            "prodbreaker_api_call_seconds", "What a call to the Engine API took.", ["operation"], buckets=CALL_SECONDS,
            registry=self.registry,
        )  # fmt: skip
        self._stream_up = Gauge(
            "prodbreaker_event_stream_up", "1 while the engine's event stream is open.", registry=self.registry
        )
        Gauge(
            "prodbreaker_event_stream_age_seconds", "Since the event stream last gave a sign of life.", registry=self.registry
        ).set_function(self._stream_age)
        self._manifest_errors = Gauge(
            "prodbreaker_manifest_errors",
            "Stack files that cannot be read; their last good state stays declared.",
            registry=self.registry,
        )

    def pass_done(self, result: PassResult, seconds: float) -> None:
        self._passes.labels(result.value).inc()
        self._pass_seconds.observe(seconds)

    def action_done(self, verb: Verb, kind: ObjectKind, outcome: ActionOutcome) -> None:
        self._actions.labels(verb.value, kind.value, outcome.value).inc()

    def api_call(self, operation: str, outcome: str, seconds: float) -> None:
        self._api_calls.labels(operation, outcome).inc()
        self._api_call_seconds.labels(operation).observe(seconds)

    def queue_depth(self, keys: int) -> None:
        self._queue_depth.set(keys)

    def sync_states(self, stack: str, statuses: Sequence[ServiceStatus]) -> None:
        if statuses:
            self._out_of_sync.labels(stack).set(sum(status.sync is Sync.OUT_OF_SYNC for status in statuses))
        else:
            self._out_of_sync.remove_by_labels({"stack": stack})

    def event_seen(self) -> None:
        self._event_seen = self._monotonic()

    def stream_up(self, *, up: bool) -> None:
        self._stream_up.set(up)

    def manifest_errors(self, count: int) -> None:
        self._manifest_errors.set(count)

    def _stream_age(self) -> float:
        return self._monotonic() - self._event_seen
