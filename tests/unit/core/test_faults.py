"""What counts as a fault, since when, and in which words."""

from __future__ import annotations

from typing import Any

import pytest

from controller.core.faults import Finding, Signs, Standing, action_text, decision_text, find_fault
from controller.model.incident import FaultKind
from controller.model.plan import Action, Change, Notice, ObjectKind, Reason, Verb
from controller.model.spec import Json
from controller.model.status import Health, ServiceStatus, Sync

WRITTEN, UPDATED = 1_767_225_600.0, 1_767_225_660.0
LIVE: dict[str, Any] = {"ID": "s1", "UpdatedAt": "2026-01-01T00:00:00.000000123Z", "Spec": {}}
KNOWN = Signs(was_there=True)
NEW = Signs(was_there=False)
SCALED = (Change("deploy.replicas", "1", "3"),)


def _status(health: Health = Health.HEALTHY, running: int = 3, desired: int = 3, message: str = "") -> ServiceStatus:
    return ServiceStatus("shop_web", Sync.SYNCED, health, running, desired, message)


def _action(reason: Reason = Reason.DRIFT, verb: Verb = Verb.UPDATE, changes: tuple[Change, ...] = SCALED) -> Action:
    return Action(verb, ObjectKind.SERVICE, "shop_web", reason, changes)


def _notice(reason: Reason, message: str = "why") -> Notice:
    return Notice(ObjectKind.SERVICE, "shop_web", reason, message, SCALED)


def _find(
    status: ServiceStatus | None = None,
    *,
    action: Action | None = None,
    notice: Notice | None = None,
    live: Json | None = LIVE,
    signs: Signs = KNOWN,
) -> Finding:
    return find_fault(status or _status(), action, notice, live, signs)


def _kind(finding: Finding) -> FaultKind | None:
    return finding.fault.kind if finding.fault else None


GONE = _status(Health.MISSING, 0, 0, "is not there")


def test_a_service_that_was_there_and_is_gone_is_missing_since_the_event_told_of_it() -> None:
    finding = _find(GONE, action=_action(Reason.MISSING, Verb.CREATE, ()), live=None, signs=Signs(was_there=True, happened=7.0))

    assert finding.standing is Standing.FAULTY
    assert (_kind(finding), finding.text, finding.fault and finding.fault.began) == (FaultKind.MISSING, "is not there", 7.0)


@pytest.mark.parametrize(
    "reason", [Reason.HELD, Reason.BRAKE, Reason.STANDBY, Reason.WAITS, Reason.UNRESOLVED_IMAGE, Reason.OWN_STACK]
)
def test_what_stands_in_the_way_of_creating_it_makes_it_no_less_missing(reason: Reason) -> None:
    assert _kind(_find(GONE, notice=_notice(reason), live=None)) is FaultKind.MISSING


def test_a_new_service_is_not_missing_but_on_its_way() -> None:
    finding = _find(GONE, action=_action(Reason.MISSING, Verb.CREATE, ()), live=None, signs=NEW)

    assert (finding.standing, finding.text) == (Standing.MOVING, "is not there")


def test_a_new_service_that_cannot_be_made_is_refused() -> None:
    assert _kind(_find(GONE, notice=_notice(Reason.UNRESOLVED_IMAGE), live=None, signs=NEW)) is FaultKind.REFUSED
    assert _kind(_find(GONE, notice=_notice(Reason.WAITS), live=None, signs=NEW)) is None


def test_drift_tells_what_the_hand_did_and_when_the_spec_was_written() -> None:
    finding = _find(action=_action())

    assert (_kind(finding), finding.text) == (FaultKind.DRIFT, "was changed by hand: deploy.replicas 3 -> 1")
    assert finding.fault is not None
    assert finding.fault.began == pytest.approx(WRITTEN, abs=1e-3)


def test_drift_that_is_rolled_out_began_with_its_update_not_with_the_updaters_last_write() -> None:
    update = {"State": "updating", "StartedAt": "2026-01-01T00:00:00Z"}
    live = {**LIVE, "UpdatedAt": "2026-01-01T00:01:00Z", "UpdateStatus": update}

    finding = _find(_status(Health.PROGRESSING), notice=_notice(Reason.UPDATE_RUNNING), live=live)

    assert (_kind(finding), finding.fault and finding.fault.began) == (FaultKind.DRIFT, WRITTEN)


@pytest.mark.parametrize("stamp", [None, "", "0001-01-01T00:00:00Z", "yesterday"])
def test_a_stamp_that_says_nothing_is_no_beginning(stamp: str | None) -> None:
    finding = _find(action=_action(), live={"ID": "s1", "UpdatedAt": stamp})

    assert finding.fault is not None
    assert finding.fault.began is None


def test_a_difference_found_at_first_sight_has_no_beginning() -> None:
    finding = _find(action=_action(), signs=NEW)

    assert (_kind(finding), finding.fault and finding.fault.began) == (FaultKind.DRIFT, None)


def test_drift_that_is_only_reported_is_a_fault_and_ignored_drift_is_none() -> None:
    assert _kind(_find(notice=_notice(Reason.DRIFT_REPORTED))) is FaultKind.DRIFT
    assert _find(notice=_notice(Reason.DRIFT_IGNORED)).standing is Standing.WELL


def test_an_edit_or_a_rollback_is_no_fault_but_on_its_way() -> None:
    for reason in (Reason.EDITED, Reason.ROLLBACK):
        assert _find(action=_action(reason)).standing is Standing.MOVING


@pytest.mark.parametrize("reason", [Reason.IMPOSSIBLE, Reason.IMMUTABLE, Reason.FOREIGN, Reason.UNRESOLVED_IMAGE])
def test_a_declaration_that_cannot_be_carried_out_is_refused(reason: Reason) -> None:
    finding = _find(notice=_notice(reason, "no node has the label ssd"))

    assert (_kind(finding), finding.text) == (FaultKind.REFUSED, "no node has the label ssd")


def test_replicas_that_lack_for_longer_than_patience_are_a_fault_since_they_lack() -> None:
    finding = _find(_status(Health.DEGRADED, running=1), signs=Signs(was_there=True, short_since=42.0))

    assert (_kind(finding), finding.text) == (FaultKind.DEGRADED, "1 of 3 replicas run")
    assert finding.fault is not None
    assert finding.fault.began == 42.0


def test_an_update_that_stands_still_is_a_fault_since_it_stands() -> None:
    live = {**LIVE, "UpdatedAt": "2026-01-01T00:01:00Z", "UpdateStatus": {"State": "paused"}}

    finding = _find(_status(Health.DEGRADED, message="its update is paused: task failed"), live=live)

    assert (_kind(finding), finding.text) == (FaultKind.DEGRADED, "its update is paused: task failed")
    assert finding.fault is not None
    assert finding.fault.began == UPDATED


def test_replicas_that_lack_for_a_moment_are_no_fault() -> None:
    finding = _find(_status(Health.PROGRESSING, running=1))

    assert (finding.standing, finding.text) == (Standing.MOVING, "1 of 3 replicas run")


def test_a_paused_service_is_never_a_fault() -> None:
    signs = Signs(was_there=True, is_paused=True)

    for finding in (
        _find(GONE, live=None, signs=signs),
        _find(action=_action(), signs=signs),
        _find(_status(Health.DEGRADED, running=0), signs=signs),
    ):
        assert finding == Finding(Standing.PAUSED, "paused")


def test_a_service_without_replicas_and_a_completed_job_are_well() -> None:
    empty = _find(_status(Health.SUSPENDED, 0, 0, "asked for no replicas"))

    assert (empty.standing, empty.text) == (Standing.WELL, "asked for no replicas")
    assert _find(_status(Health.HEALTHY, 1, 1)).standing is Standing.WELL


@pytest.mark.parametrize("reason", [Reason.QUARANTINED, Reason.UNKNOWN_CONTENT])
def test_a_service_beside_which_a_notice_only_stands_is_well(reason: Reason) -> None:
    finding = _find(notice=_notice(reason))

    assert (finding.standing, finding.is_as_declared) == (Standing.WELL, reason is not Reason.QUARANTINED)


@pytest.mark.parametrize("reason", [Reason.HELD, Reason.BRAKE, Reason.STANDBY, Reason.WAITS])
def test_a_service_whose_plan_is_held_back_is_not_well(reason: Reason) -> None:
    assert _find(notice=_notice(reason)).standing is Standing.MOVING


def test_a_timeline_names_a_few_fields_and_no_long_values() -> None:
    changes = (
        Change("image", None, "app:2"),
        Change("environment.KEY", "***", "***"),
        *(Change(f"labels.l{n}", "x" * 100, "y") for n in range(5)),
    )

    text = decision_text(_action(changes=changes), None)

    assert text.startswith("update it (drift): image (not set) -> app:2, environment.KEY (differs), labels.l0 xxx")
    assert text.endswith("xxx… -> y, and 2 more")
    assert len(text) < 400


def test_drift_without_a_named_field_is_told_all_the_same() -> None:
    assert _find(action=_action(changes=())).text == "was changed by hand: something that has no name here"


def test_decisions_and_actions_are_told_with_their_reason() -> None:
    create = _action(Reason.MISSING, Verb.CREATE, ())

    assert decision_text(create, None) == "create it (missing)"
    assert (
        decision_text(None, _notice(Reason.BRAKE, "two nodes are lost"))
        == "nothing is written: two nodes are lost (the brake is on)"
    )
    assert decision_text(None, None) == ""
    assert action_text(create, seconds=0.0123) == "created in 0.012 s (missing)"
