"""Commands run in this process against a simulated Swarm behind a unix socket, as `DOCKER_HOST` names it."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from unittest import mock

import pytest

from controller.cli import run_command
from controller.engine import convergence
from controller.model.plan import ObjectKind
from controller.model.spec import Json
from controller.simulator.engine import Simulator
from tests.contract.conftest import serving
from tests.support.rig import REVISION

T = TypeVar("T")
SPEED = 20.0  # the Swarm's seconds in one of ours


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Desk:
    """Where an operator sits: a folder of manifests, a command line, and the Swarm that it reaches."""

    def __init__(self, simulator: Simulator, loop: asyncio.AbstractEventLoop, capsys: pytest.CaptureFixture[str]) -> None:
        self.sim, self._loop, self._capsys = simulator, loop, capsys
        self.has_terminal = False

    def declare(self, text: str, stack: str = "shop") -> None:
        Path("manifests").mkdir(exist_ok=True)
        Path(f"manifests/{stack}.yml").write_text(text)

    def run(self, *words: str) -> Ended:
        self._capsys.readouterr()
        with mock.patch.object(sys.stdout, "isatty", return_value=self.has_terminal):
            code = run_command(words)
        captured = self._capsys.readouterr()
        return Ended(code, captured.out, captured.err)

    def swarm(self, act: Callable[[], T]) -> T:
        """Read or change the simulator where it runs."""

        async def acting() -> T:
            return act()

        return asyncio.run_coroutine_threadsafe(acting(), self._loop).result(10)

    def spec(self, name: str) -> Json:
        found: Json = self.swarm(lambda: self.sim.inspect(ObjectKind.SERVICE, name))["Spec"]
        return found

    @property
    def writes(self) -> list[str]:
        """`create service/shop_web` and so on, in order; without what is kept of revisions."""
        made = [f"{call.site.operation} {call.site.target}" for call in self.swarm(self.sim.gate.writes)]
        return [write for write in made if REVISION not in write]


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Desk]:
    monkeypatch.chdir(tmp_path)
    for name in ("DOCKER_CONTEXT", "DOCKER_TLS", "DOCKER_TLS_VERIFY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/s.sock")
    monkeypatch.setattr(convergence, "POLL_SECONDS", 1 / SPEED)
    simulator = Simulator(epoch_ns=time.time_ns())
    with serving(simulator, tmp_path / "s.sock", speed=SPEED) as loop:
        yield Desk(simulator, loop, capsys)
