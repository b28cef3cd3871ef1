"""One pass for one key: observe, plan, execute, record. Safe at any time, any number of times."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace

from controller.core.health import may_be_depended_on, service_status
from controller.core.planner import ServicePlanner, plan_shared
from controller.core.state import paused_targets
from controller.engine.executor import ActionResult, lacking
from controller.engine.guards import Refusal
from controller.engine.observer import SHARED_KINDS
from controller.engine.records import ActionOutcome, ActionRecord, PassRecord, PassResult
from controller.engine.rollouts import Ruling, Subject
from controller.engine.telling import Teller, log_action
from controller.engine.workqueue import Due
from controller.engine.world import World
from controller.model.incident import FaultKind
from controller.model.observation import Snapshot
from controller.model.plan import Action, Notice, ObjectKind, Plan, Reason, Verb
from controller.model.spec import DesiredService, DesiredStack
from controller.model.status import Key

log = logging.getLogger("prodbreaker.engine")

# How often a service that moves is looked at: (moving for less than, look again after), in seconds.
_LOOKS = ((60.0, 1.0), (300.0, 5.0))
# A task's state comes to the managers this much later than its container's event to us: the agent tidies up, reports in batches.
_REPORTED_SECONDS = 0.3


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the queue is to do after a pass."""

    result: PassResult
    reason: str = ""
    look_again_seconds: float | None = None
    wake: tuple[Key, ...] = ()  # other keys that can go on now


class Reconciler:
    def __init__(self, world: World) -> None:
        self._world = world
        self._planner: tuple[DesiredStack, Snapshot, ServicePlanner] | None = None
        self._waiting_since: dict[Key, float] = {}
        self._updating_since: dict[Key, tuple[int, float]] = {}  # drift that waits for Swarm's updater: version, since when
        self._ended: dict[Key, tuple[PassResult, str]] = {}
        self._wrote: dict[Key, float] = {}  # when a key's last write was answered, in seconds of the loop's time
        self._teller = Teller(world)

    def rest(self) -> None:
        """No key is due: let go of the last snapshot and what was prepared from it, and count how the stacks stand."""
        self._planner = None
        self._teller.rest()
        self._world.observer.rest()

    async def reconcile(self, due: Due) -> Verdict:
        """One pass. Raises SwarmError when the Swarm cannot be read; whatever else goes wrong is in the verdict."""
        world, started, wall = self._world, self._world.clock.monotonic(), self._world.clock.wall()
        reconcile_id = secrets.token_hex(6)
        verdict = await self._pass(due, reconcile_id)
        await self._teller.save()
        seconds = world.clock.monotonic() - started
        world.recorder.pass_done(verdict.result, seconds)
        level = logging.INFO if self._is_news(due.key, verdict) else logging.DEBUG
        fields = {"reconcile_id": reconcile_id, "key": str(due.key), "result": verdict.result.value, "due": due.reason}
        log.log(level, "pass", extra={"fields": {**fields, "reason": verdict.reason, "seconds": round(seconds, 4)}})
        reason = verdict.reason or due.reason
        record = PassRecord(reconcile_id, str(due.key), wall, seconds, verdict.result, reason)
        await self._teller.journal(record)
        return verdict

    def _is_news(self, key: Key, verdict: Verdict) -> bool:
        """A pass that wrote, or that ended otherwise than the one before it."""
        before = self._ended.get(key, (PassResult.UNCHANGED, ""))
        self._ended[key] = (verdict.result, verdict.reason)
        return verdict.result is PassResult.CHANGED or before != self._ended[key]

    async def _pass(self, due: Due, reconcile_id: str) -> Verdict:
        # Who became due in the middle of its own pass must not rest on what was read before that pass wrote.
        due = replace(due, since=max(due.since, self._wrote.pop(due.key, due.since)))
        found = self._world.declarations.find(due.key)
        if found is None:
            self._teller.dropped(due.key)
            return Verdict(PassResult.UNCHANGED, "not declared any more")
        desired, service = found
        snapshot = await self._world.observer.snapshot(since=due.since)
        if service is None:
            return await self._shared(due.key, desired, snapshot, reconcile_id)
        return await self._service(due, desired, service, snapshot, reconcile_id)

    async def _shared(self, key: Key, desired: DesiredStack, snapshot: Snapshot, reconcile_id: str) -> Verdict:
        world = self._world
        world.memory.note_secrets(desired, snapshot)
        plan = plan_shared(desired, snapshot, world.memory.knowledge(desired, snapshot), world.options)
        if any(action.verb is Verb.REMOVE for action in plan.actions):
            snapshot, plan = await self._confirmed(desired, plan)
        self._teller.tell(key, plan.notices)
        if not plan.is_empty and not world.leads():
            return _STANDS_BY
        results = await self._execute(plan, snapshot, key, reconcile_id)
        if any(result.action.verb is Verb.CREATE and result.outcome is ActionOutcome.DONE for result in results):
            wake = tuple(world.declarations.keys(desired.name)[1:])
            return replace(_judged(results, plan.notices), wake=wake)
        return _judged(results, plan.notices)

    async def _service(
        self, due: Due, desired: DesiredStack, service: DesiredService, snapshot: Snapshot, reconcile_id: str
    ) -> Verdict:
        world, key = self._world, due.key
        planner = await self._asked(desired, service, snapshot)
        self._teller.see(snapshot)
        ruling = await self._ruling(key, Subject(service, snapshot, planner))
        if ruling.actions:
            results = await self._execute(Plan(desired.name, ruling.actions), snapshot, key, reconcile_id)
            if any(result.outcome is not ActionOutcome.DONE for result in results):
                return _judged(results, ())
            self._teller.decided(key, service, ruling)
            snapshot = await world.observer.snapshot(since=asyncio.get_running_loop().time())
        verdict = await self._planned(due, desired, service, snapshot, reconcile_id)
        keys = [world.declarations.owner(name) for name in ruling.decisions if name != service.name]
        again = verdict.look_again_seconds or (1.0 if ruling.is_watched else None)
        if due.reason.startswith("container "):
            again = min(again or _REPORTED_SECONDS, _REPORTED_SECONDS)
        return replace(verdict, look_again_seconds=again, wake=(*verdict.wake, *(other for other in keys if other)))

    async def _planned(
        self, due: Due, desired: DesiredStack, service: DesiredService, snapshot: Snapshot, reconcile_id: str
    ) -> Verdict:
        world, key, since = self._world, due.key, due.since
        planner = self._planner_for(desired, snapshot)
        action, notice = self._plan(key, service, snapshot, planner)
        if action is not None and action.verb is Verb.CREATE:
            # What it refers to may have gone with it, and the event that says so may be the next one.
            snapshot = await world.observer.snapshot(since=since, shared_since=since)
            planner = self._planner_for(desired, snapshot)
            action, notice = planner.plan(service)
        subject = Subject(service, snapshot, planner)
        refusal = self._refusal(key, desired, subject, action) if action is not None else None
        held = (
            Notice(ObjectKind.SERVICE, service.name, refusal.reason, refusal.message, action.changes)
            if refusal and action
            else None
        )
        paused = self._is_paused(key, desired, snapshot)
        status = service_status(service, snapshot, action, held or notice, paused=paused)
        self._teller.post(key, status, service.policy.rollback.deadline.total_seconds())
        self._teller.follow(due, desired, subject, (action, notice), held=held, paused=paused)
        notices = tuple(item for item in (held, notice) if item)
        self._teller.tell(key, notices)
        if refusal is not None:
            return replace(_judged((), notices), look_again_seconds=refusal.look_again_seconds)
        if action is not None:
            return await self._act(key, desired, subject, action, reconcile_id)
        self._waiting_since.pop(key, None)
        if notice is None:
            world.guards.settled(key)
            if subject.live is not None:
                world.memory.note_settled(desired, service, subject.live, planner.revision(service))
        return replace(_judged((), notices), look_again_seconds=self._look_again(key))

    def _plan(
        self, key: Key, service: DesiredService, snapshot: Snapshot, planner: ServicePlanner
    ) -> tuple[Action | None, Notice | None]:
        """The service's plan. Drift waits for Swarm's updater, which has no deadline, no longer than an update may idle."""
        action, notice = planner.plan(service)
        if notice is None or notice.reason is not Reason.UPDATE_RUNNING:
            self._updating_since.pop(key, None)
            return action, notice
        version, now = snapshot.services[service.name]["Version"]["Index"], self._world.clock.monotonic()
        seen, since = self._updating_since.get(key, (version, now))
        since = since if seen == version else now
        self._updating_since[key] = (version, since)
        is_over = now - since >= service.policy.rollback.deadline.total_seconds()
        return planner.plan(service, may_interrupt=True) if is_over else (action, notice)

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
        world = self._world
        desired = world.declarations.stacks.get(key.stack)
        if desired is None or not world.leads() or self._is_paused(key, desired, subject.snapshot):
            return Ruling()
        if world.guards.brake.is_on:
            return world.rollouts.undone(subject)
        return await world.rollouts.look(subject)

    def _refusal(self, key: Key, desired: DesiredStack, subject: Subject, action: Action) -> Refusal | None:
        """Why an action that the plan has must not be carried out now."""
        world, service = self._world, subject.desired
        if not world.leads():
            return Refusal(Reason.STANDBY, Reason.STANDBY.value)
        is_new = not world.memory.applied(desired, service)
        refusal = world.guards.may_act(key, action, service.policy.budget, is_new=is_new, moving=world.board.moving())
        if refusal is not None and refusal.reason is Reason.HELD:
            world.incidents.held(service.name, FaultKind.HELD, refusal.message)
        return refusal

    async def _act(self, key: Key, desired: DesiredStack, subject: Subject, action: Action, reconcile_id: str) -> Verdict:
        """Carry out a service's action, with what comes before it."""
        world, service, snapshot = self._world, subject.desired, subject.snapshot
        waits = self._waits(key, service, action, desired, snapshot)
        if waits:
            world.incidents.decided(service.name, None, f"waits for {waits}")
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
        results = await self._execute(Plan(desired.name, (action,)), snapshot, key, reconcile_id)
        for result in results:
            if action.verb is not Verb.CREATE and result.outcome is ActionOutcome.DONE:  # not before: what is live says it itself
                world.memory.note_written(desired, service, subject.planner.revision(service))
            if result.outcome in (ActionOutcome.DONE, ActionOutcome.UNKNOWN):
                is_sure = result.outcome is ActionOutcome.DONE
                world.guards.acted(key, action, service.policy.budget, is_new=not applied, is_sure=is_sure)
        world.incidents.took(service.name, results)
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
            log_action(record)
            await self._teller.journal(record)

        results = await world.executor.execute(plan, snapshot, report)
        self._wrote[key] = asyncio.get_running_loop().time()
        return results

    def _look_again(self, key: Key) -> float | None:
        since = self._world.board.moving().get(key)
        if since is None:
            return None
        moving = asyncio.get_running_loop().time() - since
        return next((seconds for limit, seconds in _LOOKS if moving < limit), None)


_STANDS_BY = Verdict(PassResult.REPORTED, Reason.STANDBY.value)


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
