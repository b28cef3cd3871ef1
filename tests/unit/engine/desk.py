"""A simulated Swarm with guards on it, and corrections to ask them for."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

from controller.core.state import STATE_NAME
from controller.engine.guards import Guards, Refusal
from controller.engine.observer import full_snapshot
from controller.model.plan import Action, ObjectKind, Reason, Restart, Verb
from controller.model.policy import BudgetPolicy
from controller.model.spec import Json
from controller.model.status import Key
from controller.simulator.engine import Simulator
from controller.simulator.inprocess import InProcessSwarm
from tests.support.clock import FakeClock
from tests.support.fakes import FakeRecorder, FakeSwarm, LoopClock

WEB, DB = Key("shop", "web"), Key("shop", "db")
DRIFT = Action(Verb.UPDATE, ObjectKind.SERVICE, "shop_web", Reason.DRIFT, restart=Restart.ROLLING)
LABELS = replace(DRIFT, restart=Restart.NONE)
MISSING = Action(Verb.CREATE, ObjectKind.SERVICE, "shop_web", Reason.MISSING, restart=Restart.START)
EDIT = replace(DRIFT, reason=Reason.EDITED)
TWO = BudgetPolicy(2, timedelta(minutes=10))


class Recorder(FakeRecorder):
    """Also keeps what it is told of guards."""

    def __init__(self) -> None:
        super().__init__()
        self.brakes: list[bool] = []
        self.held = 0
        self.heals: list[Reason] = []

    def brake(self, *, on: bool) -> None:
        self.brakes.append(on)

    def held_services(self, count: int) -> None:
        self.held = count

    def healed(self, reason: Reason) -> None:
        self.heals.append(reason)


class Desk:
    """A simulated Swarm and guards on it."""

    def __init__(self, sim: Simulator) -> None:
        self.sim, self.swarm, self.clock, self.recorder = sim, InProcessSwarm(sim), LoopClock(), Recorder()

    def guards(self, **parts: Any) -> Guards:
        """As a fresh process has them."""
        return Guards(self.swarm, self.clock, self.recorder, **parts)

    async def seen(self, guards: Guards) -> Guards:
        guards.observe(await full_snapshot(self.swarm))
        return guards

    @property
    def state(self) -> Json:
        return self.sim.inspect(ObjectKind.CONFIG, STATE_NAME)

    @property
    def writes(self) -> int:
        return len(self.sim.gate.writes())


def fake(clock: FakeClock, swarm: FakeSwarm | None = None) -> Guards:
    return Guards(swarm or FakeSwarm(), clock, Recorder())


def correct(guards: Guards, action: Action = LABELS, *, key: Key = WEB, policy: BudgetPolicy = TWO) -> Refusal | None:
    """Act if it may be done."""
    refusal = guards.may_act(key, action, policy)
    if refusal is None:
        guards.acted(key, action, policy)
    return refusal


async def spend(guards: Guards, *, key: Key = WEB) -> None:
    for _ in range(TWO.actions):
        assert correct(guards, key=key) is None
        await asyncio.sleep(10)
