"""What is kept before an edit is written: the spec that goes, if nobody kept it yet, and the one that comes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

from controller.core.judgement import serving, sortable, wanted_replicas
from controller.core.replicas import UPDATING
from controller.core.revisions import by_name, creation, digest_of, relabelling, removal, surplus
from controller.core.rollout import Turn, is_job, newest, turned
from controller.core.values import Context
from controller.model.observation import Snapshot
from controller.model.plan import Action, Reason, Verb
from controller.model.revision import Revision, RevisionState
from controller.model.spec import Json


@dataclass(frozen=True, slots=True)
class Edit:
    """A declared change of a service, about to be written."""

    action: Action
    digest: str  # of what is declared
    group: str
    since: str  # now, RFC 3339
    noise: tuple[str, ...] = ()
    applied: str = ""  # the digest that is live, where no label tells it
    is_proven: bool = False  # what runs now has had all its replicas up for long enough


def is_kept(action: Action, digest: str, history: Sequence[Revision]) -> bool:
    """Whether a write brings something new: an edit or, of a service with a past, what was edited while it was gone.

    `digest` is that of what is declared.
    """
    if is_job(action.body):
        return False
    if action.verb is not Verb.CREATE:
        return action.reason is Reason.EDITED
    known = newest(history, digest)
    is_declared = digest_of({"Spec": action.body}) == digest
    return bool(history) and is_declared and (known is None or known.state is RevisionState.SUPERSEDED)


def succession(edit: Edit, history: Sequence[Revision], snapshot: Snapshot, context: Context, *, keep: int) -> list[Action]:
    """The writes that come before the edit's own; empty when they were made already."""
    live = snapshot.services.get(edit.action.name)
    leaving = outgoing(history, live, context) if live else None
    latest = history[-1] if history else None
    if leaving and latest and (latest.digest, latest.state) == (edit.digest, RevisionState.PROGRESSING):
        return []
    number = latest.number if latest else 0
    actions: list[Action] = []
    if live and leaving is None:
        number += 1
        actions.append(creation(_baseline(edit, live, number, history, context)))
    for revision in history:
        turn = _turn(revision, is_proven=revision is leaving and edit.is_proven)
        if turn is not None:
            why = "all replicas up" if turn is Turn.PROVEN else f"revision {number + 1} came first"
            found = f"{revision.why}; " if revision.state is RevisionState.FAILED else ""
            actions.append(relabelling(turned(revision, turn, found + why), snapshot))
    incoming = Revision(
        service=edit.action.name,
        number=number + 1,
        digest=edit.digest,
        state=RevisionState.PROGRESSING,
        since=edit.since,
        group=edit.group,
        over=live["Version"]["Index"] if live else 0,
        noise=edit.noise,
        changes=edit.action.changes,
        body=by_name(edit.action.body, context),
    )
    actions.append(creation(incoming))
    room = max(keep - (incoming.number - (latest.number if latest else 0)), 1)
    return actions + [removal(item) for item in surplus(history, keep=room, live=leaving.digest if leaving else "")]


def outgoing(history: Sequence[Revision], live: Json, context: Context) -> Revision | None:
    """The kept revision that a live service runs; None when it was not kept yet.

    What was written from here says so itself. What docker wrote, nobody's label tells: it is a baseline, known by its spec.
    """
    if digest_of(live):
        return newest(history, digest_of(live))
    body = by_name(live["Spec"], context)
    return next((item for item in reversed(history) if not item.over and item.body == body), None)


def _turn(revision: Revision, *, is_proven: bool) -> Turn | None:
    """What an edit makes of a revision that is there."""
    if is_proven and revision.state in (RevisionState.PROGRESSING, RevisionState.SUPERSEDED):
        return Turn.PROVEN
    return Turn.REPLACED if revision.state in (RevisionState.PROGRESSING, RevisionState.FAILED) else None


def _baseline(edit: Edit, live: Json, number: int, history: Sequence[Revision], context: Context) -> Revision:
    body = by_name(live["Spec"], context)
    text = json.dumps(body, sort_keys=True, separators=(",", ":"))
    applied = "" if newest(history, edit.applied) else edit.applied  # what is kept of that declaration is another spec
    return Revision(
        service=edit.action.name,
        number=number,
        digest=digest_of(live) or applied or hashlib.sha256(text.encode()).hexdigest()[:16],
        state=RevisionState.STABLE if edit.is_proven else RevisionState.SUPERSEDED,
        since=str(live.get("UpdatedAt", "")),
        why="it ran before the first edit that was seen" if edit.is_proven else "it did not run in full when it was edited",
        body=body,
    )


def is_proven(live: Json, tasks: Sequence[Json], nodes: Sequence[Json], *, started_before: str) -> bool:
    """Whether all replicas of what is live run, and came up before a time (RFC 3339)."""
    if (live.get("UpdateStatus") or {}).get("State", "") in UPDATING:
        return False
    before = sortable(started_before)
    up = [task for task in serving(live, tasks, nodes) if sortable(task["Status"].get("Timestamp")) < before]
    return len(up) >= max(wanted_replicas(live), 1)  # what was asked for no replicas has proven nothing


def relabelled(
    revision: Revision, turn: Turn, why: str, *, snapshot: Snapshot, target: Revision | None = None, is_back: bool = False
) -> Action:
    """The write that tells a turn of a kept revision. Raises KeyError when it is kept no more."""
    changed = turned(revision, turn, why)
    if turn is Turn.FOUND_BAD:
        changed = replace(changed, target=target.number if target else None, is_back=False)
    return relabelling(replace(changed, is_back=is_back), snapshot)
