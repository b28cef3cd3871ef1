"""The field types of the schema: what may be written, and the one form that the rest of the package sees.

Readers take a raw value and return it in the long form, or leave it as it is for the schema to refuse.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from pydantic_core import PydanticCustomError

from controller.stackfile.ports import Port, expand_port
from controller.stackfile.scalars import Timestamp, to_text
from controller.stackfile.shapes import ANYTHING, INTEGER, TEXT, after, before, integer, list_of, mapping_to, optional
from controller.stackfile.units import parse_cpus, parse_duration, parse_size
from controller.stackfile.volumes import expand_volume
from controller.stackfile.words import split_words


def refuse(reason: str) -> PydanticCustomError:
    """An error whose text is final; nothing is added to it."""
    return PydanticCustomError("refused", "{reason}", {"reason": reason})


def _refuse_at(key: str, reason: str) -> PydanticCustomError:
    """The same for one key of the mapping that is being read."""
    return PydanticCustomError("refused", "{reason}", {"reason": reason, "at": key})


def _from_text(parse: Callable[[str], Any]) -> Callable[[Any], Any]:
    """Parse a string; anything else is refused as not being one."""

    def read(value: Any) -> Any:
        if not isinstance(value, str):
            raise PydanticCustomError("string_type", "must be a string")
        try:
            return parse(value)
        except ValueError as error:
            raise refuse(str(error)) from None

    return read


def _if_text(parse: Callable[[str], Any]) -> Callable[[Any], Any]:
    """Parse a string; anything else goes on as it is."""
    read = _from_text(parse)
    return lambda value: read(value) if isinstance(value, str) else value


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _truncated(value: Any) -> Any:
    return int(value) if isinstance(value, float) and abs(value) < 1 << 63 else value


def _signature(value: Any) -> Any:
    """Equal for what JSON calls equal: 1 and 1.0 are, 1 and true and "1" are not."""
    if isinstance(value, dict):
        return frozenset((key, _signature(item)) for key, item in value.items())
    if isinstance(value, list):
        return tuple(map(_signature, value))
    return (isinstance(value, bool), isinstance(value, str), value)


def check_unique(value: Any) -> Any:
    """Refuse a list in which an item stands twice."""
    seen = set()
    for item in value if isinstance(value, list) else ():
        signature = _signature(item)
        if signature in seen:
            raise refuse(f"holds {item!r} twice" if isinstance(item, str | int) else "holds an entry twice")
        seen.add(signature)
    return value


def _one_as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else check_unique(value)


def _pairs(*, absent: str | None) -> Callable[[Any], Any]:
    """Read `[K=V, K]` or `{K: V}` as a mapping to text; `absent` stands for a missing value."""

    def read(value: Any) -> Any:
        if isinstance(value, list):
            return dict(_split_pair(item, absent) for item in check_unique(value))
        if not isinstance(value, dict):
            raise refuse("must be a mapping or a list")
        return {key: item if type(item) is str else _text(item, key, absent) for key, item in value.items()}

    return read


def _split_pair(item: Any, absent: str | None) -> tuple[str, str | None]:
    if not isinstance(item, str):
        raise refuse(f"the list may hold only strings; {_shown(item)} is none, quote it")
    key, equals, value = item.partition("=")
    return key, value if equals else absent


def _text(value: Any, key: str, absent: str | None) -> str | None:
    if value is None:
        return absent
    if isinstance(value, bool | dict | list):
        raise _refuse_at(key, f"must be a string, a number or null, not {_shown(value)}")
    return to_text(value)


def _shown(value: Any) -> str:
    if isinstance(value, dict | list):
        return "a mapping" if isinstance(value, dict) else "a list"
    return str(value).lower() if isinstance(value, bool) else to_text(value)


def _options(*, allows_null: bool) -> Callable[[Any], Any]:
    """Read a mapping to text in which, unlike labels, no list form exists."""
    read_pairs = _pairs(absent="")

    def read(value: Any) -> Any:
        if not isinstance(value, dict):
            raise PydanticCustomError("dict_type", "must be a mapping")
        if not allows_null:
            for key, item in value.items():
                if item is None:
                    raise _refuse_at(key, "must be a string or a number; it has no value")
        return read_pairs(value)

    return read


def _hosts(value: Any) -> Any:
    """Read `{host: address}` or `[host:address]` as `host:address`, with `=` and brackets of IPv6 put right."""
    if isinstance(value, dict):
        for host, address in value.items():
            if address is not None and not isinstance(address, str):
                raise _refuse_at(host, "must be a string; docker garbles anything else")
        entries = sorted(f"{host}:{address}" for host, address in value.items() if address is not None)
    elif isinstance(value, list):
        for item in check_unique(value):
            _split_pair(item, None)  # refuses what is no string
        entries = value
    else:
        raise refuse("must be a mapping or a list")
    return [normal for entry in entries if (normal := _normal_host(entry)) is not None]


def _normal_host(entry: str) -> str | None:
    separator = "=" if "=" in entry else ":"
    host, found, address = entry.partition(separator)
    if not found:
        return None
    return f"{host}:{address[1:-1] if address[:1] == '[' and address[-1:] == ']' else address}"


def read_port(value: Any) -> Any:
    if isinstance(value, str) or type(value) is int:
        try:
            return expand_port(str(value))[0]
        except ValueError as error:
            raise refuse(str(error)) from None
    if not isinstance(value, dict):
        raise refuse("must be a number, a string or a mapping")
    return [value]


def flat(entries: Iterable[list[Port]]) -> list[Port]:
    return [port for entry in entries for port in entry]


def text_as(key: str) -> Callable[[Any], Any]:
    """Read a string as a mapping that holds only this key."""
    return lambda value: {key: value} if isinstance(value, str) else value


def read_networks(value: Any) -> Any:
    if not isinstance(value, list):
        return value
    for item in check_unique(value):
        _split_pair(item, None)  # refuses what is no string
    return dict.fromkeys(value)


def read_limits(value: Any) -> Any:
    value = _whole(value)
    return {"soft": value, "hard": value} if type(value) is int else value


def read_external(value: Any) -> Any:
    if isinstance(value, bool):
        return {"external": value}
    return {"external": True, **value} if isinstance(value, dict) else value


def _checked(parse: Callable[[str], Any]) -> Callable[[str], str]:
    def check(value: str) -> str:
        try:
            parse(value)
        except ValueError as error:
            raise refuse(str(error)) from None
        return value

    return check


def _constraint_free_text(value: Any) -> Any:
    """Text or a number, kept only to be ignored."""
    if isinstance(value, bool | dict | list | Timestamp | None):
        raise refuse("must be a string or a number")
    return value


read_volume = _if_text(expand_volume)

STRINGS = list_of(TEXT)
WHOLE = before(_whole, INTEGER)
UNSIGNED = before(_whole, integer(least=0))
TRUNCATED = before(_truncated, integer(least=0))  # any number, cut off as docker's decoder does
PORT_NUMBER = before(_whole, integer(least=0, most=65535))
TEXT_OR_NUMBER = after(ANYTHING, _constraint_free_text)
DURATION = before(_from_text(parse_duration), INTEGER)  # nanoseconds
SIZE = before(_from_text(parse_size), INTEGER)  # bytes
CPUS = after(TEXT, _checked(parse_cpus))  # stays text: an explicit "0" overrides on merge
WORDS = before(_if_text(split_words), STRINGS)
TEST = before(lambda value: ["CMD-SHELL", value] if isinstance(value, str) else value, STRINGS)
UNIQUE_STRINGS = after(STRINGS, check_unique)
ONE_OR_MORE = before(_one_as_list, STRINGS)
LABELS = before(_pairs(absent=""), mapping_to(TEXT))
ENVIRONMENT = before(_pairs(absent=None), mapping_to(optional(TEXT)))
OPTIONS = before(_options(allows_null=False), mapping_to(TEXT))
LOG_OPTIONS = before(_options(allows_null=True), mapping_to(TEXT))
HOSTS = before(_hosts, STRINGS)
