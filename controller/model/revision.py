"""A revision: one declared spec of a service that went live, and what was learned of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from controller.model.plan import Change
from controller.model.spec import Json


class RevisionState(StrEnum):
    PROGRESSING = "progressing"  # it is live, and nothing is proven yet
    STABLE = "stable"  # it had all replicas up for `min_healthy` and no alert of its own: what one goes back to
    FAILED = "failed"  # it was found bad, and the way back has begun
    SUPERSEDED = "superseded"  # another one came before it was proven, or an operator released it
    QUARANTINED = "quarantined"  # it failed and is not written again until somebody releases it


@dataclass(frozen=True, slots=True)
class Revision:
    """As kept in the Swarm: a config whose data is what never changes and whose labels are what does."""

    service: str  # the real name
    number: int  # from 1, counted per service
    digest: str  # hash of the declaration and the versions of its contents: 16 hexadecimal digits
    state: RevisionState
    since: str  # when it went live, RFC 3339, by the writer's clock
    why: str = ""  # of the state, in words
    group: str = ""  # the same for all revisions that one edit of the stack brought
    target: int | None = None  # of a failed or quarantined one: the number that is gone back to; None: there is none
    is_back: bool = False  # the way back to `target` was seen to its end
    over: int = 0  # version of the service that it was about to be written over: still the same, it never was
    kept: str = ""  # when its config was made, RFC 3339, by the clock of Swarm itself
    changed: str = ""  # when its labels were written last, by the same clock
    noise: tuple[str, ...] = ()  # conditions that held already before it went live, and so say nothing against it
    changes: tuple[Change, ...] = ()  # against the one before, masked
    body: Json = field(default_factory=dict, repr=False)  # the spec, image pinned, what it refers to by name
    config_id: str = ""  # of the config that keeps it; empty while it is not written yet
    version: int = 0  # of that config
