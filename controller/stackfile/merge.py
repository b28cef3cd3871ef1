"""Several stack files into one, as docker's client merges them once each is read and checked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from controller.stackfile.tree import Data

# Pointers to numbers in docker's types: these override also when they are zero.
_ZERO_OVERRIDES = frozenset(("replicas", "parallelism", "max_attempts", "retries"))
_REPLACED_IF_FILLED = frozenset(("command", "entrypoint"))
_MAPS = frozenset(("labels", "sysctls", "ulimits"))  # key by key, an empty value wins


def merge_services(base: dict[str, Data], override: dict[str, Data]) -> dict[str, Data]:
    """Merge by name; the result is sorted by name."""
    merged = dict(base)
    for name, service in override.items():
        merged[name] = _merge_service(merged[name], service) if name in merged else service
    return dict(sorted(merged.items()))


def merge_objects(base: dict[str, Data], override: dict[str, Data]) -> dict[str, Data]:
    """Networks, volumes, configs, secrets: an entry of the override replaces the base's whole."""
    return {**base, **override}


def _merge_service(base: Data, override: Data) -> Data:
    # Docker keys and sorts these lists of the base even where the override has none.
    untouched: Data = {key: [] for key in _KEYED & base.keys() - override.keys()}
    given = {key: value for key, value in override.items() if value or key not in _KEYED or key in base}
    return _merge_fields(base, {**given, **untouched})


def _merge_fields(base: Data, override: Data) -> Data:
    merged = dict(base)
    for key, value in override.items():
        mine = merged.get(key)
        if mine is None:
            merged[key] = value
        elif value is not None:
            merged[key] = _merge_value(key, mine, value)
    return merged


def _merge_value(key: str, base: Any, override: Any) -> Any:
    if key.startswith("x-"):
        return _merge_extension(base, override)
    if key in _SPECIAL:
        return _SPECIAL[key](base, override)
    if key in _MAPS:
        return {**base, **override}
    if isinstance(override, dict):
        return _merge_fields(base, override)
    if key in _REPLACED_IF_FILLED:
        return override or base
    if isinstance(override, list):
        return [*base, *override]
    return override if override or key in _ZERO_OVERRIDES else base


def _merge_extension(base: Any, override: Any) -> Any:
    """`x-` values: mappings deeply, lists appended, anything else replaced, zero values included."""
    if isinstance(base, dict) and isinstance(override, dict):
        return {**base, **{key: _merge_extension(base[key], value) if key in base else value for key, value in override.items()}}
    if isinstance(base, list) and isinstance(override, list):
        return [*base, *override]
    return override


def _merge_variables(base: Data, override: Data) -> Data:
    return {**base, **{name: value for name, value in override.items() if value or not base.get(name)}}


def _merge_logging(base: Data, override: Data) -> Data:
    drivers = {logging["driver"] for logging in (base, override) if logging.get("driver")}
    if len(drivers) > 1:
        return override
    merged = {**base, **override, "driver": override.get("driver") or base.get("driver", "")}
    merged.pop("options", None)
    if "options" in base:  # docker loses the override's where the base has none
        merged["options"] = {**base["options"], **override.get("options", {})}
    return merged


def _merge_networks(base: Data, override: Data) -> Data:
    merged = dict(base)
    for name, attachment in override.items():
        mine = merged.get(name)
        if mine is None:
            merged[name] = attachment
        elif attachment is not None:
            kept = {key: value for key, value in mine.items() if key != "aliases"}
            taken = {key: value for key, value in attachment.items() if key != "driver_opts" and value}
            merged[name] = {**kept, **taken}
    return merged


def _by(field: str, default: Any) -> Callable[[list[Data], list[Data]], list[Data]]:
    def merge(base: list[Data], override: list[Data]) -> list[Data]:
        entries = {entry.get(field, default): entry for entry in (*base, *override)}
        return [entries[key] for key in sorted(entries)]

    return merge


_SPECIAL: dict[str, Callable[[Any, Any], Any]] = {
    "environment": _merge_variables,
    "logging": _merge_logging,
    "networks": _merge_networks,
    "ports": _by("published", 0),
    "volumes": _by("target", ""),
    "secrets": _by("source", ""),
    "configs": _by("source", ""),
}
_KEYED = frozenset(("ports", "volumes", "secrets", "configs"))
