"""What an event is."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

import msgspec

from app.domain.errors import Code, FieldError
from app.domain.fields import optional, required
from app.domain.values import identifier, moment, text, wrong_type

LONGEST_TYPE = 50
# Bytes of the object as compact JSON, and levels of objects and lists in each other.
LONGEST_DETAILS, DEEPEST_DETAILS = 16_384, 32
# Wider integers cannot be read back exactly by most that speak JSON.
_WIDEST = 2**63

_TYPE = re.compile(r"[A-Za-z][A-Za-z0-9_.:-]*")


class NewEvent(NamedTuple):
    """An event to write; a `timestamp` of None is now."""

    event_type: str
    url_id: int | None
    user_id: int | None
    details: dict[str, object]
    timestamp: datetime | None = None


def event_type(field: str, value: object) -> str:
    """A word of at most 50 letters, digits and _ . : -, which begins with a letter: `created`, `clicked`."""
    word = text(field, value, longest=LONGEST_TYPE)
    if not _TYPE.fullmatch(word):
        what = "must begin with a letter and hold only A-Z, a-z, 0-9, _ . : and -"
        raise FieldError(field, Code.FORMAT if word else Code.EMPTY, what)
    return word


def details(field: str, value: object) -> dict[str, object]:
    """A JSON object that a `jsonb` column holds and gives back: at most 16 KiB and 32 levels, no NUL, surrogate or infinity."""
    if type(value) is not dict:
        raise wrong_type(field, "an object", value)
    _check(field, value, level=1)
    if (size := len(msgspec.json.encode(value))) > LONGEST_DETAILS:
        raise FieldError(field, Code.TOO_LONG, f"must have at most {LONGEST_DETAILS} bytes as JSON, not {size}")
    return value


def new_event(body: Mapping[str, object]) -> NewEvent:
    """The event that a JSON object describes; unknown keys mean nothing. Raises FieldError on the first bad field."""
    return NewEvent(
        event_type=required(body, "event_type", event_type),
        url_id=optional(body, "url_id", identifier),
        user_id=optional(body, "user_id", identifier),
        details=optional(body, "details", details) or {},
        timestamp=optional(body, "timestamp", moment),
    )


def _check(field: str, value: object, *, level: int) -> None:
    if type(value) is str:
        text(field, value, longest=LONGEST_DETAILS)
    elif type(value) is float and not math.isfinite(value):
        raise FieldError(field, Code.RANGE, "must hold finite numbers only")
    elif type(value) is int and not -_WIDEST <= value < _WIDEST:
        raise FieldError(field, Code.RANGE, "must hold integers of at most 64 bits only")
    elif isinstance(value, (dict, list)):
        if level > DEEPEST_DETAILS:
            raise FieldError(field, Code.RANGE, f"must not nest deeper than {DEEPEST_DETAILS} levels")
        for part in (*value.keys(), *value.values()) if isinstance(value, dict) else value:
            _check(field, part, level=level + 1)
