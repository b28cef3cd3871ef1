"""Rules for single values: integers, truth values, texts and moments."""

from __future__ import annotations

import re
from datetime import datetime
from unicodedata import category

from app.domain.errors import Code, FieldError

# PostgreSQL's integer; ids are `integer` columns.
LARGEST_ID = 2**31 - 1
# Years outside are typing errors, not dates of a link.
FIRST_YEAR, LAST_YEAR = 1970, 2100

_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[ T][0-9]{2}:[0-9]{2}:[0-9]{2}Z?")

_NAMES = {
    type(None): "null",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    str: "a string",
    list: "a list",
    dict: "an object",
}


def wrong_type(field: str, expected: str, value: object) -> FieldError:
    """The error for a JSON value of another type than `expected` (a noun with its article)."""
    return FieldError(field, Code.TYPE, f"must be {expected}, not {_NAMES.get(type(value), type(value).__name__)}")


def identifier(field: str, value: object) -> int:
    """A positive integer of at most 2^31-1."""
    if type(value) is not int:
        raise wrong_type(field, "an integer", value)
    if not 1 <= value <= LARGEST_ID:
        raise FieldError(field, Code.RANGE, f"must be from 1 to {LARGEST_ID}")
    return value


def flag(field: str, value: object) -> bool:
    """true or false."""
    if type(value) is not bool:
        raise wrong_type(field, "a boolean", value)
    return value


def text(field: str, value: object, *, longest: int) -> str:
    """Any text of at most `longest` characters that PostgreSQL can hold: no NUL, no lone surrogate. May be empty."""
    if type(value) is not str:
        raise wrong_type(field, "a string", value)
    if len(value) > longest:
        raise FieldError(field, Code.TOO_LONG, f"must have at most {longest} characters, not {len(value)}")
    if not value.isprintable():
        _refuse_unstorable(field, value)
    return value


def line(field: str, value: object, *, longest: int) -> str:
    """A text of one line: not empty, no control characters, no space at either end."""
    value = text(field, value, longest=longest)
    if not value or value.isspace():
        raise FieldError(field, Code.EMPTY, "must not be empty")
    if value[0].isspace() or value[-1].isspace():
        raise FieldError(field, Code.SPACE, "must not begin or end with a space")
    if not value.isprintable() and (found := next((char for char in value if category(char) in _BREAKING), None)):
        raise FieldError(field, Code.CONTROL, f"must not hold the control character U+{ord(found):04X}")
    return value


def moment(field: str, value: object) -> datetime:
    """A second in UTC, written `YYYY-MM-DD HH:MM:SS` or `YYYY-MM-DDTHH:MM:SS` (a final Z is allowed), as a naive datetime."""
    if type(value) is not str:
        raise wrong_type(field, "a string", value)
    # Before fromisoformat, which takes other forms too: weeks, offsets, fractions, and 24:00 in later versions of Python.
    if not _MOMENT.fullmatch(value):
        raise FieldError(field, Code.FORMAT, "must be a time in UTC written YYYY-MM-DD HH:MM:SS or YYYY-MM-DDTHH:MM:SS")
    try:
        read = datetime.fromisoformat(value[:19])
    except ValueError as error:
        raise FieldError(field, Code.RANGE, f"is no date and time of the calendar: {error}") from None
    if not FIRST_YEAR <= read.year <= LAST_YEAR or value[11:13] == "24":
        raise FieldError(field, Code.RANGE, f"must be in the years {FIRST_YEAR} to {LAST_YEAR}, hours 00 to 23")
    return read


def render_moment(value: datetime) -> str:
    """The moment as JSON shows it, `YYYY-MM-DDTHH:MM:SS`."""
    return value.isoformat(timespec="seconds")


# Unicode's classes of control characters and of line and paragraph separators.
_BREAKING = frozenset({"Cc", "Zl", "Zp"})


def _refuse_unstorable(field: str, value: str) -> None:
    if "\0" in value:
        raise FieldError(field, Code.NUL, "must not hold a NUL character")
    if any("\ud800" <= char <= "\udfff" for char in value):
        raise FieldError(field, Code.SURROGATE, "must not hold half of a surrogate pair")
