"""The adapter while its engine goes and comes back, and against a registry."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Iterator

import pytest
import pytest_asyncio

from controller.adapters.swarm import DockerSwarm, resolve_endpoint
from controller.engine.ports import SwarmEvent
from controller.errors import EngineUnavailableError, NotManagerError, RefusedError, RegistryError
from controller.model.plan import ObjectKind
from tests.support.engine import PrivateEngine

pytestmark = pytest.mark.swarm


@pytest.fixture(scope="module")
def own_engine() -> Iterator[PrivateEngine]:
    """One that may be killed and leaves its Swarm."""
    made = PrivateEngine()
    made.start()
    yield made
    made.destroy()


@pytest_asyncio.fixture
async def adapter(own_engine: PrivateEngine) -> AsyncIterator[DockerSwarm]:
    made = DockerSwarm(resolve_endpoint(own_engine.client_environment()), call_seconds=10.0)
    yield made
    await made.close()


async def _drain(stream: AsyncGenerator[SwarmEvent, None]) -> None:
    while True:
        await anext(stream)


async def test_a_killed_engine_ends_the_stream_and_a_new_one_is_found_again(
    own_engine: PrivateEngine, adapter: DockerSwarm
) -> None:
    async with contextlib.aclosing(adapter.events()) as stream:
        assert (await anext(stream)).action == "opened"
        await asyncio.to_thread(own_engine.kill)
        with pytest.raises((EngineUnavailableError, StopAsyncIteration)):
            await asyncio.wait_for(_drain(stream), 5)
    with pytest.raises(EngineUnavailableError):
        await adapter.list_objects(ObjectKind.SERVICE)
    with pytest.raises(EngineUnavailableError, match="perhaps applied"):
        await adapter.remove(ObjectKind.SERVICE, "x")

    await asyncio.to_thread(own_engine.start)

    assert await adapter.list_objects(ObjectKind.SERVICE) == []
    async with contextlib.aclosing(adapter.events()) as stream:
        assert (await anext(stream)).action == "opened"


async def test_an_env_value_that_a_real_engine_repeats_is_masked(adapter: DockerSwarm) -> None:
    container = {"Image": "x:1", "Env": ["PASSWORD={{bad S3CR3T}}"]}

    with pytest.raises(RefusedError, match=r'expanding env "PASSWORD=\*\*\*"') as caught:
        await adapter.create(ObjectKind.SERVICE, {"Name": "wrong", "TaskTemplate": {"ContainerSpec": container}})

    assert "S3CR3T" not in str(caught.value)


async def test_an_image_is_pinned_to_what_the_registry_holds(own_engine: PrivateEngine, adapter: DockerSwarm) -> None:
    image = await asyncio.to_thread(own_engine.push_tiny_image, "adapter", "1")

    resolved = await adapter.resolve_image(image)

    assert resolved.reference.startswith(f"{image}@sha256:")
    assert [dict(platform) for platform in resolved.platforms] == [{"Architecture": "amd64", "OS": "linux"}]
    with pytest.raises(RegistryError, match="manifest unknown"):
        await adapter.resolve_image(image.removesuffix(":1") + ":none")


async def test_an_engine_that_left_its_swarm_is_no_manager(own_engine: PrivateEngine, adapter: DockerSwarm) -> None:
    await asyncio.to_thread(own_engine.docker, "swarm", "leave", "--force")

    assert not (await adapter.facts()).is_manager
    with pytest.raises(NotManagerError):
        await adapter.list_objects(ObjectKind.SERVICE)
