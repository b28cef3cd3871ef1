"""The heal budget of one service: how often it may be put right in a window, and how long it rests after each time.

Stamps are monotonic seconds of corrective writes, in any order. A window that slides is what resets the budget: after `per`
without a correction all of it is there again. The rest after a write doubles with every correction in the window, from
SETTLE_SECONDS to the time in which the budget earns one action: who keeps that pace never spends it.
"""

from __future__ import annotations

from collections.abc import Iterable

from controller.model.plan import Action, ObjectKind, Reason, Verb
from controller.model.policy import BudgetPolicy

SETTLE_SECONDS = 1.0  # before that the Swarm may not yet show what a write did
CORRECTIVE = frozenset({Reason.DRIFT, Reason.MISSING, Reason.ROLLBACK})


def is_corrective(action: Action, *, is_new: bool) -> bool:
    """Whether an action puts a service right; `is_new` says that it was never there, so that its creation is no correction."""
    if action.kind is not ObjectKind.SERVICE or action.reason not in CORRECTIVE:
        return False
    return not (action.verb is Verb.CREATE and is_new)


def recent(stamps: Iterable[float], policy: BudgetPolicy, now: float) -> tuple[float, ...]:
    """The corrections that count at `now`, the oldest first."""
    return tuple(sorted(stamp for stamp in stamps if now < stamp + policy.per.total_seconds()))


def is_spent(stamps: Iterable[float], policy: BudgetPolicy, now: float) -> bool:
    """Whether one correction more would be one too many; a budget of none allows none."""
    return len(recent(stamps, policy, now)) >= policy.actions


def next_allowed(stamps: Iterable[float], policy: BudgetPolicy, now: float) -> float:
    """When the next correction may be written, at `now` or later; for ever never with a budget of none."""
    counted = recent(stamps, policy, now)
    if policy.actions < 1:
        return float("inf")
    if not counted:
        return now
    rested = counted[-1] + settle_seconds(len(counted), policy)
    if len(counted) >= policy.actions:
        rested = max(rested, counted[-policy.actions] + policy.per.total_seconds())
    return max(now, rested)


def settle_seconds(corrections: int, policy: BudgetPolicy) -> float:
    """The rest after the last of so many corrections in the window."""
    pace = policy.per.total_seconds() / max(1, policy.actions)
    return float(min(pace, SETTLE_SECONDS * 2.0 ** min(corrections - 1, 60)))
