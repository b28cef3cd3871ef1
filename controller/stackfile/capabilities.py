"""Capabilities as docker's client sends them: normalised, and without what cancels out."""

from __future__ import annotations

from collections.abc import Iterable

_ALL, _RESET = "ALL", "RESET"


def effective_capabilities(add: Iterable[str], drop: Iterable[str]) -> tuple[list[str], list[str]]:
    """Sorted lists of what is added and dropped; adding wins over dropping, and ALL swallows the rest of its list."""
    added, dropped = _normalise(add), _normalise(drop)
    if _ALL in dropped:
        dropped = {_ALL}
    if _ALL in added:
        added = {_ALL}
    return sorted(added - {_RESET}), sorted(dropped - added - {_RESET})


def _normalise(names: Iterable[str]) -> set[str]:
    words = (name.strip().upper() for name in names)
    return {word if word in (_ALL, _RESET) or word.startswith("CAP_") else f"CAP_{word}" for word in words}
