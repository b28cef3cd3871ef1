"""What a plain YAML scalar means, and how a value is written when text is wanted: both as Go's YAML and fmt do it."""

from __future__ import annotations

import base64
import binascii
import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from functools import lru_cache
from typing import Any

_CONSTANTS: dict[str, Any] = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan),
    **{sign + word: math.inf for sign in ("", "+") for word in (".inf", ".Inf", ".INF")},
    **{"-" + word: -math.inf for word in (".inf", ".Inf", ".INF")},
}
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_TIMESTAMP = re.compile(
    r"(\d{4})-(\d{1,2})-(\d{1,2})"
    r"(?:([Tt ])(\d{1,2}):(\d{1,2}):(\d{1,2})(?:[.,](\d+))?(Z|[-+]\d\d:\d\d)?)?",
)
_BASES = {"0x": 16, "0X": 16, "0o": 8, "0O": 8, "0b": 2, "0B": 2}
_TAG = "tag:yaml.org,2002:"


@dataclass(frozen=True, slots=True)
class Timestamp:
    """A date or time; nothing in a stack file is one, but it may stand where any value is turned into text."""

    text: str  # as Go prints it


class UnreadableScalarError(ValueError):
    """The text does not fit its explicit tag."""


def resolve(text: str, tag: str | None = None, *, is_plain: bool = True) -> Any:
    """Turn a scalar's text into its value: str, int, float, bool, None or Timestamp."""
    if tag is None or tag == "!":
        return resolve_plain(text) if is_plain else text
    if not tag.startswith(_TAG):
        return resolve_plain(text) if is_plain else text  # a tag of the author's own changes nothing
    return _resolve_tagged(text, tag.removeprefix(_TAG))


@lru_cache(maxsize=4096)  # a file says the same few words over and over
def resolve_plain(text: str) -> Any:
    """Turn a plain scalar without a tag into its value."""
    if text[:1] in "+-.0123456789" and text:
        return _number(text)
    return _CONSTANTS.get(text, text)


def _resolve_tagged(text: str, tag: str) -> Any:
    if tag == "str":
        return text
    if tag == "binary":
        try:
            return base64.b64decode(text, validate=False).decode()
        except (binascii.Error, UnicodeDecodeError):
            raise UnreadableScalarError("is tagged !!binary and is not base64 of text") from None
    value = resolve_plain(text)
    kinds = {"int": int, "bool": bool, "null": type(None), "timestamp": Timestamp, "float": float}
    if tag == "float" and type(value) is int:
        value = float(value)
    if tag in kinds and type(value) is not kinds[tag]:
        raise UnreadableScalarError(f"is tagged !!{tag} and is not one")
    return value


def _number(text: str) -> Any:
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if text[0] in "0123456789" and text[4:5] == "-" and (stamp := _timestamp(text)) is not None:
        return stamp
    plain = text if text[0] == "." else text.replace("_", "")
    if (integer := _integer(plain)) is not None and -(1 << 63) <= integer < 1 << 64:
        return integer
    if _FLOAT.fullmatch(plain):
        value = float(plain)
        return value if math.isfinite(value) else text
    return text


def _integer(text: str) -> int | None:
    sign, digits = (text[0], text[1:]) if text[:1] in "+-" else ("", text)
    base = _BASES.get(digits[:2], 8 if digits[:1] == "0" and len(digits) > 1 else 10)
    digits = digits[2:] if digits[:2] in _BASES else digits
    if not digits.isascii() or not digits.isalnum() or len(digits) > 64:
        return None
    try:
        return int(sign + digits, base)
    except ValueError:
        return None


def _timestamp(text: str) -> Timestamp | None:
    match = _TIMESTAMP.fullmatch(text)
    if match is None:
        return None
    year, month, day, separator, hour, minute, second, fraction, zone = match.groups()
    if zone is not None and separator == " ":
        return None
    if zone is None and separator in ("T", "t"):
        return None
    try:
        stamp = datetime(int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0), tzinfo=_zone(zone))
    except ValueError:
        return None
    digits = (fraction or "")[:9].rstrip("0")
    offset = stamp.strftime("%z")
    name = "UTC" if offset == "+0000" else offset
    return Timestamp(f"{stamp:%Y-%m-%d %H:%M:%S}{'.' + digits if digits else ''} {offset} {name}")


def _zone(text: str | None) -> timezone:
    if text is None or text == "Z":
        return UTC
    minutes = int(text[1:3]) * 60 + int(text[4:])
    return timezone(timedelta(minutes=-minutes if text[0] == "-" else minutes))


def to_text(value: Any) -> str:
    """Write a scalar as Go's fmt does: integers in decimal, floats by `format_float`, timestamps with their zone."""
    if isinstance(value, float):
        return format_float(value)
    return value.text if isinstance(value, Timestamp) else str(value)


def format_float(value: float) -> str:
    """Go's %v: the shortest digits that read back the same; with an exponent where it is below -4 or above 5."""
    sign, digits, exponent = Decimal(repr(value)).normalize().as_tuple()
    text = "".join(map(str, digits))
    point = len(text) + int(exponent)  # where the decimal point stands, counted from the first digit
    if value and not -4 <= point - 1 < 6:
        fraction = f".{text[1:]}" if len(text) > 1 else ""
        text = f"{text[0]}{fraction}e{point - 1:+03d}"
    elif point <= 0:
        text = f"0.{'0' * -point}{text}"
    elif point < len(text):
        text = f"{text[:point]}.{text[point:]}"
    else:
        text = text.ljust(point, "0")
    return f"-{text}" if sign else text
