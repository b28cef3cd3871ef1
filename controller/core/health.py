"""Sync and health of a service, in Argo CD's words, from what one snapshot shows."""

from __future__ import annotations

from controller.core.replicas import UPDATING, replica_counts
from controller.model.observation import Snapshot
from controller.model.plan import Action, Notice, Reason
from controller.model.spec import DesiredService, Json
from controller.model.status import Health, ServiceStatus, Sync

_STUCK = {"paused": "its update is paused", "rollback_paused": "its rollback is paused"}
_NO_DRIFT = frozenset({Reason.DRIFT_IGNORED, Reason.UNKNOWN_CONTENT})


def service_status(
    wanted: DesiredService, snapshot: Snapshot, action: Action | None, notice: Notice | None, *, paused: bool = False
) -> ServiceStatus:
    """What a person is told about one service; `action` and `notice` are its plan."""
    live = snapshot.services.get(wanted.name)
    differs = action is not None or (notice is not None and notice.reason not in _NO_DRIFT)
    sync = Sync.OUT_OF_SYNC if differs else Sync.SYNCED
    message = notice.message if notice else ""
    if live is None:
        return ServiceStatus(wanted.name, sync, Health.MISSING, 0, 0, message or "is not there")
    running, desired = replica_counts(live, snapshot)
    health, why = _health(live, running, desired, paused=paused)
    return ServiceStatus(wanted.name, sync, health, running, desired, message or why)


def may_be_depended_on(wanted: DesiredService, snapshot: Snapshot) -> bool:
    """Whether services that depend on this one may be created: all replicas run, or some while it is being updated."""
    live = snapshot.services.get(wanted.name)
    if live is None:
        return False
    running, desired = replica_counts(live, snapshot)
    is_updating = (live.get("UpdateStatus") or {}).get("State", "") in UPDATING
    return running >= desired or (is_updating and running > 0)


def is_converged(status: ServiceStatus) -> bool:
    return status.health in (Health.HEALTHY, Health.SUSPENDED)


def _health(live: Json, running: int, desired: int, *, paused: bool) -> tuple[Health, str]:
    state = (live.get("UpdateStatus") or {}).get("State", "")
    if paused:
        return Health.SUSPENDED, "paused"
    if state in UPDATING:
        return Health.PROGRESSING, f"{state.replace('_', ' ')}: {(live.get('UpdateStatus') or {}).get('Message', '')}"
    if state in _STUCK:
        return Health.DEGRADED, f"{_STUCK[state]}: {(live.get('UpdateStatus') or {}).get('Message', '')}"
    if desired == 0 and "Replicated" in (live["Spec"].get("Mode") or {}):
        return (Health.SUSPENDED, "asked for no replicas") if running == 0 else (Health.PROGRESSING, "stopping")
    if running < desired:
        return Health.PROGRESSING, f"{running} of {desired} replicas run"
    return Health.HEALTHY, ""
