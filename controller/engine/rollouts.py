"""Watches revisions while they are new, and writes down what becomes of them; the planner then does what follows from it.

Only time that this process measured itself decides. After a restart the watch begins anew: deadlines are a little longer
then, and never infinite.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from controller.core.planner import ServicePlanner
from controller.core.replicas import ROLLED_BACK, UPDATING
from controller.core.revisions import digest_of
from controller.core.rollout import (
    Judgement,
    Look,
    Standing,
    Turn,
    is_job,
    is_undone,
    judge,
    newest,
    partners,
    running,
    standing,
    wanted_replicas,
    way_back,
)
from controller.core.signals import Reading
from controller.core.succession import Edit, is_proven, relabelled, succession
from controller.engine.ports import Clock, Swarm
from controller.engine.signals import SignalWatch
from controller.errors import NotFoundError
from controller.model.observation import Snapshot
from controller.model.plan import Action, ObjectKind, Reason
from controller.model.revision import Revision, RevisionState
from controller.model.spec import DesiredService, Json

BLIND_SECONDS = 10.0  # one question that was lost says nothing yet


@dataclass(frozen=True, slots=True)
class Subject:
    """One service in one pass."""

    desired: DesiredService
    snapshot: Snapshot
    planner: ServicePlanner

    @property
    def live(self) -> Json | None:
        return self.snapshot.services.get(self.desired.name)

    @property
    def history(self) -> Sequence[Revision]:
        return self.planner.histories.get(self.desired.name, ())

    def standing(self) -> Standing:
        return standing(self.history, self.planner.revision(self.desired), self.live) if self.history else Standing()


@dataclass(frozen=True, slots=True)
class Ruling:
    """What a look at a service came to."""

    actions: tuple[Action, ...] = ()  # labels to write; what they mean for the service is planned after them
    decisions: Mapping[str, str] = field(default_factory=dict)  # by service, what was found, in words
    turn: Turn | None = None  # what happened to the revisions
    hold: str = ""  # why nothing more is to be done by itself
    is_watched: bool = False  # look again soon


@dataclass(slots=True)
class _Watch:
    number: int
    best: int = -1  # the most replicas that were up at once
    progress_at: float = 0.0
    healthy_since: float | None = None
    proven_at: float | None = None


class Rollouts:
    """Belongs to one event loop; `look` in each pass, `before` in front of each edit."""

    def __init__(self, swarm: Swarm, clock: Clock, measurements: SignalWatch) -> None:
        self._swarm, self._clock = swarm, clock
        self._measurements = measurements
        self._watches: dict[str, _Watch] = {}

    @property
    def watched(self) -> frozenset[str]:
        """Services whose revision is new or on its way back: what goes wrong with them is explained."""
        return frozenset(self._watches)

    @property
    def is_blind(self) -> bool:
        """Whether measurements that somebody asks for have not come for a while."""
        return self._measurements.away_seconds >= BLIND_SECONDS

    async def look(self, subject: Subject) -> Ruling:
        """Judge what runs, if it is new or on the way back. Raises SwarmError when tasks cannot be listed."""
        live, history = subject.live, subject.history
        if live is None or not history or is_job(live["Spec"]):
            return Ruling()
        by_swarm = _rolled_back_by_swarm(subject, live)
        if by_swarm is not None:
            return by_swarm
        stands = subject.standing()
        if stands.refused is not None and stands.refused.state is RevisionState.FAILED:
            return await self._on_the_way_back(subject, live, stands.refused, stands.target)
        current = newest(history, digest_of(live))
        if current is None or not self._is_new(subject.desired, current):
            self._forget(subject.desired.name)
            return Ruling()
        judgement = await self._judge(subject, live, current)
        if judgement.turn is Turn.PROVEN:
            self._watches[current.service].proven_at = _now()
            return _told(subject, current, judgement)
        if judgement.turn is Turn.FOUND_BAD:
            return _found_bad(subject, current, judgement.why)
        return Ruling(is_watched=True)

    async def before(self, subject: Subject, action: Action, applied: str) -> list[Action]:
        """The writes that keep what goes and what comes, in front of an edit; none in front of anything else."""
        live = subject.live
        if action.reason is not Reason.EDITED or live is None or is_job(action.body):
            return []
        policy, wall = subject.desired.policy, self._clock.wall()
        current = newest(subject.history, digest_of(live) or applied)
        proven = current is not None and current.state is RevisionState.STABLE
        if not proven:
            started_before = _stamp(wall - policy.rollback.min_healthy.total_seconds())
            proven = is_proven(live, await self._tasks(live), subject.snapshot.nodes, started_before=started_before)
        edit = Edit(
            action,
            subject.planner.revision(subject.desired),
            subject.planner.generation(),
            _stamp(wall),
            noise=await self._measurements.baseline(subject.desired.name, policy),
            applied=applied,
            is_proven=proven,
        )
        return succession(edit, subject.history, subject.snapshot, subject.planner.context, keep=policy.rollback.keep)

    def _is_new(self, desired: DesiredService, current: Revision) -> bool:
        """Until it is proven, and for one deadline more, in which failures that come late are still its own."""
        if current.state is RevisionState.PROGRESSING:
            return True
        watch = self._watches.get(desired.name)
        if current.state is not RevisionState.STABLE or watch is None or watch.number != current.number:
            return False
        return watch.proven_at is not None and _now() - watch.proven_at < desired.policy.rollback.deadline.total_seconds()

    async def _on_the_way_back(self, subject: Subject, live: Json, bad: Revision, target: Revision | None) -> Ruling:
        if target is None:
            return _went_back(subject, bad, "nothing earlier was stable")
        if is_undone(bad, live):
            return _went_back(subject, bad, f"the way back to revision {target.number} was itself rolled back by Swarm")
        if digest_of(live) not in (target.digest, ""):  # no label: docker wrote what Swarm went back to
            return Ruling(is_watched=True)  # the planner's write is still to come
        judgement = await self._judge(subject, live, target, on_the_way_back=True)
        if judgement.turn is Turn.PROVEN:
            return _went_back(subject, bad)
        if judgement.turn is Turn.FOUND_BAD:
            return _went_back(subject, bad, f"revision {target.number}, to which it went back, is bad too: {judgement.why}")
        return Ruling(is_watched=True)

    async def _judge(self, subject: Subject, live: Json, revision: Revision, *, on_the_way_back: bool = False) -> Judgement:
        tasks = await self._tasks(live)
        policy = subject.desired.policy
        reading = Reading() if on_the_way_back else await self._measurements.look(revision.service, policy, noise=revision.noise)
        watch, now = self._watch(revision, on_the_way_back=on_the_way_back), _now()
        look = Look(
            live=live,
            tasks=tasks,
            nodes=subject.snapshot.nodes,
            policy=policy.rollback,
            is_proven=revision.state is RevisionState.STABLE and not on_the_way_back,
            evidence=reading.evidence,
            is_conclusive=reading.conclusive and not reading.doubts,
        )
        _note_progress(watch, look, now)
        return judge(look.at(healthy_for=now - (watch.healthy_since or now), idle_for=now - watch.progress_at))

    def _watch(self, revision: Revision, *, on_the_way_back: bool) -> _Watch:
        number = -revision.number if on_the_way_back else revision.number  # each way is watched from its own beginning
        watch = self._watches.get(revision.service)
        if watch is None or watch.number != number:
            watch = self._watches[revision.service] = _Watch(number, progress_at=_now())
        return watch

    def _forget(self, service: str) -> None:
        if self._watches.pop(service, None) is not None:
            self._measurements.forget(service)

    async def _tasks(self, live: Json) -> list[Json]:
        try:
            return await self._swarm.list_objects(ObjectKind.TASK, filters={"service": [live["ID"]]})
        except NotFoundError:  # removed since the snapshot; the next pass sees that
            return []


def _note_progress(watch: _Watch, look: Look, now: float) -> None:
    up, desired = running(look), wanted_replicas(look.live)
    if up > watch.best:
        watch.best, watch.progress_at = up, now
    if up < desired or (look.live.get("UpdateStatus") or {}).get("State", "") in UPDATING:
        watch.healthy_since = None
    elif watch.healthy_since is None:
        watch.healthy_since = now


def _rolled_back_by_swarm(subject: Subject, live: Json) -> Ruling | None:
    """Where `failure_action` is rollback, Swarm has decided; so has who ran `docker service rollback`."""
    latest, status = subject.history[-1], live.get("UpdateStatus") or {}
    was_written = live["Version"]["Index"] > latest.over and digest_of(live) != latest.digest
    if latest.state is not RevisionState.PROGRESSING or not was_written or status.get("State", "") not in ROLLED_BACK:
        return None
    return _found_bad(subject, latest, f"it was rolled back in Swarm: {status.get('Message', '')}")


def _found_bad(subject: Subject, bad: Revision, why: str) -> Ruling:
    """The verdict on a revision, and on those of other services that came with it."""
    histories = subject.planner.histories
    together = partners(bad, histories)
    verdicts = [(bad, why), *((other, f"goes back together with {bad.service}: {why}") for other in together)]
    actions = [
        relabelled(item, Turn.FOUND_BAD, text, target=way_back(histories[item.service], item), snapshot=subject.snapshot)
        for item, text in verdicts
    ]
    decisions = {item.service: f"revision {item.number} is bad: {text}" for item, text in verdicts}
    return Ruling(tuple(actions), decisions, turn=Turn.FOUND_BAD, is_watched=True)


def _told(subject: Subject, revision: Revision, judgement: Judgement) -> Ruling:
    action = relabelled(revision, Turn.PROVEN, judgement.why, snapshot=subject.snapshot)
    return Ruling((action,), {revision.service: f"revision {revision.number} is stable: {judgement.why}"}, is_watched=True)


def _went_back(subject: Subject, bad: Revision, failure: str = "") -> Ruling:
    """The way back has come to its end: a good one, or a failure after which nothing is left to try."""
    why = f"{bad.why}; {failure}" if failure else bad.why
    action = relabelled(bad, Turn.WENT_BACK, why, is_back=not failure, snapshot=subject.snapshot)
    return Ruling((action,), {bad.service: failure or f"back at revision {bad.target}"}, turn=Turn.WENT_BACK, hold=failure)


def _stamp(wall: float) -> str:
    return datetime.fromtimestamp(wall, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _now() -> float:
    return asyncio.get_running_loop().time()
