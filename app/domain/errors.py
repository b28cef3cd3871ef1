"""The one way in which a rule says no."""

from __future__ import annotations

from enum import StrEnum


class Code(StrEnum):
    """Why a value was refused; part of the API and of the reject file, so never renamed."""

    MISSING = "missing"
    TYPE = "type"
    EMPTY = "empty"
    TOO_LONG = "too_long"
    FORMAT = "format"
    RANGE = "range"
    NUL = "nul"
    SURROGATE = "surrogate"
    CONTROL = "control"
    SPACE = "space"
    RESERVED = "reserved"
    JSON = "json"


class FieldError(ValueError):
    """One field's value breaks one rule; `message` is a sentence for a person and never repeats the value."""

    def __init__(self, field: str, code: Code, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.code = code
        self.message = message
