"""Engines for a session, and a clean Swarm for a test."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Protocol, TypeVar

import pytest

from tests.support.cluster import ThreeNodes
from tests.support.engine import EngineError, PrivateEngine
from tests.support.sweep import remove_everything

SKIP_VARIABLE = "PRODBREAKER_SKIP_SWARM"


class Startable(Protocol):
    def start(self) -> None: ...

    def destroy(self) -> None: ...


E = TypeVar("E", bound=Startable)


def _started(make: Callable[[], E]) -> Iterator[E]:
    if os.environ.get(SKIP_VARIABLE) == "1":
        pytest.skip(f"{SKIP_VARIABLE}=1")
    engine = make()
    try:
        engine.start()
    except EngineError as error:
        engine.destroy()
        pytest.fail(str(error), pytrace=False)
    previous = signal.signal(signal.SIGTERM, _terminated)  # a CI job that is cancelled must leave no engine behind either
    try:
        yield engine
    finally:
        signal.signal(signal.SIGTERM, previous)
        engine.destroy()


@pytest.fixture(scope="session")
def engine() -> Iterator[PrivateEngine]:
    """One Swarm node that runs tasks. Fails with one sentence where it cannot be had; is skipped only when that is asked for."""
    yield from _started(PrivateEngine)


@pytest.fixture(scope="session")
def drained_engine() -> Iterator[PrivateEngine]:
    """One Swarm node that takes every declaration and starts nothing."""
    for engine in _started(PrivateEngine):
        node = engine.docker("node", "ls", "--quiet").strip()
        engine.docker("node", "update", "--availability", "drain", node)
        yield engine


@pytest.fixture(scope="module")
def three_nodes() -> Iterator[ThreeNodes]:
    """A Swarm of three managers."""
    yield from _started(ThreeNodes)


@pytest.fixture
def fresh_swarm(engine: PrivateEngine) -> Iterator[PrivateEngine]:
    """The engine with nothing declared, whatever the test makes is removed again."""
    remove_everything(engine)
    yield engine
    remove_everything(engine)


def _terminated(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt(f"signal {number}")  # the one thing that makes pytest end at once and in order


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What tests of a real Swarm measured, as they put it on record."""
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties:
            terminalreporter.write_line(f"{name}: {value}")
