"""Runs the schema over a section and turns its errors into located problems in plain words."""

from __future__ import annotations

import math
from typing import Any, cast

from pydantic_core import ValidationError

from controller.stackfile.problems import Findings, Path
from controller.stackfile.scalars import Timestamp
from controller.stackfile.shapes import Section
from controller.stackfile.tree import Data

_EXPECTED = {
    "string_type": "a string",
    "int_type": "an integer",
    "int_from_float": "an integer",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a mapping",
}


def validate(kind: Section, raw: Any, path: Path, findings: Findings) -> Data | None:
    """Check a section; None when it has problems, each of which is reported at its place."""
    try:
        return cast("Data", kind.validator.validate_python(raw))
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            _report(detail, raw, path, findings)
        return None


def _report(detail: Any, raw: Any, path: Path, findings: Findings) -> None:
    context = detail.get("ctx") or {}
    steps = (*detail["loc"], context["at"]) if "at" in context else detail["loc"]
    place: Path = (*path, *_existing(steps, raw))
    if not findings.has_error_at(place):  # what interpolation could not fill in is wrong here too
        findings.error(place, _reason(detail, context), at_key=detail["type"] == "extra_forbidden")


def _existing(steps: Path, raw: Any) -> Path:
    """Drop the steps that a reader has put in, such as the list that a port's long form is wrapped in."""
    kept: list[str | int] = []
    for step in steps:
        if isinstance(raw, list) and isinstance(step, int):
            raw = raw[step]
        elif isinstance(raw, dict) and isinstance(step, str):
            raw = raw.get(step)
        else:
            continue
        kept.append(step)
    return tuple(kept)


def _reason(detail: Any, context: dict[str, Any]) -> str:
    kind = detail["type"]
    if kind in _EXPECTED:
        return f"must be {_EXPECTED[kind]}{_actual(detail['input'], wants_text=kind == 'string_type')}"
    match kind:
        case "refused":
            return str(context["reason"])
        case "missing":
            return "is required"
        case "extra_forbidden":
            return "is not a key that docker stack knows here"
        case "literal_error":
            return f"must be {context['expected']}"
        case "greater_than_equal":
            return f"must be {context['ge']} or more"
        case "less_than_equal":
            return f"must be {context['le']} or less"
    return str(detail["msg"])


def _actual(value: Any, *, wants_text: bool) -> str:
    if value is None:
        return "; it has no value"
    for kind, name in ((dict, "a mapping"), (list, "a list"), (str, "a string")):
        if isinstance(value, kind):
            return f"; this is {name}"
    if not wants_text or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    name = "a boolean" if isinstance(value, bool) else "a timestamp" if isinstance(value, Timestamp) else "a number"
    return f"; this is {name}, quote it"
