"""What operators decided, kept in the Swarm itself: one config whose labels hold it and whose data is the cluster's key.

A label update is a compare-and-swap (a stale version is refused), every controller on every manager sees it, and no
service is written: a write to a service would reset its update status. The data is random and never leaves the Swarm; it
keys the hashes of secrets.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from controller.model.observation import Snapshot
from controller.model.spec import Json

STATE_NAME = "prodbreaker_state"
_PAUSED = "prodbreaker.paused."  # + stack, or stack/service


def paused_targets(snapshot: Snapshot) -> frozenset[str]:
    """Stacks, and services as `stack/service`, on which nothing may be written."""
    labels = _labels(snapshot.configs.get(STATE_NAME))
    return frozenset(key.removeprefix(_PAUSED) for key in labels if key.startswith(_PAUSED))


def content_key(snapshot: Snapshot) -> bytes | None:
    """The cluster's key for secrets' hashes; None until one was needed."""
    found = snapshot.configs.get(STATE_NAME)
    return base64.b64decode(found["Spec"].get("Data") or "") if found else None


def new_state(key: bytes) -> dict[str, Any]:
    """The body that creates the state."""
    return {"Name": STATE_NAME, "Labels": {}, "Data": base64.b64encode(key).decode()}


def with_pause(spec: Json, target: str, *, since: str | None) -> dict[str, Any]:
    """The state's spec with a target paused since a time (RFC 3339), or with None no longer paused."""
    labels = {key: text for key, text in (spec.get("Labels") or {}).items() if key != _PAUSED + target}
    if since is not None:
        labels[_PAUSED + target] = since
    return {**spec, "Labels": labels}


def _labels(found: Json | None) -> Mapping[str, str]:
    return (found["Spec"].get("Labels") or {}) if found else {}
