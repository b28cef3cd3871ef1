"""What an operator decides about revisions: go back from what is declared, or let a refused one go live again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from controller.core.revisions import digest_of, histories, relabelling
from controller.core.rollout import REFUSED, Turn, newest, turned, way_back
from controller.errors import ProdBreakerError
from controller.model.observation import Snapshot
from controller.model.plan import Action
from controller.model.revision import Revision, RevisionState

BY_HAND = "rolled back by hand"
RELEASED = "released by hand"


@dataclass(frozen=True, slots=True)
class Ways:
    """What keeps a revision from being gone back to."""

    lost: Callable[[Revision], Sequence[str]] = lambda _: ()  # what it needs and is there no more
    is_same: Callable[[Revision], bool] = lambda _: False  # it is what runs, but for the replicas, which are kept


@dataclass(frozen=True, slots=True)
class Rollback:
    """A way back that was ordered."""

    refused: Revision  # what is declared
    target: Revision  # what takes its place
    actions: tuple[Action, ...] = ()  # labels to write; none where that was decided already


@dataclass(frozen=True, slots=True)
class Release:
    revision: Revision | None = None  # None: nothing is refused
    actions: tuple[Action, ...] = ()


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a service's history."""

    revision: Revision | None  # None: what runs and was not kept, since no edit of it was seen
    is_live: bool
    since: str  # RFC 3339


def roll_back(service: str, snapshot: Snapshot, ways: Ways = Ways(), *, declared: str, to: int | None = None) -> Rollback:
    """Refuse the declared digest, and have revision `to` in its place; by default the newest stable one that does not run.

    What runs in the place of a declaration that was refused before is refused with it: somebody goes further back. Ordered
    twice it is ordered once. Raises ProdBreakerError where there is nothing to go back to.
    """
    live, history = snapshot.services.get(service), _history(service, snapshot)
    wanted = newest(history, declared)
    if not history:
        raise ProdBreakerError(f"{service} has no revisions yet: they are kept from its first edit on")
    if wanted is None:
        raise ProdBreakerError(f"{service}: what is declared has not gone out yet, so it cannot be gone back from")
    running = newest(history, digest_of(live))
    # What runs although another one is declared may well be chosen to stay.
    is_passed = running is wanted or wanted.state is RevisionState.QUARANTINED
    unfit = partial(_unfit, ways if is_passed else replace(ways, is_same=lambda _: False))
    target = _numbered(service, history, to) if to is not None else _earlier(history, wanted, running, unfit)
    if target is None:
        raise ProdBreakerError(f"{service}: there is no other stable revision to go back to; {_listed(history)}")
    if target.digest == wanted.digest:
        raise ProdBreakerError(
            f"{service}: revision {target.number} is what is declared"
            + (", and refused: `prodbreaker release` lets it go live again" if wanted.state in REFUSED else " already")
        )
    if _is_decided(wanted, running, target):
        return Rollback(wanted, target)
    if why := unfit(target):
        raise ProdBreakerError(f"{service}: revision {target.number} {why}")
    actions = [_refused(wanted, target)]
    if wanted.state in REFUSED and running and running.state not in REFUSED and running.digest != target.digest:
        # First, so that what is refused is never ordered to lead to what is about to be refused.
        actions.insert(0, turned(_refused(running, target), Turn.WENT_BACK, BY_HAND))
    return Rollback(wanted, target, tuple(relabelling(revision, snapshot) for revision in actions))


def release(service: str, snapshot: Snapshot, *, declared: str = "", number: int | None = None) -> Release:
    """Let a refused revision go live again: that of a number or of the declared digest, else the newest that is refused.

    Raises ProdBreakerError for a service or a number that there is not.
    """
    history = _history(service, snapshot)
    if number is not None:
        chosen: Revision | None = _numbered(service, history, number)
    elif declared:
        chosen = newest(history, declared)
    else:
        chosen = next((item for item in reversed(history) if item.state in REFUSED), None)
    if chosen is None or chosen.state not in REFUSED:
        return Release()
    return Release(chosen, (relabelling(turned(chosen, Turn.RELEASED, RELEASED), snapshot),))


def history_of(service: str, snapshot: Snapshot) -> list[Entry]:
    """From the oldest to the newest; what runs is one of them, or the last and not kept.

    Raises ProdBreakerError where there is neither a service of this name nor a revision of one.
    """
    live, history = snapshot.services.get(service), _history(service, snapshot)
    running = newest(history, digest_of(live)) if live else None
    entries = [Entry(revision, revision is running, revision.since) for revision in history]
    if live is not None and running is None:
        entries.append(Entry(None, is_live=True, since=str(live.get("UpdatedAt", ""))))
    return entries


def _history(service: str, snapshot: Snapshot) -> Sequence[Revision]:
    history = histories(snapshot).get(service, ())
    if not history and service not in snapshot.services:
        raise ProdBreakerError(f"there is no service {service}, and there are no revisions of it")
    return history


def _earlier(
    history: Sequence[Revision], wanted: Revision, running: Revision | None, unfit: Callable[[Revision], str]
) -> Revision | None:
    ordered = next((item for item in history if item.number == wanted.target), None)
    if wanted.state is RevisionState.FAILED and ordered is not None:  # the way back is under way: go on with it
        return ordered
    further = running if running and wanted.state is RevisionState.QUARANTINED else wanted
    digests = {wanted.digest, further.digest}
    fit = [item for item in history if item.digest == wanted.digest or not (item.digest in digests or unfit(item))]
    return way_back(fit, wanted)


def _unfit(ways: Ways, revision: Revision) -> str:
    """Why a revision cannot be gone back to; empty where it can."""
    if gone := ways.lost(revision):
        return f"needs what is gone: {', '.join(gone)}"
    return "is what runs, but for its replicas, which a rollback keeps as they are declared" if ways.is_same(revision) else ""


def _is_decided(wanted: Revision, running: Revision | None, target: Revision) -> bool:
    if wanted.state is RevisionState.FAILED:
        return wanted.target == target.number
    return wanted.state is RevisionState.QUARANTINED and running is not None and running.digest == target.digest


def _refused(revision: Revision, target: Revision) -> Revision:
    """Found bad by hand, whatever was thought of it before."""
    fresh = turned(revision, Turn.RELEASED, RELEASED) if revision.state in REFUSED else revision
    return replace(turned(fresh, Turn.FOUND_BAD, BY_HAND), target=target.number, is_back=False)


def _numbered(service: str, history: Sequence[Revision], number: int) -> Revision:
    found = next((item for item in history if item.number == number), None)
    if found is None:
        raise ProdBreakerError(f"{service} has no revision {number}; {_listed(history)}")
    return found


def _listed(history: Sequence[Revision]) -> str:
    return "it has " + (", ".join(f"{item.number} ({item.state})" for item in history) or "none")
