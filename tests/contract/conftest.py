"""The same tests against both: what differs is a defect of the simulator."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from controller.simulator.behaviour import MISSING
from controller.simulator.engine import Simulator
from controller.simulator.http import SocketServer
from tests.contract.target import MISSING_IMAGE, Target
from tests.support.engine import EngineError, PrivateEngine

SPEED = 10.0  # the simulator has no container to wait for
SKIP_VARIABLE = "PRODBREAKER_SKIP_SWARM"


@contextmanager
def serving(simulator: Simulator, socket: Path, *, speed: float = 1.0) -> Iterator[asyncio.AbstractEventLoop]:
    """Serve a simulator from a loop in a thread of its own, on which alone it may be changed meanwhile."""
    loop = asyncio.new_event_loop()
    server = SocketServer(simulator, socket, speed=speed)
    thread = threading.Thread(target=loop.run_forever, name="simulator")
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(server.start(), loop).result(10)
        yield loop
    finally:
        asyncio.run_coroutine_threadsafe(server.stop(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


@contextmanager
def _simulated(folder: Path) -> Iterator[Target]:
    simulator = Simulator(api_version=(1, 41), epoch_ns=time.time_ns())
    simulator.images[MISSING_IMAGE] = MISSING
    with serving(simulator, folder / "s.sock", speed=SPEED):
        yield Target(folder / "s.sock", "sha256:" + "ab" * 32)


@contextmanager
def _real() -> Iterator[Target]:
    if os.environ.get(SKIP_VARIABLE) == "1":
        pytest.skip(f"{SKIP_VARIABLE}=1")
    engine = PrivateEngine()
    try:
        engine.start()
        yield Target(engine.socket, engine.import_tiny_image("tiny"))
    except EngineError as error:
        pytest.fail(str(error), pytrace=False)
    finally:
        engine.destroy()


@pytest.fixture(scope="session", params=["simulator", pytest.param("engine", marks=pytest.mark.swarm)])
def target(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """The engine of the whole run."""
    with _real() if request.param == "engine" else _simulated(tmp_path_factory.mktemp("simulator")) as engine:
        yield engine


@pytest.fixture
def swarm(target: Target) -> Iterator[Target]:
    """The engine, with nothing left behind."""
    yield target
    target.sweep()
