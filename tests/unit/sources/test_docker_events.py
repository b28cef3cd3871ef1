"""Events become keys; the stream is kept open, and watched."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from controller.core.lease import LEASE_NAME
from controller.core.revisions import config_name
from controller.core.state import STATE_NAME
from controller.engine.declarations import Declarations
from controller.engine.observer import Observer
from controller.engine.ports import SwarmEvent
from controller.engine.workqueue import WorkQueue
from controller.errors import EngineUnavailableError, NotManagerError
from controller.model.plan import ObjectKind
from controller.model.status import Key
from controller.sources.docker_events import SILENCE_SECONDS, DockerEvents
from tests.support.fakes import OPENED, FakeRecorder, FakeSwarm, LoopClock, event
from tests.support.specs import service, stack

pytestmark = pytest.mark.looptime
SHARED, WEB, DB = Key("shop"), Key("shop", "web"), Key("shop", "db")
ALL = [SHARED, WEB, DB]
OF_DB: dict[str, Any] = {"com.docker.swarm.service.name": "shop_db"}
Stream = list[SwarmEvent | Exception | float]
LOST = SwarmEvent("stream", "lost", "", {}, 0)


class Scene:
    def __init__(self, *streams: Stream) -> None:
        self.swarm, self.queue, self.recorder = FakeSwarm(streams=list(streams)), WorkQueue(), FakeRecorder()
        declarations = Declarations()
        declarations.accept(stack(service("web"), service("db")))
        self.observer = Observer(self.swarm)
        self.source = DockerEvents(self.swarm, self.queue, declarations, self.observer, self.recorder, LoopClock())

    async def keys(self) -> list[Key]:
        """What is due now, given back at once."""
        found = []
        while len(self.queue):
            due = await self.queue.get()
            assert due is not None
            self.queue.done(due.key)
            found.append(due.key)
        return found

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.source.run())
        await asyncio.sleep(0.001)
        yield
        assert not task.done()
        task.cancel()
        await asyncio.wait([task])


_MEANINGS: dict[str, tuple[SwarmEvent, list[Key]]] = {
    "a declared service": (event("service", "remove", name="shop_web"), [WEB]),
    "an undeclared service of a declared stack": (event("service", "create", name="shop_stray"), [SHARED]),
    "somebody else's service": (event("service", "update", name="other"), []),
    "a service without a name": (event("service", "update"), []),
    "a network": (event("network", "remove", name="shop_default"), [SHARED]),
    "a secret": (event("secret", "create"), [SHARED]),
    "a config": (event("config", "create", name="shop_c"), [SHARED]),
    "a pause": (event("config", "update", name=STATE_NAME), ALL),
    "a decision about a service's revision": (event("config", "update", name=config_name("shop_web", 7)), [WEB]),
    "a revision that is kept from now on": (event("config", "create", name=config_name("shop_web", 7)), [SHARED]),
    "a decision about a revision of nobody's": (event("config", "update", name=config_name("other", 7)), []),
    "a renewed lease": (event("config", "update", name=LEASE_NAME), []),
    "a node": (event("node", "update"), ALL),
    "a container that died": (event("container", "die", **OF_DB), [DB]),
    "a health check's verdict": (
        event("container", "health_status: unhealthy", **OF_DB),
        [DB],
    ),
    "a container of nobody's": (event("container", "die"), []),
    "a container that starts": (event("container", "start", **OF_DB), []),
    "an image": (event("image", "pull", name="nginx"), []),
    "lost events": (LOST, ALL),
}


@pytest.mark.parametrize(("told", "expected"), _MEANINGS.values(), ids=_MEANINGS.keys())
async def test_an_event_says_where_to_look(told: SwarmEvent, expected: list[Key]) -> None:
    scene = Scene([OPENED, 1.0, told, 3600.0])
    async with scene.running():
        assert await scene.keys() == ALL
        await asyncio.sleep(1.5)

        assert await scene.keys() == expected
        assert scene.recorder.events >= 2


@pytest.mark.parametrize(("kind", "listed"), [("network", 2), ("service", 1), ("container", 1)])
async def test_news_of_shared_objects_put_the_kept_list_out_of_date(kind: str, listed: int) -> None:
    scene = Scene([OPENED, 1.0, event(kind), 3600.0])
    async with scene.running():
        await scene.observer.snapshot(since=0.0)
        await asyncio.sleep(2)
        await scene.observer.snapshot(since=asyncio.get_running_loop().time())

        assert scene.swarm.count("list", "network") == listed


@pytest.mark.parametrize("told", [OPENED, LOST])
async def test_an_opened_or_torn_stream_means_to_look_at_everything(told: SwarmEvent) -> None:
    scene = Scene([1.0, told, 3600.0])
    async with scene.running():
        await scene.observer.snapshot(since=0.0)
        await asyncio.sleep(1.5)
        await scene.observer.snapshot(since=0.0)

        assert await scene.keys() == ALL
        assert scene.swarm.count("facts") == 2
        assert scene.swarm.count("list", ObjectKind.SECRET) == 2


async def test_a_stream_is_up_from_its_opening_to_its_end() -> None:
    scene = Scene([5.0, OPENED, 5.0])
    async with scene.running():
        assert not scene.source.is_up
        await asyncio.sleep(6)
        assert scene.source.is_up
        await asyncio.sleep(4.01)
        assert not scene.source.is_up


async def test_the_first_stream_replays_the_second_before_it_and_the_next_one_goes_on_after_the_last_event() -> None:
    last = event("service", time_nano=1_767_225_700_000_000_000, name="shop_web")
    earlier = event("service", time_nano=1_767_225_600_000_000_000, name="shop_web")
    scene = Scene([OPENED, last, earlier], [3600.0])
    async with scene.running():
        await asyncio.sleep(2)

        assert scene.swarm.since == [1_767_225_599_000_000_000, 1_767_225_700_000_000_001]


async def test_a_silent_stream_is_replaced_at_once_and_without_a_new_look() -> None:
    scene = Scene([OPENED, 3600.0], [OPENED, 3600.0])
    async with scene.running():
        await scene.keys()
        await asyncio.sleep(SILENCE_SECONDS + 0.01)

        assert scene.swarm.count("events") == 2
        assert scene.source.is_up
        assert await scene.keys() == []
        assert scene.recorder.stream[-1]


async def test_any_sign_of_life_defers_the_replacement() -> None:
    scene = Scene([OPENED, 80.0, event("image"), 80.0, event("image"), 3600.0])
    async with scene.running():
        await asyncio.sleep(200)

        assert scene.swarm.count("events") == 1


async def test_a_replacement_that_never_opens_is_no_stream() -> None:
    scene = Scene([OPENED, 3600.0], [3600.0], [3600.0])
    async with scene.running():
        await asyncio.sleep(2 * SILENCE_SECONDS + 1)

        assert not scene.source.is_up


@pytest.mark.parametrize("error", [EngineUnavailableError("gone"), NotManagerError("left")])
async def test_an_engine_that_is_away_is_asked_ever_more_rarely(error: Exception) -> None:
    streams: list[Stream] = [[error] for _ in range(100)]
    scene = Scene(*streams)
    async with scene.running():
        await asyncio.sleep(0.2 + 0.5 + 1 + 2 + 5)
        assert scene.swarm.count("events") in (5, 6)
        await asyncio.sleep(100)

        assert scene.swarm.count("events") <= 16


async def test_a_stream_that_closes_at_once_is_not_opened_in_a_circle() -> None:
    streams: list[Stream] = [[OPENED] for _ in range(1000)]
    scene = Scene(*streams)
    async with scene.running():
        await asyncio.sleep(60)

        assert scene.swarm.count("events") <= 12


async def test_a_stream_that_lasted_is_opened_again_soon() -> None:
    failing: list[Stream] = [[EngineUnavailableError("gone")] for _ in range(3)]
    scene = Scene(*failing, [OPENED, 60.0], [OPENED, 60.0])
    async with scene.running():
        await asyncio.sleep(0.2 + 0.5 + 1.0 + 60.0 + 0.3)

        assert scene.swarm.count("events") == 5
        assert scene.source.is_up


async def test_nobody_but_the_caller_ends_the_source() -> None:
    scene = Scene([OPENED, event("service", name="shop_web")])
    async with scene.running():
        await asyncio.sleep(1)
    assert len(asyncio.all_tasks()) == 1


async def test_an_event_of_a_service_says_when_it_came_about() -> None:
    scene = Scene([OPENED])
    removed = event("service", "remove", name="shop_web", time_nano=1_700_000_000_500_000_000)
    died = event("container", "die", **OF_DB)
    scene.swarm.streams = [[removed, died]]
    async with scene.running():
        found = [await scene.queue.get(), await scene.queue.get()]

    assert [(due.key, due.happened) for due in found if due] == [(WEB, 1_700_000_000.5), (DB, None)]
