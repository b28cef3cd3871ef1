"""`x-prodbreaker` to typed policy; what a file leaves out takes the default that stands in controller.model.policy."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from enum import StrEnum

from pydantic_core import CoreSchema

from controller.model.policy import (
    AlertAction,
    AlertRule,
    BudgetPolicy,
    Condition,
    DriftMode,
    RollbackPolicy,
    ServicePolicy,
    StackPolicy,
)
from controller.stackfile.fields import DURATION, refuse
from controller.stackfile.shapes import BOOLEAN, TEXT, Section, after, closed, integer, list_of, mapping_to, required
from controller.stackfile.tree import Data

EXTENSION = "x-prodbreaker"

# Fields whose single keys may be named too, such as `environment.DEBUG`.
KEYED_FIELDS = frozenset(("environment", "labels", "sysctls", "deploy.labels"))

_PROCESS = {
    "image",
    "command",
    "entrypoint",
    "hostname",
    "working_dir",
    "user",
    "stop_signal",
    "stop_grace_period",
    "healthcheck",
}
_CONTAINER = {
    "tty",
    "stdin_open",
    "read_only",
    "init",
    "isolation",
    "cap_add",
    "cap_drop",
    "ulimits",
    "credential_spec",
    "logging",
}
_ATTACHED = {"volumes", "configs", "secrets", "networks", "ports", "extra_hosts", "dns", "dns_search"}
_DEPLOY = {"replicas", "endpoint_mode", "update_config", "rollback_config", "restart_policy", "resources", "placement"}
_BELOW_DEPLOY = {"resources.limits", "resources.reservations", "placement.constraints", "placement.preferences"}

# What may stand under `ignore`: paths below a service.
IGNORABLE_FIELDS = KEYED_FIELDS | _PROCESS | _CONTAINER | _ATTACHED | {f"deploy.{name}" for name in _DEPLOY | _BELOW_DEPLOY}


def _known_field(path: str) -> str:
    field = next((field for field in KEYED_FIELDS if path.startswith(f"{field}.") and path != f"{field}."), path)
    if field not in IGNORABLE_FIELDS:
        raise refuse(f"{path!r} is no field of a service that can be left alone")
    return path


def _at_least(least: int, what: str) -> Callable[[int], timedelta]:
    def check(nanoseconds: int) -> timedelta:
        if nanoseconds < least:
            raise refuse(f"must be {what}")
        return timedelta(microseconds=nanoseconds / 1000)

    return check


def _not_empty(value: dict[str, str]) -> dict[str, str]:
    if not value:
        raise refuse("must name at least one label; an empty match would fit every alert")
    return value


def _query(text: str) -> str:
    if not text.strip():
        raise refuse("must be a PromQL expression; it is empty")
    if len(text) > _LONGEST_QUERY:
        raise refuse(f"must be {_LONGEST_QUERY:,} characters at most; this has {len(text):,}")
    if "${" in text:
        raise refuse("holds ${ where variables are filled in already; write one dollar sign for a variable")
    return text


def _word_of(kind: type[StrEnum]) -> CoreSchema:
    def read(word: str) -> StrEnum:
        if word not in list(kind):
            raise refuse(f"must be {', '.join(kind)}; this is {word!r}")
        return kind(word)

    return after(TEXT, read)


_LONGEST_QUERY = 2000  # characters

_TIME = after(DURATION, _at_least(0, "0s or longer"))
_POSITIVE_TIME = after(DURATION, _at_least(1, "longer than 0s"))
_COUNT = integer(least=1)

_Condition = closed(
    required(query=after(TEXT, _query)),
    **{"for": _TIME},  # a word of Python's own
)

_Rollback = closed(
    deadline=_POSITIVE_TIME,
    min_healthy=_TIME,
    keep=_COUNT,
    conditions=list_of(_Condition),
)

_Budget = closed(
    actions=_COUNT,
    per=_POSITIVE_TIME,
)

_Alert = closed(
    required(match=after(mapping_to(TEXT), _not_empty)),
    action=_word_of(AlertAction),
    **{"for": _TIME},
    cooldown=_TIME,
)

ServiceExtension = Section(
    drift=_word_of(DriftMode),
    ignore=list_of(after(TEXT, _known_field)),
    rollback=_Rollback,
    budget=_Budget,
    alerts=list_of(_Alert),
)

StackExtension = Section(
    prune=BOOLEAN,
    paused=BOOLEAN,
)


def service_policy(extension: Data) -> ServicePolicy:
    """Build the policy of a service from a checked extension."""
    simple = {key: extension[key] for key in ("drift",) if key in extension}
    return ServicePolicy(
        **simple,
        ignore=tuple(dict.fromkeys(extension.get("ignore", ()))),
        rollback=_rollback(extension.get("rollback", {})),
        budget=BudgetPolicy(**extension.get("budget", {})),
        alerts=tuple(_alert_rule(rule) for rule in extension.get("alerts", ())),
    )


def _rollback(section: Data) -> RollbackPolicy:
    names = {"query": "query", "for": "wait"}
    conditions = tuple(
        Condition(**{names[key]: value for key, value in condition.items()}) for condition in section.get("conditions", ())
    )
    return RollbackPolicy(**{**section, "conditions": conditions})


def _alert_rule(rule: Data) -> AlertRule:
    names = {"match": "match", "action": "action", "for": "wait", "cooldown": "cooldown"}
    return AlertRule(**{names[key]: value for key, value in rule.items()})


def stack_policy(extension: Data) -> StackPolicy:
    """Build the policy of a stack from a checked extension."""
    return StackPolicy(**extension)
