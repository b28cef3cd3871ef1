"""Names, labels and values of what is counted."""

from __future__ import annotations

from prometheus_client import generate_latest

from controller.adapters.metrics import Metrics
from controller.engine.records import ActionOutcome, PassResult, Recorder, SilentRecorder
from controller.model.incident import FaultKind
from controller.model.plan import ObjectKind, Reason, Verb
from controller.model.status import Health, ServiceStatus, Sync


def _status(sync: Sync) -> ServiceStatus:
    return ServiceStatus("shop_web", sync, Health.HEALTHY, 1, 1)


def _feed(recorder: Recorder) -> None:
    recorder.pass_done(PassResult.CHANGED, 0.02)
    recorder.action_done(Verb.CREATE, ObjectKind.SERVICE, ActionOutcome.DONE)
    recorder.api_call("service_list", "ok", 0.003)
    recorder.queue_depth(7)
    recorder.sync_states("shop", [_status(Sync.OUT_OF_SYNC), _status(Sync.SYNCED), _status(Sync.UNKNOWN)])
    recorder.event_seen()
    recorder.stream_up(up=True)
    recorder.manifest_errors(2)
    recorder.incidents_open(FaultKind.BAD_REVISION, 3)
    recorder.incident_detected(FaultKind.MISSING, 0.03)
    recorder.incident_acted(FaultKind.MISSING, 0.2)
    recorder.incident_recovered(FaultKind.MISSING, 4.0)
    recorder.brake(on=True)
    recorder.held_services(2)
    recorder.healed(Reason.MISSING)


def test_everything_recorded_can_be_scraped() -> None:
    metrics = Metrics()
    _feed(metrics)

    text = generate_latest(metrics.registry).decode()

    for line in (
        'prodbreaker_passes_total{result="changed"} 1.0',
        'prodbreaker_passes_total{result="failed"} 0.0',
        'prodbreaker_pass_seconds_bucket{le="0.025"} 1.0',
        'prodbreaker_actions_total{kind="service",outcome="done",verb="create"} 1.0',
        'prodbreaker_api_calls_total{operation="service_list",outcome="ok"} 1.0',
        'prodbreaker_api_call_seconds_bucket{le="0.005",operation="service_list"} 1.0',
        "prodbreaker_queue_depth 7.0",
        'prodbreaker_out_of_sync_services{stack="shop"} 1.0',
        "prodbreaker_event_stream_up 1.0",
        "prodbreaker_manifest_errors 2.0",
        'prodbreaker_incidents_open{kind="bad revision"} 3.0',
        'prodbreaker_incidents_open{kind="brake"} 0.0',
        'prodbreaker_incident_detect_seconds_bucket{kind="missing",le="0.05"} 1.0',
        'prodbreaker_incident_act_seconds_bucket{kind="missing",le="0.25"} 1.0',
        'prodbreaker_incident_recover_seconds_bucket{kind="missing",le="5.0"} 1.0',
        "prodbreaker_brake 1.0",
        "prodbreaker_held_services 2.0",
        'prodbreaker_heals_total{reason="missing"} 1.0',
        'prodbreaker_heals_total{reason="drift"} 0.0',
        'prodbreaker_build_info{version="0.1.0"} 1.0',
    ):
        assert line in text.splitlines()
    assert "_created" not in text


def test_a_stack_that_is_gone_is_not_told_any_more() -> None:
    metrics = Metrics()
    metrics.sync_states("shop", [_status(Sync.OUT_OF_SYNC)])

    metrics.sync_states("shop", [])
    metrics.sync_states("never seen", [])

    assert 'stack="' not in generate_latest(metrics.registry).decode()


def test_the_streams_age_counts_from_its_last_sign_of_life() -> None:
    now = [100.0]
    metrics = Metrics(monotonic=lambda: now[0])
    now[0] = 130.0
    assert metrics.registry.get_sample_value("prodbreaker_event_stream_age_seconds") == 30.0

    metrics.event_seen()
    now[0] = 131.5

    assert metrics.registry.get_sample_value("prodbreaker_event_stream_age_seconds") == 1.5


def test_two_recorders_count_apart() -> None:
    first, second = Metrics(), Metrics()
    first.queue_depth(3)

    assert second.registry.get_sample_value("prodbreaker_queue_depth") == 0.0


def test_the_silent_recorder_takes_everything_and_keeps_nothing() -> None:
    recorder = SilentRecorder()
    _feed(recorder)

    assert not hasattr(recorder, "registry")
