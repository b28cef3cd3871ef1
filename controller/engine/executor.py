"""Carries out a plan: each write with the version it was decided on, each outcome told, none repeated blindly."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from controller.core.bind import bound
from controller.core.contents import live_contents
from controller.core.networks import is_predefined
from controller.core.state import STATE_NAME, new_state
from controller.engine.ports import Clock, Swarm
from controller.engine.records import ActionOutcome
from controller.errors import (
    InUseError,
    NameTakenError,
    NotFoundError,
    NotLeaderError,
    OutOfSequenceError,
    RefusedError,
    SwarmError,
)
from controller.model.observation import Snapshot
from controller.model.plan import Action, ObjectKind, Plan, Verb
from controller.model.spec import Json

_CONTENTS = (ObjectKind.CONFIG, ObjectKind.SECRET)


@dataclass(frozen=True, slots=True)
class ActionResult:
    action: Action
    outcome: ActionOutcome
    seconds: float
    message: str = ""


Report = Callable[[ActionResult], Awaitable[None]]


class Executor:
    """Writes at most `concurrency` things at once, however many plans are under way."""

    def __init__(self, swarm: Swarm, clock: Clock, *, concurrency: int = 8, with_registry_auth: bool = True) -> None:
        self._swarm, self.clock = swarm, clock
        self._slots = asyncio.Semaphore(concurrency)
        self._with_auth = with_registry_auth

    async def execute(self, plan: Plan, snapshot: Snapshot, report: Report) -> list[ActionResult]:
        """Carry out the actions: shared objects, then services, then removals if nothing before failed."""
        known = _known(snapshot)
        results: list[ActionResult] = []
        for stage in _stages(plan):
            removing = stage[0].verb is Verb.REMOVE
            if removing and any(result.outcome is not ActionOutcome.DONE for result in results):
                break
            results += await asyncio.gather(*(self._one(action, known, report) for action in stage))
        return results

    async def _one(self, action: Action, known: dict[tuple[ObjectKind, str], str], report: Report) -> ActionResult:
        async with self._slots:
            started = self.clock.monotonic()
            try:
                await self._write(action, known)
            except SwarmError as error:
                outcome, message = _judged(error, action), str(error)
            except KeyError as error:
                outcome, message = ActionOutcome.SUPERSEDED, f"needs {error.args[0]}, which is not there"
            else:
                outcome, message = ActionOutcome.DONE, ""
            result = ActionResult(action, outcome, self.clock.monotonic() - started, message)
        await report(result)
        return result

    async def _write(self, action: Action, known: dict[tuple[ObjectKind, str], str]) -> None:
        lacking = _lacking(action, known)
        if lacking:
            raise KeyError(lacking)
        if action.verb is Verb.REMOVE:
            await self._swarm.remove(action.kind, action.object_id)
            return
        body: Json = bound(action.body, known) if action.kind is ObjectKind.SERVICE else action.body
        auth = await self._auth(action, body)
        if action.verb is Verb.UPDATE:
            await self._swarm.update(action.kind, action.object_id, action.version, body, auth=auth)
        else:
            if action.name == STATE_NAME:
                body = new_state(secrets.token_bytes(32))
            known[action.kind, action.name] = await self._swarm.create(action.kind, body, auth=auth)

    async def _auth(self, action: Action, body: Json) -> str | None:
        if action.kind is not ObjectKind.SERVICE or not self._with_auth:
            return None
        image = body["TaskTemplate"]["ContainerSpec"]["Image"]
        return await asyncio.to_thread(self._swarm.registry_auth, image)  # a credential helper is a program and may hang


def _stages(plan: Plan) -> list[list[Action]]:
    shared = [action for action in plan.actions if action.verb is not Verb.REMOVE and action.kind is not ObjectKind.SERVICE]
    services = [action for action in plan.actions if action.verb is not Verb.REMOVE and action.kind is ObjectKind.SERVICE]
    removals = [action for action in plan.actions if action.verb is Verb.REMOVE]
    return [stage for stage in (shared, services, removals) if stage]


def lacking(action: Action, snapshot: Snapshot) -> str:
    """What the action refers to and the snapshot does not have; empty when nothing is lacking."""
    return _lacking(action, _known(snapshot)) if action.needs else ""


def _lacking(action: Action, known: Mapping[tuple[ObjectKind, str], str]) -> str:
    return ", ".join(
        f"{kind} {name}" for kind, name in action.needs if (kind, name) not in known and not is_predefined(kind, name)
    )


def _known(snapshot: Snapshot) -> dict[tuple[ObjectKind, str], str]:
    """Ids by kind and name of everything that a service can refer to."""
    known = {(ObjectKind.NETWORK, name): network["Id"] for name, network in snapshot.networks.items()}
    for kind in _CONTENTS:
        found: Mapping[str, Json] = live_contents(snapshot, kind)
        known |= {(kind, name): item["ID"] for name, item in found.items()}
    return known


def _judged(error: SwarmError, action: Action) -> ActionOutcome:
    match error:
        case OutOfSequenceError() | NameTakenError() | InUseError() | NotLeaderError():
            return ActionOutcome.SUPERSEDED
        case NotFoundError():  # already gone is what a removal wants; an update has lost its object
            return ActionOutcome.DONE if action.verb is Verb.REMOVE else ActionOutcome.SUPERSEDED
        case RefusedError():
            return ActionOutcome.REFUSED
        case _:  # no answer that can be trusted
            return ActionOutcome.UNKNOWN
