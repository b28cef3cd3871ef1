"""The only place that knows Prometheus: what is counted, under which names, with labels of bounded variety."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector

from controller import __version__
from controller.core.budget import CORRECTIVE
from controller.engine.records import ActionOutcome, PassResult
from controller.model.incident import FaultKind
from controller.model.plan import ObjectKind, Reason, Verb
from controller.model.status import ServiceStatus, Sync

PASS_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0)
DETECT_SECONDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 15.0, 30.0, 60.0, 300.0)
RECOVER_SECONDS = (1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0)
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
        self._passes = self._counter("passes", "Passes, by how they ended.", "result")
        for result in PassResult:
            self._passes.labels(result.value)  # a rate over a series that begins with its first failure would miss that failure
        self._pass_seconds = self._histogram("pass_seconds", "What a pass over one key took.", PASS_SECONDS)
        self._actions = self._counter("actions", "Writes to the Swarm, by what became of them.", "verb", "kind", "outcome")
        self._queue_depth = self._gauge("queue_depth", "Keys that wait for a worker.")
        self._out_of_sync = self._gauge("out_of_sync_services", "Services that differ from their declaration.", "stack")
        self._api_calls = self._counter("api_calls", "Calls to the Engine API, by how they ended.", "operation", "outcome")
        self._api_call_seconds = self._histogram(
            "api_call_seconds", "What a call to the Engine API took.", CALL_SECONDS, "operation"
        )
        self._stream_up = self._gauge("event_stream_up", "1 while the engine's event stream is open.")
        age = self._gauge("event_stream_age_seconds", "Since the event stream last gave a sign of life.")
        age.set_function(self._stream_age)
        unread = "Stack files that cannot be read; their last good state stays declared."
        self._manifest_errors = self._gauge("manifest_errors", unread)
        self._leader = self._gauge("leader", "1 while this controller leads.")
        self._lease_transitions = self._counter("lease_transitions", "How often this controller began or ceased to lead.")
        self._register_incidents()
        self._register_guards()

    def _register_incidents(self) -> None:
        self._incidents_open = self._gauge("incidents_open", "Faults that have not ended.", "kind")
        for kind in FaultKind:
            self._incidents_open.labels(kind.value)
        self._detect_seconds = self._histogram(
            "incident_detect_seconds", "From a fault, where its time is known, to its detection.", DETECT_SECONDS, "kind"
        )
        self._act_seconds = self._histogram(
            "incident_act_seconds", "From the detection of a fault to the end of the first action.", DETECT_SECONDS, "kind"
        )
        self._recover_seconds = self._histogram("incident_recover_seconds", "From a fault to its end.", RECOVER_SECONDS, "kind")

    def _register_guards(self) -> None:
        self._brake = self._gauge("brake", "1 while the brake of the whole Swarm holds writes back.")
        self._held_services = self._gauge("held_services", "Services that are left alone until somebody looks.")
        self._heals = self._counter("heals", "Corrections of services, by what was wrong.", "reason")
        for reason in CORRECTIVE:
            self._heals.labels(reason.value)

    def _counter(self, name: str, meaning: str, *labels: str) -> Counter:
        return Counter(f"prodbreaker_{name}", meaning, labels, registry=self.registry)

    def _gauge(self, name: str, meaning: str, *labels: str) -> Gauge:
        return Gauge(f"prodbreaker_{name}", meaning, labels, registry=self.registry)

    def _histogram(self, name: str, meaning: str, buckets: Sequence[float], *labels: str) -> Histogram:
        return Histogram(f"prodbreaker_{name}", meaning, labels, buckets=buckets, registry=self.registry)

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

    def leads(self, *, leads: bool) -> None:
        self._leader.set(leads)
        self._lease_transitions.inc()

    def incidents_open(self, kind: FaultKind, count: int) -> None:
        self._incidents_open.labels(kind.value).set(count)

    def incident_detected(self, kind: FaultKind, seconds: float) -> None:
        self._detect_seconds.labels(kind.value).observe(seconds)

    def incident_acted(self, kind: FaultKind, seconds: float) -> None:
        self._act_seconds.labels(kind.value).observe(seconds)

    def incident_recovered(self, kind: FaultKind, seconds: float) -> None:
        self._recover_seconds.labels(kind.value).observe(seconds)

    def brake(self, *, on: bool) -> None:
        self._brake.set(on)

    def held_services(self, count: int) -> None:
        self._held_services.set(count)

    def healed(self, reason: Reason) -> None:
        self._heals.labels(reason.value).inc()

    def _stream_age(self) -> float:
        return self._monotonic() - self._event_seen
