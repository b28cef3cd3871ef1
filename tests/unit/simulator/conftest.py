"""A simulated Swarm, and short ways to write services into it."""

from __future__ import annotations

from typing import Any

import pytest

from controller.model.plan import ObjectKind
from controller.simulator.engine import Simulator
from controller.simulator.timeline import NANO

SECOND = NANO


class Scene:
    """A simulator with services of one container each."""

    def __init__(self, *, nodes: int = 1) -> None:
        self.sim = Simulator(nodes=nodes)

    def spec(
        self, name: str = "web", *, image: str = "good:1", replicas: int = 1, template: Any = None, **top: Any
    ) -> dict[str, Any]:
        task = {"ContainerSpec": {"Image": image}, **(template or {})}
        return {"Name": name, "TaskTemplate": task, "Mode": {"Replicated": {"Replicas": replicas}}, **top}

    def start(self, spec: dict[str, Any], *, seconds: float = 2.0) -> None:
        self.sim.create(ObjectKind.SERVICE, spec)
        self.sim.advance(seconds)

    def write(self, spec: dict[str, Any]) -> None:
        service = self.sim.service(spec["Name"])
        self.sim.update(ObjectKind.SERVICE, service.id, service.version, spec)

    def state(self, name: str = "web") -> str:
        status = self.sim.service(name).update_status
        return status.state.value if status else ""

    def images(self, name: str = "web") -> list[str]:
        """Of the tasks that run and should, by slot."""
        return [task.spec["ContainerSpec"]["Image"] for task in self.sim.running(name)]

    def words(self, name: str = "web") -> list[tuple[str, str]]:
        return [(task.state.word, task.desired.word) for task in self.sim.tasks(name)]


@pytest.fixture
def scene() -> Scene:
    return Scene()


@pytest.fixture
def three_nodes() -> Scene:
    return Scene(nodes=3)
