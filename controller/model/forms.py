"""Plans and statuses as JSON, the same for the command line and for HTTP. Keys may be added, never changed."""

from __future__ import annotations

from typing import Any

from controller.model.plan import Action, Change, Notice, Plan
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
