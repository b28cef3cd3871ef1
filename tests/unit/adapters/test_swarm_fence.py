"""The fence: whether this controller may write is asked right before the bytes go."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from controller.adapters.swarm import DockerSwarm, resolve_endpoint
from controller.errors import NotLeaderError
from controller.model.plan import ObjectKind
from tests.unit.adapters.conftest import Calls
from tests.unit.adapters.fake_engine import FakeEngine, reply

SERVICE = ObjectKind.SERVICE
Write = Callable[[DockerSwarm], Coroutine[Any, Any, object]]
WRITES: dict[str, Write] = {
    "service_create": lambda swarm: swarm.create(SERVICE, {"Name": "shop_web"}),
    "service_update": lambda swarm: swarm.update(SERVICE, "id1", 7, {"Name": "shop_web"}),
    "service_remove": lambda swarm: swarm.remove(SERVICE, "id1"),
}


class Gate:
    """Answers for the leader and counts how often it was asked."""

    def __init__(self) -> None:
        self.is_open = True
        self.asked = 0

    def __call__(self) -> bool:
        self.asked += 1
        return self.is_open


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest_asyncio.fixture
async def fenced(engine: FakeEngine, tmp_path: Path, calls: Calls, gate: Gate) -> AsyncIterator[DockerSwarm]:
    """With one exchange at a time, so that a second call has to wait for the first."""
    swarm = DockerSwarm(
        resolve_endpoint({"DOCKER_HOST": engine.host, "DOCKER_CONFIG": str(tmp_path)}),
        on_call=lambda operation, outcome, _: calls.append((operation, outcome)),
        may_write=gate,
        workers=1,
    )
    yield swarm
    await swarm.close()


@pytest.mark.parametrize("operation", WRITES)
async def test_a_write_goes_out_while_the_fence_is_open(
    fenced: DockerSwarm, engine: FakeEngine, gate: Gate, operation: str
) -> None:
    engine.says(reply(200, {"ID": "new"}))

    await WRITES[operation](fenced)

    assert gate.asked == 1
    assert len(engine.calls()) == 1


@pytest.mark.parametrize("operation", WRITES)
async def test_nothing_is_sent_when_the_fence_is_shut(
    fenced: DockerSwarm, engine: FakeEngine, gate: Gate, calls: Calls, operation: str
) -> None:
    gate.is_open = False

    with pytest.raises(NotLeaderError, match="not sent"):
        await WRITES[operation](fenced)

    assert [asked.path for asked in engine.asked] == ["/version"]
    assert calls[-1] == (operation, "not_leader")


async def test_a_write_that_waited_past_the_lease_for_its_turn_is_not_sent(
    fenced: DockerSwarm, engine: FakeEngine, gate: Gate
) -> None:
    holding, go = threading.Event(), threading.Event()

    def hold(connection: socket.socket) -> bool:
        holding.set()
        go.wait(5)
        return reply(200, [])(connection)

    engine.says(hold)
    busy = asyncio.create_task(fenced.list_objects(ObjectKind.NODE))
    await asyncio.to_thread(holding.wait, 5)
    write = asyncio.create_task(WRITES["service_remove"](fenced))
    await asyncio.sleep(0.05)
    gate.is_open = False
    go.set()

    with pytest.raises(NotLeaderError):
        await write
    await busy
    assert [asked.method for asked in engine.asked if asked.path != "/version"] == ["GET"]


async def test_reading_asks_no_fence(fenced: DockerSwarm, engine: FakeEngine, gate: Gate) -> None:
    gate.is_open = False
    engine.says(reply(200, [{"ID": "1"}]))

    assert await fenced.list_objects(ObjectKind.NODE) == [{"ID": "1"}]
    assert gate.asked == 0
