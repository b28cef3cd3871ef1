"""What a person may see of a value. Environment values never; anything that is named or looks like a credential never."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

MASKED = "<masked>"

_WORDS = "pass|secret|token|credential|auth|api.?key|private|access.?key|signature|cookie|users|dsn|webhook"
_NAMED = re.compile(_WORDS, re.IGNORECASE)
_NAME = re.compile(r"[\w.-]+")
_GIVES = re.compile(r"[\"']?(?:\s*[=:]\s*|\s+)(?=\S)")  # between a credential's name and the credential
_WORD = re.compile(r"\S+")
_UNITS = ((3_600_000_000_000, "h"), (60_000_000_000, "m"), (1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "us"), (1, "ns"))
_DURATIONS = re.compile(r"\.(delay|monitor|interval|timeout|start_period|start_interval|window)$|^stop_grace_period$")
_SIZES = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))


def printable(field: str, value: Any) -> str:
    """One line for one value of a field, with everything secret masked."""
    if field.startswith("environment.") or _NAMED.search(field):
        return MASKED
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):  # not the text of a label that is called like a quantity
        return _quantity(field, value)
    return _plain(field, value)


def masked_text(text: str) -> str:
    """Text with URL credentials masked, and all that follows a credential's name."""
    text = _WORD.sub(_without_userinfo, text)
    for name in _NAME.finditer(text):
        given = _GIVES.match(text, name.end())
        if given and _NAMED.search(name[0]):
            return text[: given.end()] + MASKED  # it may have any form (`Bearer x`, a quoted phrase): nothing more is shown
    return text


def _without_userinfo(word: re.Match[str]) -> str:
    scheme, separator, rest = word[0].partition("://")
    _, at, host = rest.rpartition("@")  # the last @: not everybody escapes a password
    return f"{scheme}{separator}{MASKED}@{host}" if at else word[0]


def _quantity(field: str, value: int) -> str:
    if _DURATIONS.search(field):
        return _duration(value)
    if field.endswith(".memory"):
        return _size(value)
    return f"{value / 1e9:g}" if field.endswith(".cpus") else str(value)


def _plain(field: str, value: Any) -> str:
    if field.startswith("ports."):
        return ", ".join(f"{published or 'any'} ({mode})" for published, mode in value)
    if field.startswith("networks."):
        aliases, options = value
        return f"attached as {', '.join(aliases) or 'itself'}" + (f" with {_options(dict(options))}" if options else "")
    if field.startswith("volumes."):
        kind, source, read_only, options = value
        return f"{kind} {masked_text(source) or '(anonymous)'}{' read-only' if read_only else ''}" + (
            f" {_options(options)}" if options else ""
        )
    if field.startswith("configs."):
        return str(value[0]) + (f" ({value[1]}:{value[2]} {value[3]:04o})" if len(value) > 1 else "")
    if isinstance(value, tuple | list):
        return _listed(value)
    if isinstance(value, Mapping):
        return _options(value)
    return masked_text(str(value))


def _listed(items: Sequence[Any]) -> str:
    """The words of a command line or of another list; the word after a credential's bare name is its value."""
    shown: list[str] = []
    follows_name = False
    for item in items:
        text = _options(item) if isinstance(item, Mapping) else str(item)
        shown.append(MASKED if follows_name else masked_text(text))
        follows_name = _NAME.fullmatch(text) is not None and _NAMED.search(text) is not None
    return " ".join(shown)


def _options(options: Mapping[str, Any]) -> str:
    shown = []
    for key, value in options.items():
        if isinstance(value, Mapping):
            shown.append(f"{key}({_options(value)})")
        else:
            shown.append(f"{key}={MASKED if _NAMED.search(key) else masked_text(str(value))}")
    return ", ".join(shown)


def _duration(nanoseconds: int) -> str:
    if not nanoseconds:
        return "0s"
    size, unit = next((size, unit) for size, unit in _UNITS if nanoseconds % size == 0)
    return f"{nanoseconds // size}{unit}"


def _size(count: int) -> str:
    for size, unit in _SIZES:
        if count and count % size == 0:
            return f"{count // size}{unit}"
    return f"{count}B"
