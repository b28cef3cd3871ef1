"""`x-prodbreaker` to typed policy; what a file leaves out takes the default that stands in controller.model.policy."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Required

from annotated_types import Ge
from pydantic import AfterValidator, ConfigDict, with_config
from typing_extensions import TypedDict  # pydantic asks for this one below Python 3.12

from controller.model.policy import AlertAction, AlertRule, BudgetPolicy, DriftMode, RollbackPolicy, ServicePolicy, StackPolicy
from controller.stackfile.fields import Duration, refuse
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


_Time = Annotated[Duration, AfterValidator(_at_least(0, "0s or longer"))]
_PositiveTime = Annotated[Duration, AfterValidator(_at_least(1, "longer than 0s"))]
_Count = Annotated[int, Ge(1)]
_Labels = Annotated[dict[str, str], AfterValidator(_not_empty)]

_closed = with_config(ConfigDict(strict=True, extra="forbid", defer_build=True))


def _word_of(kind: type[StrEnum]) -> AfterValidator:
    def read(word: str) -> StrEnum:
        if word not in list(kind):
            raise refuse(f"must be {', '.join(kind)}; this is {word!r}")
        return kind(word)

    return AfterValidator(read)


@_closed
class _Rollback(TypedDict, total=False):
    deadline: _PositiveTime
    min_healthy: _Time
    keep: _Count


@_closed
class _Budget(TypedDict, total=False):
    actions: _Count
    per: _PositiveTime


# `for` is a word of Python's own, hence not a class.
_Alert = TypedDict(
    "_Alert",
    {
        "match": Required[_Labels],
        "action": Annotated[str, _word_of(AlertAction)],
        "for": _Time,
        "cooldown": _Time,
    },
    total=False,
)
_closed(_Alert)


@_closed
class ServiceExtension(TypedDict, total=False):
    drift: Annotated[str, _word_of(DriftMode)]
    ignore: list[Annotated[str, AfterValidator(_known_field)]]
    rollback: _Rollback
    budget: _Budget
    alerts: list[_Alert]


@_closed
class StackExtension(TypedDict, total=False):
    prune: bool
    paused: bool


def service_policy(extension: Data) -> ServicePolicy:
    """Build the policy of a service from a checked extension."""
    simple = {key: extension[key] for key in ("drift",) if key in extension}
    return ServicePolicy(
        **simple,
        ignore=tuple(dict.fromkeys(extension.get("ignore", ()))),
        rollback=RollbackPolicy(**extension.get("rollback", {})),
        budget=BudgetPolicy(**extension.get("budget", {})),
        alerts=tuple(_alert_rule(rule) for rule in extension.get("alerts", ())),
    )


def _alert_rule(rule: Data) -> AlertRule:
    names = {"match": "match", "action": "action", "for": "wait", "cooldown": "cooldown"}
    return AlertRule(**{names[key]: value for key, value in rule.items()})


def stack_policy(extension: Data) -> StackPolicy:
    """Build the policy of a stack from a checked extension."""
    return StackPolicy(**extension)
