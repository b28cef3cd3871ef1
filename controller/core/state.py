"""What operators and guards decided, kept in the Swarm itself: a config whose labels hold it; its data is the cluster's key.

A label update is a compare-and-swap (a stale version is refused), every controller on every manager sees it, and no
service is written: a write to a service would reset its update status. The data is random and never leaves the Swarm; it
keys the hashes of secrets.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from controller.model.observation import Snapshot
from controller.model.spec import Json

STATE_NAME = "prodbreaker_state"
_PAUSED = "prodbreaker.paused."  # + stack, or stack/service
_HELD = "prodbreaker.held."  # + stack/service = when (RFC 3339), a blank, why
_HEALS = "prodbreaker.heals."  # + stack/service = wall-clock seconds of corrections, blanks between them


def paused_targets(snapshot: Snapshot) -> frozenset[str]:
    """Stacks, and services as `stack/service`, on which nothing may be written."""
    labels = _labels(snapshot.configs.get(STATE_NAME))
    return frozenset(key.removeprefix(_PAUSED) for key in labels if key.startswith(_PAUSED))


def held_targets(snapshot: Snapshot) -> Mapping[str, str]:
    """Services, as `stack/service`, that are left alone until somebody looks: since when and why."""
    return held_in(snapshot.configs.get(STATE_NAME))


def held_in(state: Json | None) -> Mapping[str, str]:
    """The same, of the state config itself."""
    return {key.removeprefix(_HELD): text for key, text in _labels(state).items() if key.startswith(_HELD)}


def heal_stamps(state: Json | None) -> Mapping[str, tuple[str, ...]]:
    """When services were corrected, by target, each as it was written."""
    labels = _labels(state).items()
    return {key.removeprefix(_HEALS): tuple(text.split()) for key, text in labels if key.startswith(_HEALS)}


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


def with_guards(spec: Json, held: Mapping[str, str], heals: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """The state's spec with these targets' holds and corrections, where an empty one takes the label away."""
    given = {_HELD + target: text for target, text in held.items()}
    given |= {_HEALS + target: " ".join(stamps) for target, stamps in heals.items()}
    labels = {**(spec.get("Labels") or {}), **given}
    return {**spec, "Labels": {key: text for key, text in labels.items() if text or key not in given}}


def freed(spec: Json, target: str) -> dict[str, Any]:
    """The state's spec with nothing held or counted any more of a service, or of all services of a stack."""
    state = {"Spec": spec}
    below = [name for name in {*held_in(state), *heal_stamps(state)} if name == target or name.startswith(f"{target}/")]
    return with_guards(spec, dict.fromkeys(below, ""), dict.fromkeys(below, ()))


def _labels(found: Json | None) -> Mapping[str, str]:
    return (found["Spec"].get("Labels") or {}) if found else {}
