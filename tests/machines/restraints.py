"""What holds a controller back, judged by what stands in the Swarm: an operator's pause, a hold, the brake.

Paused: nothing is written. Held: nothing is put right until an edit or an operator frees it, however long ago the corrections
were. Brake: for a while after a node was lost nothing is put right.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from controller.core.state import STATE_NAME, held_in, paused_targets
from controller.model.observation import Snapshot
from controller.model.spec import Json
from controller.simulator.records import Content, Service
from tests.machines.ledger import HAND, SEEN_SECONDS, RecordedSwarm, Write
from tests.machines.process import Process
from tests.support.specs import STACK

LATE_SECONDS = 40.0  # how long a write may still arrive that was decided before something happened: a call may hang for 20
_BRAKED_SECONDS = 25.0  # the brake holds for 30 after it
_KNOWN_SECONDS = 35.0  # a controller that has run undisturbed for as long knows the Swarm: a resync and some more


class Restraints:
    def __init__(self, swarm: RecordedSwarm, processes: Sequence[Process], found: Callable[[str], None]) -> None:
        self._swarm, self._processes, self._found = swarm, processes, found
        self._held: dict[str, tuple[str, float]] = {}  # by target, by whom and when
        self._freed: dict[str, float] = {}
        self._paused: dict[str, float] = {}

    def noted(self, write: Write) -> None:
        """A write of the state config was applied."""
        if write.name != STATE_NAME:
            return
        held, paused = _held(write.after), _paused(write.after)
        for target in held - self._held.keys():
            self._held[target] = write.who, write.sent.at
        for target in paused - self._paused.keys():
            self._paused[target] = write.at
        self._held = {target: told for target, told in self._held.items() if target in held}
        self._paused = {target: at for target, at in self._paused.items() if target in paused}

    def freed(self, service: str) -> None:
        """By an edit, or by somebody's order."""
        self._freed[_target(service)] = self._swarm.now

    def judge(self, write: Write, *, is_correction: bool) -> None:
        """A controller's write of a service."""
        what, target = f"{write.who} writes {write.name}", _target(write.name)
        for paused in (STACK, target):
            if write.sent.at > self._paused.get(paused, write.sent.at) + LATE_SECONDS:
                self._found(f"paused: {what}, and {paused} is paused")
        if not is_correction:
            return
        by, at = self._held.get(target, (HAND, write.sent.at))
        is_free = self._freed.get(target, -1.0) >= at
        if not is_free and write.sent.at > at + (0.0 if by == write.who else LATE_SECONDS):
            self._found(f"held: {what}, which is held since {at:.3f}")
        for node, lost in self._swarm.lost.items():
            if lost + SEEN_SECONDS <= write.sent.at <= lost + _BRAKED_SECONDS and self._knows(write, lost):
                self._found(f"brake: {what}, and {node} was lost at {lost:.3f}")

    def _knows(self, write: Write, lost: float) -> bool:
        """Whether the writer had the node before its eyes when it was lost. A brake that was on for too long lets go."""
        writer = next((process for process in self._processes if process.name == write.who), None)
        if writer is None or writer.whole_since > lost - _KNOWN_SECONDS:
            return False
        return not writer.world.guards.brake.is_worn_out


def _target(service: str) -> str:
    return f"{STACK}/{service.removeprefix(f'{STACK}_')}"


def _state(row: Service | Content | None) -> Json | None:
    return {"Spec": row.spec} if row is not None else None


def _held(row: Service | Content | None) -> set[str]:
    return set(held_in(_state(row)))


def _paused(row: Service | Content | None) -> set[str]:
    state = _state(row)
    configs = {STATE_NAME: state} if state else {}
    return set(paused_targets(Snapshot((1, 47), services={}, networks={}, configs=configs, secrets={})))
