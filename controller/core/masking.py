"""What a person may see of a value. Environment values never; anything that is named or looks like a credential never."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

MASKED = "<masked>"

_WORDS = "pass|secret|token|credential|auth|api.?key|private|access.?key|signature|cookie|users|dsn|webhook"
_NAMED = re.compile(_WORDS, re.IGNORECASE)
_ASSIGNED = re.compile(rf"([\w.-]*(?:{_WORDS})[\w.-]*)(\s*[=:]\s*|\s+)(?!\s)(\S+)", re.IGNORECASE)
_USERINFO = re.compile(r"(\w[\w+.-]*://)[^/\s@]+@")
_STRUCTURE = ("ports.", "networks.", "volumes.", "configs.", "secrets.")  # their values are names and numbers of objects
_UNITS = ((3_600_000_000_000, "h"), (60_000_000_000, "m"), (1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "us"), (1, "ns"))
_DURATIONS = re.compile(r"\.(delay|monitor|interval|timeout|start_period|start_interval|window)$|^stop_grace_period$")
_SIZES = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))


def printable(field: str, value: Any) -> str:
    """One line for one value of a field, with everything secret masked."""
    if field.startswith("environment.") or (_NAMED.search(field) and not field.startswith(_STRUCTURE)):
        return MASKED
    if _DURATIONS.search(field):
        return _duration(value)
    if field.endswith(".memory"):
        return _size(value)
    if field.endswith(".cpus"):
        return f"{value / 1e9:g}"
    return masked_text(_plain(field, value))


def masked_text(text: str) -> str:
    """Text with URL credentials and whatever follows a credential's name masked."""
    text = _USERINFO.sub(rf"\1{MASKED}@", text)
    return _ASSIGNED.sub(rf"\1\2{MASKED}", text)


def _plain(field: str, value: Any) -> str:
    if field.startswith("ports."):
        return ", ".join(f"{published or 'any'} ({mode})" for published, mode in value)
    if field.startswith("networks."):
        aliases, options = value
        return f"attached as {', '.join(aliases) or 'itself'}" + (f" with {dict(options)}" if options else "")
    if field.startswith("volumes."):
        kind, source, read_only, options = value
        return f"{kind} {source or '(anonymous)'}{' read-only' if read_only else ''}" + (
            f" {_options(options)}" if options else ""
        )
    if field.startswith(("configs.", "secrets.")):
        return str(value[0]) + (f" ({value[1]}:{value[2]} {value[3]:04o})" if len(value) > 1 else "")
    if isinstance(value, tuple | list):
        return " ".join(str(item) for item in value)
    if isinstance(value, Mapping):
        return _options(value)
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)


def _options(options: Mapping[str, Any]) -> str:
    shown = []
    for key, value in options.items():
        if isinstance(value, Mapping):
            shown.append(f"{key}({_options(value)})")
        else:
            shown.append(f"{key}={MASKED if _NAMED.search(key) else value}")
    return ", ".join(shown)


def _duration(nanoseconds: int) -> str:
    if not nanoseconds:
        return "0s"
    for size, unit in _UNITS:
        if nanoseconds % size == 0:
            return f"{nanoseconds // size}{unit}"
    raise AssertionError("every whole number is a multiple of one nanosecond")


def _size(count: int) -> str:
    for size, unit in _SIZES:
        if count and count % size == 0:
            return f"{count // size}{unit}"
    return f"{count}B"
