"""What `x-prodbreaker` says, typed. Every field's default stands beside it and is the one in force where a file is silent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum


class DriftMode(StrEnum):
    REVERT = "revert"  # put the declared value back
    REPORT = "report"  # say OutOfSync and write nothing
    IGNORE = "ignore"  # live differences of an existing service are nobody's business


class AlertAction(StrEnum):
    NOTIFY = "notify"
    RESTART = "restart"
    SCALE = "scale"
    ROLLBACK = "rollback"


@dataclass(frozen=True, slots=True)
class AlertRule:
    """What to do when an alert whose labels equal `match` fires for the service."""

    match: Mapping[str, str]
    action: AlertAction = AlertAction.NOTIFY
    wait: timedelta = timedelta(0)  # `for`: how long it must still fire before anything is done
    cooldown: timedelta = timedelta(minutes=5)  # after one action, how long this rule keeps quiet


@dataclass(frozen=True, slots=True)
class Condition:
    """A PromQL expression that says "this revision is bad" when it has a result, as an alerting rule's does."""

    query: str
    wait: timedelta = timedelta(0)  # `for`: how long it must hold


@dataclass(frozen=True, slots=True)
class RollbackPolicy:
    deadline: timedelta = timedelta(minutes=2)  # without progress for this long an update has failed
    min_healthy: timedelta = timedelta(seconds=10)  # all replicas up for this long make a revision stable
    keep: int = 10  # revisions remembered
    conditions: tuple[Condition, ...] = ()  # asked while a revision is new; what held before it does not count


@dataclass(frozen=True, slots=True)
class BudgetPolicy:
    """At most `actions` corrective actions in any window of `per`; then the service is held."""

    actions: int = 5
    per: timedelta = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class ServicePolicy:
    drift: DriftMode = DriftMode.REVERT
    ignore: tuple[str, ...] = ()  # stack-file paths below the service, such as `deploy.replicas` or `environment.DEBUG`
    rollback: RollbackPolicy = RollbackPolicy()
    budget: BudgetPolicy = BudgetPolicy()
    alerts: tuple[AlertRule, ...] = ()


@dataclass(frozen=True, slots=True)
class StackPolicy:
    prune: bool = False  # remove what carries the stack's label and is no longer declared
    paused: bool = False  # observe and report, write nothing
