"""What k6 and locust both do, read from the file that both read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

FILE = Path(__file__).with_name("scenario.json")
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


class NotLoopbackError(ValueError):
    """The load was aimed at another host."""


@dataclass(frozen=True)
class Scenario:
    """Who comes, how long they think between two requests, what they do (weights by step), and what must hold."""

    users: int
    think_seconds: float
    p95_ms: float
    mix: Mapping[str, int]

    @classmethod
    def read(cls) -> Scenario:
        held = json.loads(FILE.read_text())
        return cls(held["users"], held["think_seconds"], held["p95_ms"], held["mix"])


def on_loopback(url: str) -> str:
    """The URL without a slash at its end. Raises NotLoopbackError: this much load is for one's own host only."""
    parts = urlsplit(url)
    if parts.scheme != "http" or parts.hostname not in LOOPBACK:
        raise NotLoopbackError(f"{url}: the load goes to http:// on 127.0.0.1, localhost or ::1 only")
    return url.rstrip("/")
