"""Watches revisions while they are new, and writes down what becomes of them; the planner then does what follows from it.

Only time that this process measured itself decides. After a restart the watch begins anew: deadlines are a little longer
then, and never infinite.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from controller.core.canonical import Section
from controller.core.diff import Difference, difference
from controller.core.judgement import Judgement, Look, is_overlooked, judge, running, sortable, wanted_replicas
from controller.core.planner import ServicePlanner
from controller.core.replicas import ROLLED_BACK, UPDATING
from controller.core.revisions import digest_of
from controller.core.rollout import (
    REFUSED,
    Standing,
    Turn,
    is_job,
    is_undone,
    newest,
    partners,
    standing,
    way_back,
)
from controller.core.signals import Reading
from controller.core.succession import Edit, is_kept, is_proven, outgoing, relabelled, succession
from controller.engine.ports import Clock, Swarm
from controller.engine.signals import SignalWatch
from controller.errors import NotFoundError
from controller.model.observation import Snapshot
from controller.model.plan import Action, ObjectKind, Restart
from controller.model.revision import Revision, RevisionState
from controller.model.spec import DesiredService, Json

BLIND_SECONDS = 10.0  # one question that was lost says nothing yet
UNSEEN_SECONDS = 5.0  # of the time between two looks: what nobody watched for longer was neither healthy nor idle


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

    def way_back(self, bad: Revision) -> Revision | None:
        """What a service goes back to from a bad revision: one whose configs, secrets and networks are still there."""
        history = self.planner.histories[bad.service]
        return way_back([item for item in history if item.digest == bad.digest or not self.planner.lost(item)], bad)

    def differs(self, live: Json, revision: Revision) -> Difference:
        """What is otherwise in a live spec than in a kept one, without what the file has ignored."""
        return difference(revision.body, live["Spec"], self.planner.context, ignore=self.desired.policy.ignore)


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
    """What was seen of a revision, in seconds of the loop's time."""

    number: int
    seen_at: float
    began: str = ""  # when the update began that was seen last, by the engine's clock
    best: int = -1  # the most replicas that were up at once since some were missing
    idle: float = 0.0
    healthy: float | None = None  # None: it was not so at the last look
    overlooked: float | None = None  # likewise
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
        if current is None or not self._is_new(subject.desired, live, current) or _is_other(subject, live, current):
            self.forget(subject.desired.name)
            return Ruling()
        return await self._on_trial(subject, live, current)

    def undone(self, subject: Subject) -> Ruling:
        """Only whether Swarm has gone back: what it went back from is not to be taken for an edit that nobody wrote yet."""
        live = subject.live
        by_swarm = _rolled_back_by_swarm(subject, live) if live is not None and subject.history else None
        return by_swarm or Ruling()

    async def before(self, subject: Subject, action: Action, applied: str) -> list[Action]:
        """The writes that keep what goes and what comes, in front of what is new; none in front of anything else."""
        live, digest = subject.live, subject.planner.revision(subject.desired)
        if not is_kept(action, digest, subject.history):
            return []
        policy, wall = subject.desired.policy, self._clock.wall()
        leaving = outgoing(subject.history, live, subject.planner.context) if live else None
        proven = leaving is not None and leaving.state is RevisionState.STABLE
        is_measured = bool(policy.rollback.conditions or policy.alerts)
        if live and not proven and not (leaving and is_measured and leaving.state is RevisionState.PROGRESSING):
            started_before = _stamp(wall - policy.rollback.min_healthy.total_seconds())
            proven = is_proven(live, await self._tasks(live), subject.snapshot.nodes, started_before=started_before)
        edit = Edit(
            action,
            digest,
            subject.planner.generation(),
            _stamp(wall),
            noise=await self._measurements.baseline(subject.desired.name, policy),
            applied=applied,
            is_proven=proven,
        )
        return succession(edit, subject.history, subject.snapshot, subject.planner.context, keep=policy.rollback.keep)

    def _is_new(self, desired: DesiredService, live: Json, current: Revision) -> bool:
        """Until it is proven, and for one deadline more, in which failures that come late are still its own."""
        if current.state is RevisionState.PROGRESSING:
            return wanted_replicas(live) > 0  # what is asked for no replicas proves nothing, nor does it fail
        watch = self._watches.get(desired.name)
        if current.state is not RevisionState.STABLE or watch is None or watch.number != current.number:
            return False
        return watch.proven_at is not None and _now() - watch.proven_at < desired.policy.rollback.deadline.total_seconds()

    async def _on_trial(self, subject: Subject, live: Json, current: Revision) -> Ruling:
        target = subject.way_back(current)
        # What changed nothing but replicas cannot be gone back from: those are kept on the way back.
        is_same = target is not None and subject.differs(live, target).sections <= {Section.MODE}
        reading = await self._measurements.look(current.service, subject.desired.policy, noise=current.noise)
        is_proven, is_last = current.state is RevisionState.STABLE, target is None or is_same
        judgement = await self._judge(subject, live, current.number, reading, is_proven=is_proven, is_last=is_last)
        if judgement.turn is Turn.PROVEN:
            self._watches[current.service].proven_at = _now()
            return _told(subject, current, judgement)
        if judgement.turn is Turn.FOUND_BAD:
            return Ruling() if is_same else _found_bad(subject, current, target, judgement.why)
        return Ruling(is_watched=True)

    async def _on_the_way_back(self, subject: Subject, live: Json, bad: Revision, target: Revision | None) -> Ruling:
        if target is None:
            return _went_back(subject, bad, "nothing earlier was stable")
        if is_undone(bad, live):
            return _went_back(subject, bad, f"the way back to revision {target.number} was itself rolled back by Swarm")
        if _is_other(subject, live, target):
            lost = ", ".join(subject.planner.lost(target))
            if lost:
                return _went_back(subject, bad, f"revision {target.number} needs what is gone: {lost}")
            return Ruling()  # the planner's write is still to come
        if wanted_replicas(live) == 0:
            return _went_back(subject, bad)
        # Each way is watched from its own beginning.
        judgement = await self._judge(subject, live, -target.number, Reading(), is_last=True)
        if judgement.turn is Turn.PROVEN:
            return _went_back(subject, bad)
        if judgement.turn is Turn.FOUND_BAD:
            return _went_back(subject, bad, f"revision {target.number}, to which it went back, is bad too: {judgement.why}")
        return Ruling(is_watched=True)

    async def _judge(
        self, subject: Subject, live: Json, number: int, reading: Reading, *, is_last: bool, is_proven: bool = False
    ) -> Judgement:
        look = Look(
            live=live,
            tasks=await self._tasks(live),
            nodes=subject.snapshot.nodes,
            policy=subject.desired.policy.rollback,
            is_proven=is_proven,
            is_last=is_last,
            evidence=reading.evidence,
            is_conclusive=reading.conclusive and not reading.doubts,
        )
        watch = self._watch(subject.desired.name, number)
        _note(watch, look, _now())
        return judge(look.at(healthy_for=watch.healthy or 0.0, idle_for=watch.idle, overlooked_for=watch.overlooked or 0.0))

    def _watch(self, service: str, number: int) -> _Watch:
        watch = self._watches.get(service)
        if watch is None or watch.number != number:
            watch = self._watches[service] = _Watch(number, seen_at=_now())
        return watch

    def forget(self, service: str) -> None:
        """Nothing of it is watched any more."""
        if self._watches.pop(service, None) is not None:
            self._measurements.forget(service)

    async def _tasks(self, live: Json) -> list[Json]:
        try:
            return await self._swarm.list_objects(ObjectKind.TASK, filters={"service": [live["ID"]]})
        except NotFoundError:  # removed since the snapshot; the next pass sees that
            return []


def _note(watch: _Watch, look: Look, now: float) -> None:
    """Take up what a look shows, and the time since the last one."""
    passed, began = min(now - watch.seen_at, UNSEEN_SECONDS), (look.live.get("UpdateStatus") or {}).get("StartedAt", "")
    if began != watch.began:  # written anew, by whomever: what was seen before was of another update
        watch.best, watch.healthy, watch.overlooked = -1, None, None
    watch.seen_at, watch.began = now, began
    up = running(look)
    is_whole = up >= wanted_replicas(look.live)
    if is_whole or up > watch.best:
        watch.idle, watch.best = 0.0, -1 if is_whole else up
    else:
        watch.idle += passed
    watch.healthy = _grown(watch.healthy, passed) if is_whole and look.state not in UPDATING else None
    watch.overlooked = _grown(watch.overlooked, passed) if is_overlooked(look) else None


def _grown(lasted: float | None, passed: float) -> float:
    """How long something has been so that is so again at this look."""
    return 0.0 if lasted is None else lasted + passed


def _is_other(subject: Subject, live: Json, revision: Revision) -> bool:
    """Whether the tasks run something else than a revision: what comes of that is not its fault."""
    return subject.differs(live, revision).restart is not Restart.NONE


def _rolled_back_by_swarm(subject: Subject, live: Json) -> Ruling | None:
    """Where `failure_action` is rollback, Swarm has decided; so has who ran `docker service rollback`, also later."""
    latest, status = subject.history[-1], live.get("UpdateStatus") or {}
    if status.get("State", "") not in ROLLED_BACK or digest_of(live) == latest.digest:
        return None
    # An older status says nothing of a revision that is kept and not written yet.
    was_written = sortable(status.get("StartedAt")) >= sortable(latest.kept)
    if latest.state not in (RevisionState.PROGRESSING, RevisionState.STABLE) or not was_written:
        return None
    target, now = subject.way_back(latest), newest(subject.history, digest_of(live))
    if now is not None and now.state not in REFUSED and latest.state is RevisionState.STABLE:
        target = now  # by hand, for Swarm does not undo what it has completed: what somebody chose is kept
    return _found_bad(subject, latest, target, f"it was rolled back in Swarm: {status.get('Message', '')}")


def _found_bad(subject: Subject, bad: Revision, target: Revision | None, why: str) -> Ruling:
    """The verdict on a revision, and on those of other services that came with it."""
    together = f"goes back together with {bad.service}: {why}"
    verdicts = [(bad, target, why)]
    verdicts += [(other, subject.way_back(other), together) for other in partners(bad, subject.planner.histories)]
    actions = [relabelled(item, Turn.FOUND_BAD, text, target=goal, snapshot=subject.snapshot) for item, goal, text in verdicts]
    decisions = {item.service: f"revision {item.number} is bad: {text}" for item, _, text in verdicts}
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
