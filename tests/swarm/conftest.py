"""Engines for a session, and a clean Swarm for a test."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from types import FrameType

import pytest

from tests.support.engine import EngineError, PrivateEngine
from tests.support.sweep import remove_everything

SKIP_VARIABLE = "PRODBREAKER_SKIP_SWARM"


def _started_engine() -> Iterator[PrivateEngine]:
    if os.environ.get(SKIP_VARIABLE) == "1":
        pytest.skip(f"{SKIP_VARIABLE}=1")
    engine = PrivateEngine()
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
    yield from _started_engine()


@pytest.fixture(scope="session")
def drained_engine() -> Iterator[PrivateEngine]:
    """One Swarm node that takes every declaration and starts nothing."""
    for engine in _started_engine():
        node = engine.docker("node", "ls", "--quiet").strip()
        engine.docker("node", "update", "--availability", "drain", node)
        yield engine


@pytest.fixture
def fresh_swarm(engine: PrivateEngine) -> Iterator[PrivateEngine]:
    """The engine with nothing declared, whatever the test makes is removed again."""
    remove_everything(engine)
    yield engine
    remove_everything(engine)


def _terminated(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt(f"signal {number}")  # the one thing that makes pytest end at once and in order
