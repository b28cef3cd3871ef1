"""What several tests of the engine stand on."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from controller.simulator.engine import Simulator
from tests.unit.engine.desk import Desk
from tests.unit.engine.scene import Scene


@pytest_asyncio.fixture
async def desk() -> AsyncIterator[Desk]:
    desk = Desk(Simulator())
    yield desk
    desk.swarm.close()


@pytest.fixture
async def scene() -> Scene:
    made = Scene()
    await made.incidents.load()
    return made
