"""A scripted engine, and the adapter that speaks to it."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from controller.adapters.journal import SqliteJournal
from controller.adapters.swarm import DockerSwarm, resolve_endpoint, transport
from tests.unit.adapters.fake_engine import FakeEngine

Calls = list[tuple[str, str]]
Open = Callable[..., Awaitable[SqliteJournal]]


@pytest.fixture(autouse=True)
def _no_waiting_between_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "FIRST_WAIT_SECONDS", 0.001)


@pytest.fixture
def engine() -> Iterator[FakeEngine]:
    with tempfile.TemporaryDirectory() as folder:  # a socket's path must be short, so not pytest's own folder
        fake = FakeEngine(Path(folder) / "docker.sock")
        yield fake
        fake.close()


@pytest.fixture
def calls() -> Calls:
    """Every call that the adapter told of: operation and outcome."""
    return []


@pytest_asyncio.fixture
async def make_swarm(engine: FakeEngine, tmp_path: Path, calls: Calls) -> AsyncIterator[Callable[..., DockerSwarm]]:
    made: list[DockerSwarm] = []

    def make(*, call_seconds: float = 5.0, workers: int = 2) -> DockerSwarm:
        endpoint = resolve_endpoint({"DOCKER_HOST": engine.host, "DOCKER_CONFIG": str(tmp_path)})
        swarm = DockerSwarm(
            endpoint,
            on_call=lambda operation, outcome, _: calls.append((operation, outcome)),
            call_seconds=call_seconds,
            workers=workers,
        )
        made.append(swarm)
        return swarm

    yield make
    for swarm in made:
        await swarm.close()


@pytest.fixture
def swarm(make_swarm: Callable[..., DockerSwarm]) -> DockerSwarm:
    return make_swarm()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "journal.db"


@pytest_asyncio.fixture
async def opened(path: Path) -> AsyncIterator[Open]:
    made: list[SqliteJournal] = []

    async def open_one(**options: int) -> SqliteJournal:
        journal = SqliteJournal(path, wall=lambda: 1_700_000_000.0, **options)
        made.append(journal)
        await journal.open()
        return journal

    yield open_one
    for journal in made:
        await journal.close()
