"""How the cells of a CSV file are read. Spaces around numbers, truth values and moments mean nothing; texts stay as written.

An empty cell says nothing: None where the field may be absent (a new row then takes the default, an old one keeps what it
has), and EMPTY where it is required. So no cell can empty a field that has a value; that is what the API is for.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from app.domain.errors import Code, FieldError
from app.domain.events import LONGEST_DETAILS, details
from app.domain.values import LARGEST_ID, moment

# Of rows that bring their own: the rest of PostgreSQL's integers is left for rows that do not.
LARGEST_GIVEN_ID = 2_000_000_000

_FLAGS = {
    "true": True, "t": True, "yes": True, "y": True, "1": True, "on": True,
    "false": False, "f": False, "no": False, "n": False, "0": False, "off": False,
}  # fmt: skip


def id_cell(field: str, cell: str) -> int | None:
    """Digits for 1 to 2^31-1, leading zeros allowed; no sign, no fraction. None if empty."""
    if cell.isdigit() and cell.isascii() and len(cell) <= 10:
        number = int(cell)
        if 1 <= number <= LARGEST_ID:
            return number
    return _odd_id(field, cell.strip(" \t"))


def own_id_cell(field: str, cell: str) -> int | None:
    """As `id_cell`, for the id of the row itself: what the service numbers later goes on from the largest one."""
    number = id_cell(field, cell)
    if number is not None and number > LARGEST_GIVEN_ID:
        raise FieldError(field, Code.RANGE, f"must be from 1 to {LARGEST_GIVEN_ID}")
    return number


def required_id_cell(field: str, cell: str) -> int:
    """As `id_cell`, but EMPTY if empty."""
    number = id_cell(field, cell)
    if number is None:
        raise FieldError(field, Code.EMPTY, "must not be empty")
    return number


def flag_cell(field: str, cell: str) -> bool | None:
    """true t yes y 1 on, or false f no n 0 off, in any case. None if empty."""
    word = cell.strip(" \t").lower()
    if not word:
        return None
    value = _FLAGS.get(word)
    if value is None:
        raise FieldError(field, Code.FORMAT, "must be true or false")
    return value


def moment_cell(field: str, cell: str) -> datetime | None:
    """As `values.moment`. None if empty."""
    cell = cell.strip(" \t")
    return moment(field, cell) if cell else None


def details_cell(field: str, cell: str) -> dict[str, object] | None:
    """A JSON object, as `events.details`. None if empty."""
    if not cell or cell.isspace():
        return None
    if len(cell) > 2 * LONGEST_DETAILS:
        raise FieldError(field, Code.TOO_LONG, f"must have at most {LONGEST_DETAILS} bytes as JSON")
    try:
        value = msgspec.json.decode(cell)
    except RecursionError:
        raise FieldError(field, Code.RANGE, "nests too deep") from None
    except ValueError as error:  # msgspec.DecodeError is one, and so is what is said of text that is no UTF-8
        raise FieldError(field, Code.JSON, f"must be a JSON object: {error}") from None
    return details(field, value)


def _odd_id(field: str, cell: str) -> int | None:
    if not cell:
        return None
    digits = cell.removeprefix("-")
    if not (digits.isdigit() and digits.isascii()):
        raise FieldError(field, Code.FORMAT, "must be a whole number")
    significant = digits.lstrip("0")
    if digits != cell or not significant or len(significant) > 10 or int(significant) > LARGEST_ID:
        raise FieldError(field, Code.RANGE, f"must be from 1 to {LARGEST_ID}")
    return int(significant)
