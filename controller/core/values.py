"""What the comparison of specs is made of: unset values, unknown keys, and the names behind ids."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from controller.model.spec import BOOKKEEPING_PREFIX, Json

SECOND = 1_000_000_000  # the API's durations are nanoseconds
START_INTERVAL_SINCE, SUBPATH_SINCE = (1, 44), (1, 45)  # API versions; older engines drop the field without a word

Fields: TypeAlias = dict[str, Any]  # field in the stack file's words -> comparable value


@dataclass(frozen=True, slots=True)
class Context:
    """What turns ids into names, and what the engine can store at all."""

    networks: Mapping[str, str]  # id -> name
    configs: Mapping[str, str]  # id -> name
    api_version: tuple[int, int]


def set_only(fields: Iterable[tuple[str, Any]]) -> Fields:
    """Without what is nothing, empty or zero: the engine's JSON leaves all of these out alike."""
    return {name: value for name, value in fields if value}


def pruned(value: Any) -> Any:
    """A copy without anything unset, at any depth."""
    if isinstance(value, Mapping):
        cleaned = {key: pruned(item) for key, item in value.items()}
        return {key: item for key, item in cleaned.items() if item}
    if isinstance(value, list | tuple):
        return [pruned(item) for item in value]
    return value


def single_precision(value: float) -> float:
    """The number as the engine keeps a ratio: in 32 bits."""
    return ctypes.c_float(value).value


def unknown(body: Json, known: frozenset[str]) -> Iterable[tuple[str, Any]]:
    """What no stack file can say but somebody may have set: it counts as drift, under the API's own name."""
    for key in sorted(body.keys() - known):
        value = pruned(body[key])
        if value:
            yield key, value


def label_fields(prefix: str, labels: Mapping[str, str] | None) -> Fields:
    return {f"{prefix}.{key}": value for key, value in (labels or {}).items() if not key.startswith(BOOKKEEPING_PREFIX)}
