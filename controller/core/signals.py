"""What measurements say against a revision: whatever holds now and was known to be quiet before the revision went live.

Three things are kept apart: what holds, what is quiet, and what gave no answer. The last is evidence of nothing: it
neither condemns a revision nor clears one, and what gave no answer before a revision is no news after it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from controller.model.policy import AlertAction, AlertRule, ServicePolicy

Labels = Mapping[str, str]

_SHOWN = 120  # characters of a query or of an alert's name; the texts end up in labels, logs and messages


@dataclass(frozen=True, slots=True)
class Answers:
    """What Prometheus said. None stands for no answer."""

    holds: Mapping[str, bool | None]  # by query
    alerts: Sequence[Labels] | None = ()  # labels of each that fires; for `noise_of` also of those that are about to


@dataclass(frozen=True, slots=True)
class Reading:
    """What the measurements say of one service now."""

    evidence: tuple[str, ...] = ()  # against the revision, in words for people
    doubts: tuple[
        str, ...
    ] = ()  # new since the revision, and no evidence: not for long enough yet, or an alert that rolls nothing back
    conclusive: bool = True  # False: something gave no answer
    held: frozenset[str] = frozenset()  # names of what holds now, old noise included
    problems: tuple[str, ...] = ()  # why there was no answer


@dataclass(frozen=True, slots=True)
class _Holding:
    """A condition or an alert that holds now."""

    name: str
    text: str
    wait: timedelta
    detail: str = ""
    rolls_back: bool = True


def queries(policy: ServicePolicy) -> tuple[str, ...]:
    """What has to be asked for a service, each once."""
    return tuple(dict.fromkeys(condition.query for condition in policy.rollback.conditions))


def weigh(policy: ServicePolicy, answers: Answers, *, noise: Collection[str], since: Mapping[str, float], now: float) -> Reading:
    """Judge a revision by `answers`.

    `noise` is `noise_of` from before the revision; `since` is `held_since` of these answers. Times are monotonic seconds.
    """
    holding = list(_holding(policy, answers))
    evidence: list[str] = []
    doubts: list[str] = []
    for item in holding:
        if item.name in noise or _rule_of(item.name) in noise:
            continue
        seconds = now - since[item.name]
        text = f"{item.text}{f' for {int(seconds)} s' if seconds >= 1 else ''}{item.detail}"
        proves = item.rolls_back and seconds >= item.wait.total_seconds()
        (evidence if proves else doubts).append(text)
    return Reading(
        evidence=tuple(dict.fromkeys(evidence)),
        doubts=tuple(dict.fromkeys(doubts)),
        conclusive=not _unanswered(policy, answers),
        held=frozenset(item.name for item in holding),
    )


def held_since(policy: ServicePolicy, answers: Answers, *, before: Mapping[str, float], now: float) -> dict[str, float]:
    """Since when each thing that holds has been seen to hold without a break; a look without an answer breaks it."""
    return {item.name: before.get(item.name, now) for item in _holding(policy, answers)}


def noise_of(policy: ServicePolicy, answers: Answers) -> tuple[str, ...]:
    """Names of what says nothing against a revision that goes live now, in order: all that is not known to be quiet.

    Alerts whose own `for` is still running belong to `answers`: what they tell of began before the revision.
    """
    return tuple(sorted({*(item.name for item in _holding(policy, answers)), *_unanswered(policy, answers)}))


def _holding(policy: ServicePolicy, answers: Answers) -> Iterator[_Holding]:
    for number, condition in enumerate(policy.rollback.conditions, start=1):
        if answers.holds.get(condition.query):
            name = _condition_name(condition.query)
            yield _Holding(name, f"condition {number} holds", condition.wait, f": {_shown(condition.query)}")
    for rule in policy.alerts:
        for alert in dict.fromkeys(_name(labels) for labels in answers.alerts or () if _fits(rule, labels)):
            yield _Holding(
                f"{_rule_name(rule)}-{_hash8(alert)}",
                f"alert {_shown(alert)} fires",
                rule.wait,
                rolls_back=rule.action is AlertAction.ROLLBACK,
            )


def _unanswered(policy: ServicePolicy, answers: Answers) -> set[str]:
    conditions = {_condition_name(query) for query in queries(policy) if answers.holds.get(query) is None}
    return conditions | ({_rule_name(rule) for rule in policy.alerts} if answers.alerts is None else set())


def _fits(rule: AlertRule, labels: Labels) -> bool:
    return all(labels.get(key, "") == value for key, value in rule.match.items())  # to Prometheus, absent is empty


def _name(labels: Labels) -> str:
    return labels.get("alertname", "")


def _condition_name(query: str) -> str:
    return f"condition-{_hash8(query)}"


def _rule_name(rule: AlertRule) -> str:
    """Stands for all the alerts that fit; other labels than the name, such as `instance`, change with every task."""
    return f"alert-{_hash8(json.dumps(dict(rule.match), sort_keys=True))}"


def _rule_of(name: str) -> str:
    """The name of an alert's rule; of a condition nothing that is anybody's name."""
    return name.rpartition("-")[0]


def _hash8(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _shown(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN else f"{line[: _SHOWN - 1]}…"
