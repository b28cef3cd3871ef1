"""What is shown as JSON, the same on the command line and over HTTP. Keys may be added, never changed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from controller.model.incident import Incident
from controller.model.plan import Action, Change, Notice, Plan
from controller.model.revision import Revision
from controller.model.status import ServiceStatus


def plan_form(plan: Plan) -> dict[str, Any]:
    return {
        "stack": plan.stack,
        "actions": [_action_form(action) for action in plan.actions],
        "notices": [_notice_form(notice) for notice in plan.notices],
    }


def status_form(status: ServiceStatus) -> dict[str, Any]:
    return {
        "name": status.name,
        "sync": status.sync.value,
        "health": status.health.value,
        "running": status.running,
        "desired": status.desired,
        "message": status.message,
    }


def incident_form(incident: Incident, *, timeline: bool = False) -> dict[str, Any]:
    """Times are RFC 3339 in UTC, spans in seconds; null where there is none."""
    form: dict[str, Any] = {
        "id": incident.id,
        "service": incident.service,
        "kind": incident.kind.value,
        "state": incident.state.value,
        "summary": incident.summary,
        "opened": _stamp(incident.opened),
        "began": _stamp(incident.began),
        "acted": _stamp(incident.acted),
        "ended": _stamp(incident.ended),
        "seconds_to_detect": _rounded(incident.seconds_to_detect),
        "seconds_to_act": _rounded(incident.seconds_to_act),
        "seconds_to_recover": _rounded(incident.seconds_to_recover),
    }
    if timeline:
        form["timeline"] = [
            {"time": _stamp(entry.time), "kind": entry.kind.value, "text": entry.text} for entry in incident.entries
        ]
    return form


def revision_form(revision: Revision | None, *, is_live: bool, since: str) -> dict[str, Any]:
    """None stands for a live spec that was never kept; `since` is RFC 3339."""
    return {
        "number": revision.number if revision else None,
        "state": revision.state.value if revision else None,
        "since": since,
        "live": is_live,
        "why": revision.why if revision else "not kept: no edit of it was seen yet",
        "target": revision.target if revision else None,
        "changes": [_change_form(change) for change in revision.changes] if revision else [],
    }


def _stamp(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)


def _action_form(action: Action) -> dict[str, Any]:
    return {
        "verb": action.verb.value,
        "kind": action.kind.value,
        "name": action.name,
        "reason": action.reason.value,
        "restart": action.restart.value,
        "after": list(action.after),
        "changes": [_change_form(change) for change in action.changes],
    }


def _notice_form(notice: Notice) -> dict[str, Any]:
    return {
        "kind": notice.kind.value,
        "name": notice.name,
        "reason": notice.reason.value,
        "message": notice.message,
        "changes": [_change_form(change) for change in notice.changes],
    }


def _change_form(change: Change) -> dict[str, Any]:
    return {"field": change.field, "old": change.old, "new": change.new}
