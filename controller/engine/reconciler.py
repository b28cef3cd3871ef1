"""One pass for one key: observe, plan, execute, record. Safe at any time, any number of times."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace

from controller.core.health import may_be_depended_on, service_status
from controller.core.planner import Options, ServicePlanner, plan_shared
from controller.core.state import paused_targets
from controller.engine.board import Board
from controller.engine.declarations import Declarations
from controller.engine.executor import ActionResult, Executor, lacking
from controller.engine.memory import Memory
from controller.engine.observer import SHARED_KINDS, Observer
from controller.engine.ports import Clock, Swarm
from controller.engine.records import ActionOutcome, ActionRecord, Journal, PassRecord, PassResult, Recorder
from controller.engine.rollouts import Rollouts, Ruling, Subject
from controller.engine.workqueue import Due
from controller.errors import JournalError
from controller.model.observation import Snapshot
from controller.model.plan import Action, Notice, Plan, Verb
from controller.model.spec import DesiredService, DesiredStack
from controller.model.status import Key, ServiceStatus

log = logging.getLogger("prodbreaker.engine")

# How often a service that moves is looked at: (moving for less than, look again after), in seconds.
_LOOKS = ((60.0, 1.0), (300.0, 5.0))


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the queue is to do after a pass."""

    result: PassResult
    reason: str = ""
    look_again_seconds: float | None = None
    wake: tuple[Key, ...] = ()  # other keys that can go on now


@dataclass(frozen=True, slots=True)
class World:
    """Everything a pass reaches; built once by the composition root."""

    swarm: Swarm
    observer: Observer
    declarations: Declarations
    memory: Memory
    executor: Executor
    rollouts: Rollouts
    board: Board
    journal: Journal
    recorder: Recorder
    clock: Clock
    options: Options


class Reconciler:
    def __init__(self, world: World) -> None:
        self._world = world
        self._planner: tuple[DesiredStack, Snapshot, ServicePlanner] | None = None
        self._waiting_since: dict[Key, float] = {}
        self._ended: dict[Key, tuple[PassResult, str]] = {}
        self._told: dict[Key, tuple[Notice, ...]] = {}
        self._changed: set[str] = set()  # stacks of which a service stands otherwise than when the queue was last empty

    def rest(self) -> None:
        """No key is due: let go of the last snapshot and what was prepared from it, and count how the stacks stand."""
        self._planner = None
        while self._changed:
            stack = self._changed.pop()
            self._world.recorder.sync_states(stack, self._world.board.statuses(stack))
        self._world.observer.rest()

    async def reconcile(self, due: Due) -> Verdict:
        """One pass. Raises SwarmError when the Swarm cannot be read; whatever else goes wrong is in the verdict."""
        world, started, wall = self._world, self._world.clock.monotonic(), self._world.clock.wall()
        reconcile_id = secrets.token_hex(6)
        verdict = await self._pass(due, reconcile_id)
        await self._save()
        seconds = world.clock.monotonic() - started
        world.recorder.pass_done(verdict.result, seconds)
        level = logging.INFO if self._is_news(due.key, verdict) else logging.DEBUG
        fields = {"reconcile_id": reconcile_id, "key": str(due.key), "result": verdict.result.value, "due": due.reason}
        log.log(level, "pass", extra={"fields": {**fields, "reason": verdict.reason, "seconds": round(seconds, 4)}})
        reason = verdict.reason or due.reason
        record = PassRecord(reconcile_id, str(due.key), wall, seconds, verdict.result, reason)
        await self._journal(record)
        return verdict

    def _is_news(self, key: Key, verdict: Verdict) -> bool:
        """A pass that wrote, or that ended otherwise than the one before it."""
        before = self._ended.get(key, (PassResult.UNCHANGED, ""))
        self._ended[key] = (verdict.result, verdict.reason)
        return verdict.result is PassResult.CHANGED or before != self._ended[key]

    async def _pass(self, due: Due, reconcile_id: str) -> Verdict:
        found = self._world.declarations.find(due.key)
        if found is None:
            self._world.board.remove(due.key)
            self._changed.add(due.key.stack)
            return Verdict(PassResult.UNCHANGED, "not declared any more")
        desired, service = found
        snapshot = await self._world.observer.snapshot(since=due.since)
        if service is None:
            return await self._shared(due.key, desired, snapshot, reconcile_id)
        return await self._service(due.key, desired, service, snapshot, reconcile_id, due.since)

    async def _shared(self, key: Key, desired: DesiredStack, snapshot: Snapshot, reconcile_id: str) -> Verdict:
        world = self._world
        world.memory.note_secrets(desired, snapshot)
        plan = plan_shared(desired, snapshot, world.memory.knowledge(desired, snapshot), world.options)
        if any(action.verb is Verb.REMOVE for action in plan.actions):
            snapshot, plan = await self._confirmed(desired, plan)
        self._tell(key, plan.notices)
        results = await self._execute(plan, snapshot, key, reconcile_id)
        if any(result.action.verb is Verb.CREATE and result.outcome is ActionOutcome.DONE for result in results):
            wake = tuple(world.declarations.keys(desired.name)[1:])
            return replace(_judged(results, plan.notices), wake=wake)
        return _judged(results, plan.notices)

    async def _service(
        self, key: Key, desired: DesiredStack, service: DesiredService, snapshot: Snapshot, reconcile_id: str, since: float
    ) -> Verdict:
        world = self._world
        planner = await self._asked(desired, service, snapshot)
        ruling = await self._ruling(key, Subject(service, snapshot, planner))
        if ruling.actions:
            results = await self._execute(Plan(desired.name, ruling.actions), snapshot, key, reconcile_id)
            self._decided(key, ruling)
            if any(result.outcome is not ActionOutcome.DONE for result in results):
                return _judged(results, ())
            snapshot = await world.observer.snapshot(since=asyncio.get_running_loop().time())
        verdict = await self._planned(key, desired, service, snapshot, reconcile_id, since)
        keys = [world.declarations.owner(name) for name in ruling.decisions if name != service.name]
        again = verdict.look_again_seconds or (1.0 if ruling.is_watched else None)
        return replace(verdict, look_again_seconds=again, wake=(*verdict.wake, *(other for other in keys if other)))

    async def _planned(
        self, key: Key, desired: DesiredStack, service: DesiredService, snapshot: Snapshot, reconcile_id: str, since: float
    ) -> Verdict:
        planner = self._planner_for(desired, snapshot)
        action, notice = planner.plan(service)
        if action is not None and action.verb is Verb.CREATE:
            # What it refers to may have gone with it, and the event that says so may be the next one.
            snapshot = await self._world.observer.snapshot(since=since, shared_since=since)
            planner = self._planner_for(desired, snapshot)
            action, notice = planner.plan(service)
        paused = self._is_paused(key, desired, snapshot)
        status = service_status(service, snapshot, action, notice, paused=paused)
        self._post(key, status, service.policy.rollback.deadline.total_seconds())
        self._tell(key, (notice,) if notice else ())
        if action is None:
            self._waiting_since.pop(key, None)
            live = snapshot.services.get(service.name)
            if live is not None and notice is None:
                self._world.memory.note_settled(desired, service, live, planner.revision(service))
            return replace(_judged((), (notice,) if notice else ()), look_again_seconds=self._look_again(key))
        return await self._act(key, desired, Subject(service, snapshot, planner), action, reconcile_id)

    async def _asked(self, desired: DesiredStack, service: DesiredService, snapshot: Snapshot) -> ServicePlanner:
        """The planner, once the registry has been asked what this service's plan needs."""
        planner = self._planner_for(desired, snapshot)
        question = planner.image_to_ask(service)
        if question is None:
            return planner
        await self._world.memory.ask(self._world.swarm, [question])
        self._planner = None
        return self._planner_for(desired, snapshot)

    def _is_paused(self, key: Key, desired: DesiredStack, snapshot: Snapshot) -> bool:
        return bool({desired.name, str(key)} & paused_targets(snapshot)) or desired.policy.paused

    async def _ruling(self, key: Key, subject: Subject) -> Ruling:
        """What became of the revision that runs; nothing is judged where nothing may be done."""
        desired = self._world.declarations.stacks.get(key.stack)
        if desired is None or self._is_paused(key, desired, subject.snapshot):
            return Ruling()
        return await self._world.rollouts.look(subject)

    def _decided(self, key: Key, ruling: Ruling) -> None:
        for service, text in ruling.decisions.items():
            log.warning("decided", extra={"fields": {"key": str(key), "service": service, "reason": text}})

    async def _act(self, key: Key, desired: DesiredStack, subject: Subject, action: Action, reconcile_id: str) -> Verdict:
        """Carry out a service's action, with what comes before it."""
        world, service, snapshot = self._world, subject.desired, subject.snapshot
        waits = self._waits(key, service, action, desired, snapshot)
        if waits:
            return Verdict(PassResult.REPORTED, f"waits for {waits}", look_again_seconds=1.0)
        missing = lacking(action, snapshot)
        if missing:  # the stack's own key makes it, and then wakes every service
            return Verdict(PassResult.RETRY, f"needs {missing}", wake=(Key(desired.name),))
        applied = world.memory.applied(desired, service)
        first = await world.rollouts.before(subject, action, applied)
        if first:
            results = await self._execute(Plan(desired.name, tuple(first)), snapshot, key, reconcile_id)
            if any(result.outcome is not ActionOutcome.DONE for result in results):
                return _judged(results, ())
        world.memory.note_intent(desired, service, subject.planner.revision(service))
        await self._save()
        results = await self._execute(Plan(desired.name, (action,)), snapshot, key, reconcile_id)
        return replace(_judged(results, ()), look_again_seconds=1.0)

    def _planner_for(self, desired: DesiredStack, snapshot: Snapshot) -> ServicePlanner:
        """Passes that share a declaration and a snapshot share what a planner prepares from them."""
        kept = self._planner
        if kept is None or kept[0] is not desired or kept[1] is not snapshot:
            knowledge = self._world.memory.knowledge(desired, snapshot)
            self._planner = kept = (desired, snapshot, ServicePlanner(desired, snapshot, knowledge, self._world.options))
        return kept[2]

    async def _confirmed(self, desired: DesiredStack, plan: Plan) -> tuple[Snapshot, Plan]:
        """Removals need a second look with every list taken anew; only what both looks agree on stays in the plan."""
        world, now = self._world, asyncio.get_running_loop().time()
        snapshot = await world.observer.snapshot(since=now, shared_since=now)
        again = plan_shared(desired, snapshot, world.memory.knowledge(desired, snapshot), world.options)
        agreed = {(action.verb, action.object_id) for action in plan.actions}
        kept = tuple(
            action for action in again.actions if action.verb is not Verb.REMOVE or (action.verb, action.object_id) in agreed
        )
        return snapshot, replace(again, actions=kept)

    def _waits(self, key: Key, service: DesiredService, action: Action, desired: DesiredStack, snapshot: Snapshot) -> str:
        """Names that a new service still waits for; empty when it may be created, also because it has waited long enough."""
        unready = [
            before.name
            for before in (desired.services[name] for name in service.depends_on)
            if not may_be_depended_on(before, snapshot)
        ]
        if action.verb is not Verb.CREATE or not unready:
            self._waiting_since.pop(key, None)
            return ""
        now = self._world.clock.monotonic()
        since = self._waiting_since.setdefault(key, now)
        if now - since >= service.policy.rollback.deadline.total_seconds():
            log.warning("created without what it depends on", extra={"fields": {"key": str(key), "unready": unready}})
            del self._waiting_since[key]
            return ""
        return ", ".join(unready)

    async def _execute(self, plan: Plan, snapshot: Snapshot, key: Key, reconcile_id: str) -> list[ActionResult]:
        if plan.is_empty:
            return []
        world = self._world

        async def report(result: ActionResult) -> None:
            action = result.action
            if action.kind in SHARED_KINDS:
                world.observer.invalidate(action.kind)
            world.recorder.action_done(action.verb, action.kind, result.outcome)
            record = ActionRecord(
                reconcile_id, str(key), action.verb, action.kind, action.name, action.reason, result.outcome,
                world.clock.wall(), result.seconds, action.changes, result.message,
            )  # fmt: skip
            _log_action(record)
            await self._journal(record)

        return await world.executor.execute(plan, snapshot, report)

    def _post(self, key: Key, status: ServiceStatus, patience_seconds: float) -> None:
        world, now = self._world, asyncio.get_running_loop().time()
        if world.board.post(key, status, now, patience_seconds=patience_seconds):
            self._changed.add(key.stack)
            fields = {"key": str(key), "sync": status.sync.value, "health": status.health.value, "reason": status.message}
            log.info("status", extra={"fields": {**fields, "running": status.running, "desired": status.desired}})

    def _look_again(self, key: Key) -> float | None:
        since = self._world.board.moving().get(key)
        if since is None:
            return None
        moving = asyncio.get_running_loop().time() - since
        return next((seconds for limit, seconds in _LOOKS if moving < limit), None)

    def _tell(self, key: Key, notices: Sequence[Notice]) -> None:
        """Log what is left alone when that changes, never once per pass."""
        for notice in notices:
            if notice not in self._told.get(key, ()):
                fields = {"key": str(key), "kind": notice.kind.value, "name": notice.name, "reason": notice.reason.value}
                changed = [change.field for change in notice.changes]
                log.warning("left alone", extra={"fields": {**fields, "message": notice.message, "fields": changed}})
        self._told[key] = tuple(notices)

    async def _journal(self, record: PassRecord | ActionRecord) -> None:
        try:
            if isinstance(record, PassRecord):
                await self._world.journal.record_pass(record)
            else:
                await self._world.journal.record_action(record)
        except JournalError as error:
            log.error("journal", extra={"fields": {"reason": str(error)}})  # noqa: TRY400 - a full disk is no bug to trace

    async def _save(self) -> None:
        try:
            await self._world.memory.save()
        except JournalError as error:
            log.error("journal", extra={"fields": {"reason": str(error)}})  # noqa: TRY400 - as above


def _judged(results: Sequence[ActionResult], notices: Sequence[Notice]) -> Verdict:
    """The one word that sums up a pass: the worst outcome counts."""
    for outcome, result in (
        (ActionOutcome.REFUSED, PassResult.FAILED),
        (ActionOutcome.UNKNOWN, PassResult.RETRY),
        (ActionOutcome.SUPERSEDED, PassResult.RETRY),
    ):
        first = next((item for item in results if item.outcome is outcome), None)
        if first is not None:
            return Verdict(result, f"{first.action.verb} {first.action.kind} {first.action.name}: {first.message}")
    if results:
        return Verdict(PassResult.CHANGED)
    if notices:
        return Verdict(PassResult.REPORTED, notices[0].message)
    return Verdict(PassResult.UNCHANGED)


def _log_action(record: ActionRecord) -> None:
    level = logging.INFO if record.outcome is ActionOutcome.DONE else logging.WARNING
    fields = {
        "reconcile_id": record.reconcile_id,
        "key": record.key,
        "verb": record.verb.value,
        "kind": record.kind.value,
        "name": record.name,
        "reason": record.reason.value,
        "outcome": record.outcome.value,
        "changed": [change.field for change in record.changes],
        "message": record.message,
        "seconds": round(record.seconds, 4),
    }
    log.log(level, "action", extra={"fields": fields})
