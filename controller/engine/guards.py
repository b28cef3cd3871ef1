"""What stands before every automatic write: the brake, what is held, each service's budget, and how many services change at once.

What has to outlive the process (holds, stamps of corrections) is labels of the state config: `run` writes them together, soon
after the actions and never before one; `observe` takes up what others wrote. One correction in a window is worth no write:
stamps are written when a service needs a second one. Only monotonic time decides. A stamp of another
process is turned from wall-clock time once, at first sight; however the wall clock jumps later, nothing is freed or held by it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from math import isfinite
from typing import TypeVar

from controller.core import budget
from controller.core.brake import Brake, Sight, step
from controller.core.state import STATE_NAME, heal_stamps, held_in, with_guards
from controller.engine.ports import Clock, Swarm
from controller.engine.records import Recorder
from controller.engine.stating import edit_state
from controller.errors import ProdBreakerError
from controller.model.observation import Snapshot
from controller.model.plan import Action, Reason, Restart
from controller.model.policy import BudgetPolicy
from controller.model.spec import Json
from controller.model.status import Key

_T = TypeVar("_T")
log = logging.getLogger("prodbreaker.guards")

LOOK_SECONDS = 0.5  # between two looks at the whole Swarm: passes come by the thousand
BRAKE_RETRY_SECONDS = 2.0  # when a write that the brake held back asks again
FLUSH_SECONDS = 0.5  # what happens within this time is written together
RETRY_SECONDS = 5.0  # after a write of the state that failed
_UNSEEN_SECONDS = 2.0  # how long a fresh update may not show yet as progressing
_MOST_STAMPS = 100  # of a service, kept over a restart
_REPLACING = frozenset({Restart.ROLLING, Restart.UNLESS_FITTING})


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a write has to wait."""

    reason: Reason
    message: str
    look_again_seconds: float | None = None  # None: a person or an edit ends it


class Guards:
    """Belongs to one event loop."""

    def __init__(self, swarm: Swarm, clock: Clock, recorder: Recorder, *, max_changes: int = 10) -> None:
        """At most `max_changes` services are put right by restarting their tasks at one time; edits count, and do not wait."""
        self._swarm, self._clock, self._recorder, self._max_changes = swarm, clock, recorder, max_changes
        self._brake = Brake()
        self._looked = float("-inf")
        self._holds: dict[str, str] = {}  # target -> since when and why, as in the label
        self._heals: dict[str, dict[str, float]] = {}  # target -> stamp as in the label -> monotonic seconds
        self._policies: dict[str, BudgetPolicy] = {}
        self._changing: dict[Key, float] = {}  # services whose update we began, and when
        self._unsure: dict[Key, tuple[Action, BudgetPolicy, bool]] = {}  # writes without an answer
        self._dirty: dict[str, int] = {}  # targets of which more is known here than in the labels, and since which turn
        self._freed: dict[str, int] = {}  # of these, those of which the labels' word counts no more
        self._turn = self._pressing = 0  # of the last change, of the last one that is worth a write
        self._floor = 0  # version of the state: what is no newer was taken up, or lacks what this process wrote
        self._must_write = asyncio.Event()
        self._writing = asyncio.Lock()

    # The brake

    @property
    def brake(self) -> Brake:
        return self._brake

    def look(self, sight: Callable[[], Sight]) -> bool:
        """Let the brake see the Swarm, every LOOK_SECONDS at most; returns whether it came on or went off, or was unknown."""
        now = self._clock.monotonic()
        if now - self._looked < LOOK_SECONDS:
            return False
        is_first = self._looked == float("-inf")
        self._looked, before = now, self._brake
        self._brake = after = step(before, sight())
        if after.is_on and after.holding != before.holding:
            log.warning("brake on", extra={"fields": {"reason": after.reason()}})
        elif before.is_on and not after.is_on:
            seconds = round(now - before.since, 1) if before.since is not None else 0.0
            log.info("brake off", extra={"fields": {"seconds": seconds, "worn_out": after.is_worn_out, "was": before.reason()}})
        self._recorder.brake(on=after.is_on)
        return is_first or after.is_on is not before.is_on

    # Before and after a write

    def may_act(
        self, key: Key, action: Action, policy: BudgetPolicy, *, is_new: bool = False, moving: Collection[Key] = ()
    ) -> Refusal | None:
        """None if the write may be sent now. `is_new`: the service was never there; `moving`: services that progress.

        An edit and a first creation always may. A correction that finds its budget spent has the service held, told once.
        """
        if not budget.is_corrective(action, is_new=is_new):
            return None
        target, now = str(key), self._clock.monotonic()
        braked = self._brake.holds_back(restarts_tasks=action.restart in _REPLACING)
        if braked:
            return Refusal(Reason.BRAKE, f"the brake is on: {braked}", BRAKE_RETRY_SECONDS)
        stamps = self._heals.get(target, {}).values()
        if target not in self._holds and budget.is_spent(stamps, policy, now):
            self.hold(key, f"{policy.actions} corrections in {policy.per.total_seconds():g} s did not last")
        if target in self._holds:
            return Refusal(Reason.HELD, f"held since {self._holds[target]}; `prodbreaker resume {target}` or an edit frees it")
        rests = budget.next_allowed(stamps, policy, now) - now
        if rests > 0:
            return Refusal(Reason.TURN, "rests after its last correction", rests)
        if action.restart in _REPLACING:
            return self._crowded(key, now, moving)
        return None

    def acted(self, key: Key, action: Action, policy: BudgetPolicy, *, is_new: bool = False, is_sure: bool = True) -> None:
        """The write was applied, or with `is_sure` False got no answer: it counts then if `settled` follows.

        Managers without a quorum leave every write unanswered; that must not spend the budget of all services.
        """
        if not is_sure:
            self._unsure[key] = (action, policy, is_new)
            return
        self._unsure.pop(key, None)
        target = str(key)
        if action.reason is Reason.EDITED:
            self.release(key)
        if action.restart in _REPLACING:
            self._changing[key] = self._clock.monotonic()
        if budget.is_corrective(action, is_new=is_new):
            self._policies[target] = policy
            self._stamp(target, policy)
            self._recorder.healed(action.reason)

    def settled(self, key: Key) -> None:
        """The service is as planned: a write of ours without an answer was applied after all."""
        if key in self._unsure:
            action, policy, is_new = self._unsure[key]
            self.acted(key, action, policy, is_new=is_new)

    def _crowded(self, key: Key, now: float, moving: Collection[Key]) -> Refusal | None:
        """Take one of the places for services in change, or say that there is none."""
        self._changing = {
            other: since for other, since in self._changing.items() if other in moving or now - since < _UNSEEN_SECONDS
        }
        if len(self._changing.keys() - {key}) >= self._max_changes:
            return Refusal(Reason.TURN, f"{self._max_changes} services are in change", 1.0)
        self._changing[key] = now
        return None

    def _stamp(self, target: str, policy: BudgetPolicy) -> None:
        stamps, wall = self._heals.setdefault(target, {}), self._clock.wall()
        while (text := f"{wall:.1f}") in stamps:
            wall += 0.1
        now = stamps[text] = self._clock.monotonic()
        self._soil(target, must_write=len(budget.recent(stamps.values(), policy, now)) >= min(2, policy.actions))

    # What is held

    def hold(self, key: Key, why: str) -> bool:
        """Leave a service alone until somebody looks; returns whether that is news."""
        target = str(key)
        if target in self._holds:
            return False
        self._holds[target] = f"{datetime.fromtimestamp(self._clock.wall(), UTC).isoformat(timespec='seconds')} {why}"
        log.warning("held", extra={"fields": {"key": target, "reason": why}})
        self._soil(target)
        return True

    def release(self, key: Key) -> str:
        """Forget that a service is held, and its corrections; returns why it was held, empty if it was not."""
        target = str(key)
        held = self._holds.pop(target, "")
        if held:
            log.info("released", extra={"fields": {"key": target, "was": held}})
        if self._heals.pop(target, None) is not None or held:
            self._soil(target)
            self._freed[target] = self._turn
        return held

    def held(self, snapshot: Snapshot) -> Mapping[str, str]:
        """Targets that are held, since when and why."""
        self.observe(snapshot)
        return dict(self._holds)

    # The state in the Swarm

    def observe(self, snapshot: Snapshot) -> None:
        """Take up what the labels say, unless they are older than what this process wrote."""
        state = snapshot.configs.get(STATE_NAME)
        if state is None or state["Version"]["Index"] <= self._floor:
            return
        self._floor = state["Version"]["Index"]
        held, stamps = held_in(state), heal_stamps(state)
        for target in {*held, *self._holds, *stamps, *self._heals} - self._freed.keys():
            mine, my_hold = (self._heals.get(target, {}), self._holds.get(target, "")) if target in self._dirty else ({}, "")
            _put(self._heals, target, self._known(target, stamps.get(target, ())) | mine)
            _put(self._holds, target, held.get(target, my_hold))
        self._recorder.held_services(len(self._holds))

    async def run(self) -> None:
        """Write what has to be remembered, for ever, a little after it happened; at rest nothing."""
        while True:
            await self._must_write.wait()
            await asyncio.sleep(FLUSH_SECONDS)
            if not await self.flush():
                await asyncio.sleep(RETRY_SECONDS)

    async def flush(self) -> bool:
        """Write all of it in one go if it must be; returns whether that succeeded. What comes meanwhile is for the next time."""
        async with self._writing:
            if not self._must_write.is_set():
                return True
            dirty, freed, turn = dict(self._dirty), dict(self._freed), self._turn
            try:
                version = await edit_state(self._swarm, lambda spec: self._merged(spec, dirty, freed), what="guards")
            except ProdBreakerError as error:
                log.warning("state not written", extra={"fields": {"reason": str(error)}})
                return False
            self._floor = max(self._floor, version or 0)
            self._dirty = {target: since for target, since in self._dirty.items() if dirty.get(target) != since}
            self._freed = {target: since for target, since in self._freed.items() if freed.get(target) != since}
            if self._pressing <= turn:
                self._must_write.clear()
            return True

    def _merged(self, spec: Json, dirty: Collection[str], freed: Collection[str]) -> Json:
        """The state with what is known here; of a target that was not freed, others' words stay in it."""
        state = {"Spec": spec}
        theirs, their_stamps = held_in(state), heal_stamps(state)
        held = {target: self._holds.get(target) or ("" if target in freed else theirs.get(target, "")) for target in dirty}
        heals = {}
        for target in {*dirty, *self._heals}:
            others = {} if target in freed else self._known(target, their_stamps.get(target, ()))
            heals[target] = self._counting(target, others | self._heals.get(target, {}))
        return with_guards(spec, held, heals)

    def _known(self, target: str, stamps: Iterable[str]) -> dict[str, float]:
        """The label's stamps in monotonic seconds; what lies in the future happened now."""
        mine, wall, now = self._heals.get(target, {}), self._clock.wall(), self._clock.monotonic()
        seconds = {text: _number(text) for text in stamps}
        return {text: mine.get(text, now - max(0.0, wall - at)) for text, at in seconds.items() if at is not None}

    def _counting(self, target: str, stamps: Mapping[str, float]) -> list[str]:
        """Of a target's stamps those that still count, the oldest first."""
        policy = self._policies.get(target)
        since = self._clock.monotonic() - policy.per.total_seconds() if policy else float("-inf")
        return sorted((text for text, at in stamps.items() if at > since), key=lambda text: stamps[text])[-_MOST_STAMPS:]

    def _soil(self, target: str, *, must_write: bool = True) -> None:
        self._turn += 1
        self._dirty[target] = self._turn
        if must_write:
            self._pressing = self._turn
            self._must_write.set()
        self._recorder.held_services(len(self._holds))


def _put(shelf: dict[str, _T], target: str, value: _T) -> None:
    """Nothing is not kept."""
    if value:
        shelf[target] = value
    else:
        shelf.pop(target, None)


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if isfinite(value) else None
