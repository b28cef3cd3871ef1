"""What becomes of a revision: its states, and what runs in the place of a bad one.

The shape is that of Nomad's deployment watcher: the way back leads to the newest revision that was stable, and there is
never a rollback of a rollback.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from controller.core.replicas import ROLLED_BACK
from controller.core.revisions import contents, digest_of
from controller.model.revision import Revision, RevisionState
from controller.model.spec import Json

_JOBS = frozenset({"ReplicatedJob", "GlobalJob"})


class Turn(StrEnum):
    """What happens to a revision."""

    PROVEN = "proven"
    REPLACED = "replaced"  # another one was written over it
    FOUND_BAD = "found bad"
    WENT_BACK = "went back"  # the way back has ended, well or badly
    RELEASED = "released"


_S = RevisionState
REFUSED = frozenset({_S.FAILED, _S.QUARANTINED})
TRANSITIONS: Mapping[tuple[RevisionState, Turn], RevisionState] = {
    (_S.PROGRESSING, Turn.PROVEN): _S.STABLE,
    (_S.PROGRESSING, Turn.REPLACED): _S.SUPERSEDED,
    (_S.PROGRESSING, Turn.FOUND_BAD): _S.FAILED,
    (_S.STABLE, Turn.FOUND_BAD): _S.FAILED,
    (_S.SUPERSEDED, Turn.PROVEN): _S.STABLE,  # it was released where it ran, and ran well
    (_S.SUPERSEDED, Turn.FOUND_BAD): _S.FAILED,  # by hand
    (_S.FAILED, Turn.WENT_BACK): _S.QUARANTINED,
    (_S.FAILED, Turn.REPLACED): _S.QUARANTINED,
    (_S.FAILED, Turn.RELEASED): _S.SUPERSEDED,
    (_S.QUARANTINED, Turn.RELEASED): _S.SUPERSEDED,
}


def turned(revision: Revision, turn: Turn, why: str) -> Revision:
    """The revision after it; raises ValueError for a turn that its state does not have."""
    state = TRANSITIONS.get((revision.state, turn))
    if state is None:
        raise ValueError(f"a {revision.state} revision cannot be {turn}")
    return replace(revision, state=state, why=why)


def newest(revisions: Sequence[Revision], digest: str) -> Revision | None:
    """The newest revision of a digest; a declaration that comes back gets a revision of its own."""
    return next((item for item in reversed(revisions) if item.digest == digest), None)


def way_back(revisions: Sequence[Revision], bad: Revision) -> Revision | None:
    """The newest stable revision whose declaration is neither the bad one nor was found bad later."""
    refused = {bad.digest, *(item.digest for item in revisions if _is_refused(revisions, item.digest))}
    return next((item for item in reversed(revisions) if item.state is _S.STABLE and item.digest not in refused), None)


def _is_refused(revisions: Sequence[Revision], digest: str) -> bool:
    latest = newest(revisions, digest)
    return latest is not None and latest.state in REFUSED


@dataclass(frozen=True, slots=True)
class Standing:
    """What a service is to run where its declaration is refused."""

    refused: Revision | None = None  # the declared revision, found bad
    target: Revision | None = None  # what runs in its place; None with a refused one: what runs is left as it is


def standing(revisions: Sequence[Revision], declared: str, live: Json | None) -> Standing:
    """Whether the declared digest is refused, and what runs instead.

    While the way back is under way that is its target. Afterwards it is what runs, if that was written from a revision that
    is not refused itself: after A, a bad B and a good C, a B that is declared again leads to C, not to A.
    """
    refused = newest(revisions, declared)
    if refused is None or refused.state not in REFUSED:
        return Standing()
    if refused.state is _S.QUARANTINED:
        live_one = newest(revisions, digest_of(live))
        if live_one is not None and live_one.state not in REFUSED:
            return Standing(refused, live_one)
    target = next((item for item in revisions if item.number == refused.target), None)
    return Standing(refused, target or way_back(revisions, refused))


def is_undone(refused: Revision, live: Json | None) -> bool:
    """Swarm rolled our way back itself back: to write it again would go to and fro for ever.

    A status from before the refusal is about another update: what Swarm once went back to can be refused later, by hand too.
    """
    status = (live or {}).get("UpdateStatus") or {}
    if digest_of(live) != refused.digest or status.get("State", "") not in ROLLED_BACK:
        return False
    return refused.state is _S.QUARANTINED or str(status.get("StartedAt", "")).rstrip("Z") >= refused.changed.rstrip("Z")


def partners(bad: Revision, histories: Mapping[str, Sequence[Revision]]) -> list[Revision]:
    """Revisions of other services that one edit brought together with a bad one, by a config or secret that is new to both.

    A content that breaks one service was changed for all of them: they go back together. New is what the stable revision
    before did not have. Who has nothing to go back to stays.
    """
    news = _new_contents(bad, histories.get(bad.service, ()))
    found = []
    for service, revisions in histories.items():
        latest = revisions[-1]
        together = bad.group and latest.group == bad.group and service != bad.service
        may_go = latest.state in (_S.PROGRESSING, _S.STABLE) and way_back(revisions, latest) is not None
        if together and may_go and news & _new_contents(latest, revisions):
            found.append(latest)
    return found


def _new_contents(revision: Revision, revisions: Sequence[Revision]) -> frozenset[tuple[object, str]]:
    earlier = (item for item in reversed(revisions) if item.number < revision.number and item.state is _S.STABLE)
    before = next(earlier, None)
    return contents(revision.body) - (contents(before.body) if before else frozenset())


def is_job(spec: Json) -> bool:
    return bool(_JOBS.intersection(spec.get("Mode") or ()))
