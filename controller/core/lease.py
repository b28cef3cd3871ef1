"""The lease of the one controller that leads: a config whose labels are written by compare-and-swap.

Nobody trusts another host's clock. Who waits counts a lease's seconds from when it *saw* the config change, which is later
than the holder began to write that change; the holder counts them from when it began, and stops a margin earlier. So the
holder has stopped before anybody else may start, wherever clocks run equally fast. What the labels say of time is for people.

A config that somebody removed took with it what could be counted from; whoever makes it anew acts one lease later.
"""

from __future__ import annotations

import base64
import math
from dataclasses import dataclass
from typing import Any

from controller.model.spec import Json

LEASE_NAME = "prodbreaker_lease"
SHORTEST_SECONDS = 3.0  # a manager may take a second to answer, and every renewal is a write that all managers store
LONGEST_SECONDS = 300.0
MARGIN = 0.2  # of the lease: a write on its way when the holder stops has this long to arrive
_PREFIX = "prodbreaker.lease."
_DATA = base64.b64encode(b"The labels of this config say which controller of ProdBreaker leads.\n").decode()
_UNREADABLE = "unknown"


@dataclass(frozen=True, slots=True)
class Lease:
    holder: str  # empty where it was released or does not exist
    epoch: int  # how many leaders there have been
    renewed: str  # RFC 3339 by the holder's clock
    seconds: float


@dataclass(frozen=True, slots=True)
class Sighting:
    """What the lease looks like, and since when it is known to: `since` is monotonic time of whoever looks."""

    version: int | None  # None: there is no such config
    lease: Lease
    since: float


def sighted(before: Sighting | None, found: Json | None, *, now: float, seconds: float) -> Sighting:
    """The lease as read just before `now`; an unchanged one keeps its time.

    Where it does not say, its length is that of the last one, or else `seconds`.
    """
    version = None if found is None else int(found["Version"]["Index"])
    if before is not None and before.version == version:
        return before
    known = before.lease.seconds if before is not None else seconds
    if found is None:
        epoch = before.lease.epoch if before is not None else 0
        return Sighting(None, Lease("", epoch, "", known), now)
    return Sighting(version, _lease(found["Spec"].get("Labels") or {}, seconds=known), now)


def may_be_taken(sighting: Sighting, *, now: float) -> bool:
    """Whether somebody else than the holder may write itself into the lease."""
    return not sighting.lease.holder or now >= sighting.since + sighting.lease.seconds


def held_until(started: float, seconds: float) -> float:
    """Until when the holder may act whose last successful write of the lease was begun at `started`."""
    return started + seconds * (1 - MARGIN)


def taken(lease: Lease, holder: str, *, renewed: str, seconds: float) -> Lease:
    """The lease of a new leader."""
    return Lease(holder, lease.epoch + 1, renewed, seconds)


def lease_spec(lease: Lease, spec: Json | None = None) -> dict[str, Any]:
    """The config's spec with this lease; without an earlier spec the body that creates it."""
    words = {"holder": lease.holder, "epoch": str(lease.epoch), "renewed": lease.renewed, "seconds": f"{lease.seconds:g}"}
    labels = {**((spec or {}).get("Labels") or {}), **{_PREFIX + name: word for name, word in words.items()}}
    return {**(spec or {"Name": LEASE_NAME, "Data": _DATA}), "Labels": labels}


def _lease(labels: Json, *, seconds: float) -> Lease:
    """Labels as they are, whoever wrote them: what cannot be read is held by nobody knows whom, for `seconds`."""
    told = _number(labels.get(_PREFIX + "seconds", ""))
    epoch = labels.get(_PREFIX + "epoch", "")
    return Lease(
        holder=labels.get(_PREFIX + "holder", _UNREADABLE),
        epoch=int(epoch) if epoch.isdecimal() and len(epoch) < 16 else 0,
        renewed=labels.get(_PREFIX + "renewed", ""),
        seconds=told if 0 < told <= LONGEST_SECONDS else seconds,
    )


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
