"""What a pass tells: the board, the incidents, the log, the journal. It decides nothing.

Each thing is told when it changes, never once per pass.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from controller.core.brake import Cause, seen
from controller.core.faults import Signs, decision_text, find_fault
from controller.core.rollout import Turn
from controller.engine.records import ActionOutcome, ActionRecord, PassRecord
from controller.engine.rollouts import Ruling, Subject
from controller.engine.workqueue import Due
from controller.engine.world import World
from controller.errors import JournalError
from controller.model.incident import FaultKind
from controller.model.observation import Snapshot
from controller.model.plan import Action, Notice
from controller.model.spec import DesiredService, DesiredStack
from controller.model.status import Key, ServiceStatus

log = logging.getLogger("prodbreaker.engine")


class Teller:
    def __init__(self, world: World) -> None:
        self._world = world
        self._told: dict[Key, tuple[Notice, ...]] = {}
        self._changed: set[str] = set()  # stacks of which a service stands otherwise than when the queue was last empty

    def rest(self) -> None:
        """Count how the stacks stand that have changed."""
        while self._changed:
            stack = self._changed.pop()
            self._world.recorder.sync_states(stack, self._world.board.statuses(stack))

    def dropped(self, key: Key) -> None:
        """A key is not declared any more."""
        self._world.board.remove(key)
        if key.service:
            self._world.incidents.dropped(f"{key.stack}_{key.service}")
            self._world.rollouts.forget(f"{key.stack}_{key.service}")
        self._changed.add(key.stack)

    def follow(
        self,
        due: Due,
        desired: DesiredStack,
        subject: Subject,
        plan: tuple[Action | None, Notice | None],
        *,
        held: Notice | None,
        paused: bool,
    ) -> None:
        """Tell the incidents what was found, and what is going to be done about it or holds that back."""
        world, service = self._world, subject.desired
        status, short = world.board.status(due.key), world.board.short_since(due.key)
        assert status is not None  # noqa: S101 - it was put up a line before
        signs = Signs(
            was_there=world.memory.applied(desired, service) == subject.planner.revision(service),
            is_paused=paused,
            happened=due.happened,
            short_since=None if short is None else world.clock.wall() - (asyncio.get_running_loop().time() - short),
        )
        finding = find_fault(status, *plan, subject.live, signs)
        world.incidents.follow(
            service.name, finding, decision="" if paused else decision_text(None, held) if held else decision_text(*plan)
        )

    def see(self, snapshot: Snapshot) -> None:
        """Take up what other controllers decided, and let the brake look at the whole Swarm."""
        world = self._world
        world.guards.observe(snapshot)
        if world.guards.look(
            lambda: seen(
                world.clock.monotonic(),
                world.board.statuses(),
                snapshot.nodes,
                excused=world.rollouts.watched,
                away=frozenset({Cause.PROMETHEUS}) if world.rollouts.is_blind else frozenset(),
            )
        ):
            brake = world.guards.brake
            if brake.is_on:
                world.incidents.observed("", FaultKind.BRAKE, f"nothing is put right for now: {brake.reason()}")
            else:
                world.incidents.recovered("", FaultKind.BRAKE, "the brake is off")

    def decided(self, key: Key, service: DesiredService, ruling: Ruling) -> None:
        """Tell what a ruling came to, in the log and in the incidents of every service that it concerns."""
        world = self._world
        for name, text in ruling.decisions.items():
            log.warning("decided", extra={"fields": {"key": str(key), "service": name, "reason": text}})
            if ruling.turn is Turn.FOUND_BAD:
                world.incidents.observed(name, FaultKind.BAD_REVISION, text)
            elif ruling.turn is Turn.WENT_BACK and not ruling.hold:
                world.incidents.recovered(name, FaultKind.BAD_REVISION, text)
        if ruling.hold:
            world.guards.hold(key, ruling.hold)
            world.incidents.held(service.name, FaultKind.BAD_REVISION, ruling.hold)

    def post(self, key: Key, status: ServiceStatus, patience_seconds: float) -> None:
        world, now = self._world, asyncio.get_running_loop().time()
        if world.board.post(key, status, now, patience_seconds=patience_seconds):
            self._changed.add(key.stack)
            fields = {"key": str(key), "sync": status.sync.value, "health": status.health.value, "reason": status.message}
            log.info("status", extra={"fields": {**fields, "running": status.running, "desired": status.desired}})

    def tell(self, key: Key, notices: Sequence[Notice]) -> None:
        """Log what is left alone when that changes, never once per pass."""
        for notice in notices:
            if notice not in self._told.get(key, ()):
                fields = {"key": str(key), "kind": notice.kind.value, "name": notice.name, "reason": notice.reason.value}
                changed = [change.field for change in notice.changes]
                log.warning("left alone", extra={"fields": {**fields, "message": notice.message, "fields": changed}})
        self._told[key] = tuple(notices)

    async def journal(self, record: PassRecord | ActionRecord) -> None:
        try:
            if isinstance(record, PassRecord):
                await self._world.journal.record_pass(record)
            else:
                await self._world.journal.record_action(record)
        except JournalError as error:
            log.error("journal", extra={"fields": {"reason": str(error)}})  # noqa: TRY400 - a full disk is no bug to trace

    async def save(self) -> None:
        for save in (self._world.memory.save, self._world.incidents.save):
            try:
                await save()
            except JournalError as error:
                log.error("journal", extra={"fields": {"reason": str(error)}})  # noqa: TRY400 - as above


def log_action(record: ActionRecord) -> None:
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
