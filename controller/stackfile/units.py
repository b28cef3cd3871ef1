"""Durations, sizes and shares of a CPU, read as Go's libraries read them."""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache

_DURATION_PART = re.compile(r"([0-9]{0,19})(?:\.([0-9]*))?(ns|us|µs|μs|ms|s|m|h)")
_NANOSECONDS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,  # the micro sign
    "μs": 1_000,  # the Greek letter; Go takes both
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_SIZE = re.compile(r"(\+?[0-9]{1,19}(?:\.[0-9]*)?|\+?\.[0-9]+) ?(?:([kmgtp])(?:i?b)?|b)?", re.IGNORECASE)
_BYTES = {"": 1, **{unit: 1024**power for power, unit in enumerate("kmgtp", start=1)}}
_CPUS = re.compile(r"[-+]?(?:[0-9]{1,19}/[0-9]{1,19}|(?:[0-9]{1,19}\.?[0-9]{0,19}|\.[0-9]{1,19})(?:[eE][-+]?[0-9]{1,2})?)")
_MAX_INT64 = (1 << 63) - 1


@lru_cache(maxsize=256)  # a file says the same few numbers over and over
def parse_duration(text: str) -> int:
    """Read a Go duration such as `1m30s` as nanoseconds; raises ValueError."""
    sign, rest = (-1, text[1:]) if text[:1] == "-" else (1, text[1:] if text[:1] == "+" else text)
    if rest == "0":
        return 0
    total, position = 0, 0
    while position < len(rest):
        match = _DURATION_PART.match(rest, position)
        if match is None or not (match[1] or match[2]):
            break
        unit = _NANOSECONDS[match[3]]
        total += int(match[1] or 0) * unit
        if match[2]:
            total += int(match[2][:18]) * unit // 10 ** len(match[2][:18])
        position = match.end()
    if not rest or position < len(rest) or total > _MAX_INT64:
        raise ValueError(f"{text!r} is not a duration; write it as 10s or 1m30s")
    return sign * total


@lru_cache(maxsize=256)
def parse_size(text: str) -> int:
    """Read a size such as `1.5gb` as bytes, units being powers of 1024; raises ValueError."""
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a size; write it as 512M or 1.5G")
    size = int(float(match[1]) * _BYTES[(match[2] or "").lower()])
    if size > _MAX_INT64:
        raise ValueError(f"{text!r} is larger than any size can be")
    return size


@lru_cache(maxsize=256)
def parse_cpus(text: str) -> int:
    """Read a number of CPUs such as `0.5` or `1/2` as billionths, nothing as none; raises ValueError."""
    if text and (not _CPUS.fullmatch(text) or re.search(r"/0+$", text)):
        raise ValueError(f"{text!r} is not a number of CPUs; write it as '0.5'")
    nano = Fraction(text or 0) * 1_000_000_000
    if nano.denominator != 1:
        raise ValueError(f"{text!r} is finer than a billionth of a CPU")
    return int(nano)
