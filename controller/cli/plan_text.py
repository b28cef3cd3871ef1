"""A plan as text for people."""

from __future__ import annotations

from collections.abc import Iterator

from controller.model.plan import Action, Change, Plan, Restart, Verb

_MARKS = {Verb.CREATE: "+", Verb.UPDATE: "~", Verb.REMOVE: "-"}
_RESTARTS = {
    Restart.NONE: "no task restarts",
    Restart.ROLLING: "every task is replaced, one update after another",
    Restart.UNLESS_FITTING: "tasks restart only where their node no longer fits",
    Restart.START: "its tasks start",
    Restart.STOP: "its tasks stop",
}


def plan_lines(plan: Plan) -> Iterator[str]:
    """The plan, line by line; the first is its sum."""
    yield f"{plan.stack}: {summary(plan)}"
    for action in plan.actions:
        yield f"  {action_line(action)}"
        yield from (f"      {change_line(change)}" for change in action.changes)
    for notice in plan.notices:
        yield f"  ! {notice.kind} {notice.name}: {notice.message} ({notice.reason})"
        yield from (f"      {change_line(change)}" for change in notice.changes)


def summary(plan: Plan) -> str:
    if plan.is_empty:
        return "nothing to do" if not plan.notices else "nothing to write"
    counts = {verb: sum(action.verb is verb for action in plan.actions) for verb in Verb}
    return ", ".join(f"{count} to {verb}" for verb, count in counts.items() if count)


def action_line(action: Action) -> str:
    after = f", after {', '.join(action.after)}" if action.after else ""
    effect = f"; {_RESTARTS[action.restart]}" if action.kind == "service" else ""
    return f"{_MARKS[action.verb]} {action.kind} {action.name} ({action.reason}{after}){effect}"


def change_line(change: Change) -> str:
    if change.old is None:
        return f"{change.field}: + {change.new}"
    if change.new is None:
        return f"{change.field}: - {change.old}"
    if change.old == change.new:
        return f"{change.field}: {change.new} (differs)"
    return f"{change.field}: {change.old} -> {change.new}"
