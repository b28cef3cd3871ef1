"""Taking fields out of a JSON object."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from app.domain.errors import Code, FieldError

T = TypeVar("T")
Rule = Callable[[str, object], T]


def required(body: Mapping[str, object], field: str, rule: Rule[T]) -> T:
    """The field by its rule; MISSING if it is not there. A null is there, and of the wrong type."""
    if field not in body:
        raise FieldError(field, Code.MISSING, "is required")
    return rule(field, body[field])


def optional(body: Mapping[str, object], field: str, rule: Rule[T]) -> T | None:
    """The field by its rule, or None if it is absent or null."""
    value = body.get(field)
    return None if value is None else rule(field, value)
