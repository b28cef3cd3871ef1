"""What a pass works with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from controller.core.planner import Options
from controller.engine.board import Board
from controller.engine.declarations import Declarations
from controller.engine.executor import Executor
from controller.engine.guards import Guards
from controller.engine.incidents import Incidents
from controller.engine.memory import Memory
from controller.engine.observer import Observer
from controller.engine.ports import Clock, Swarm
from controller.engine.records import Journal, Recorder
from controller.engine.rollouts import Rollouts


@dataclass(frozen=True, slots=True)
class World:
    """Everything a pass reaches; built once by the composition root."""

    swarm: Swarm
    observer: Observer
    declarations: Declarations
    memory: Memory
    executor: Executor
    rollouts: Rollouts
    incidents: Incidents
    guards: Guards
    board: Board
    journal: Journal
    recorder: Recorder
    clock: Clock
    options: Options
    leads: Callable[[], bool] = lambda: True
