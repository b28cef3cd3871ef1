"""Taking requests apart: bodies, ids and filters."""

from __future__ import annotations

from typing import Any

import msgspec
from flask import request
from werkzeug.exceptions import BadRequest, NotFound, UnsupportedMediaType

from app.domain.errors import Code, FieldError
from app.domain.values import LARGEST_ID

_LARGEST_BIGINT = 2**63 - 1


def json_object() -> dict[str, Any]:
    """The request's body. Raises BadRequest, UnsupportedMediaType and RequestEntityTooLarge."""
    body = request.get_data(cache=False)
    if request.content_length is None:  # what is too long was cut, and only the next read says so
        request.stream.read(1)
    # What says nothing of its type is taken for JSON: curl -d says something wrong, and most else nothing.
    if request.mimetype and not request.is_json:
        raise UnsupportedMediaType("The body must be application/json.")
    try:
        value = msgspec.json.decode(body)
    except RecursionError:
        raise BadRequest("The body nests too deep.") from None
    except ValueError as error:  # msgspec.DecodeError is one, and so is what is said of text that is no UTF-8
        raise BadRequest(f"The body is no JSON: {error}") from None
    if type(value) is not dict:
        raise BadRequest("The body must be a JSON object.")
    return value


def known_id(number: int, *, largest: int = LARGEST_ID) -> int:
    """An id of a path. Raises NotFound for what no row can have."""
    if not 1 <= number <= largest:
        raise NotFound()
    return number


def known_event_id(number: int) -> int:
    """As `known_id`; clicks make more events than 2^31."""
    return known_id(number, largest=_LARGEST_BIGINT)


def number(name: str, *, default: int, least: int, most: int) -> int:
    """A number of the query string. Raises FieldError."""
    text = request.args.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.removeprefix("-").isdigit() and len(text) <= 20):
        raise FieldError(name, Code.TYPE, "must be a whole number")
    value = int(text)
    if not least <= value <= most:
        raise FieldError(name, Code.RANGE, f"must be from {least} to {most}")
    return value


def wanted_id(name: str) -> int | None:
    """An id to filter by, None if there is none in the query string. Raises FieldError."""
    return number(name, default=0, least=1, most=LARGEST_ID) or None
