"""The adapter through docker's client: the same words from the simulator and from a real engine."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from controller.adapters.swarm import DockerSwarm, resolve_endpoint
from controller.engine.ports import SwarmEvent
from controller.errors import InUseError, NameTakenError, NotFoundError, OutOfSequenceError, RefusedError, SwarmError
from controller.model.plan import ObjectKind
from tests.contract.target import Target


@pytest_asyncio.fixture
async def adapter(swarm: Target, tmp_path: Path) -> AsyncIterator[DockerSwarm]:
    made = DockerSwarm(resolve_endpoint({"DOCKER_HOST": f"unix://{swarm.socket}", "DOCKER_CONFIG": str(tmp_path)}))
    yield made
    await made.close()


async def _only(adapter: DockerSwarm, kind: ObjectKind, name: str) -> Any:
    found = await adapter.list_objects(kind, filters={"name": [name]})
    return next(item for item in found if (item.get("Spec") or item)["Name"] == name)


async def test_facts_name_a_manager_of_a_cluster(adapter: DockerSwarm) -> None:
    facts = await adapter.facts()

    assert facts.is_manager
    assert facts.api_version >= (1, 41)
    assert facts.cluster_id
    assert facts.node_id


async def test_every_collection_can_be_listed(adapter: DockerSwarm) -> None:
    for kind in ObjectKind:
        assert isinstance(await adapter.list_objects(kind), list)


async def test_a_service_is_created_listed_updated_and_removed(adapter: DockerSwarm, swarm: Target) -> None:
    spec = swarm.spec("web", Labels={"com.docker.stack.namespace": "shop"})
    service_id = await adapter.create(ObjectKind.SERVICE, spec)
    (listed,) = await adapter.list_objects(ObjectKind.SERVICE, filters={"label": ["com.docker.stack.namespace=shop"]})
    assert (listed["ID"], listed["Spec"]["Name"]) == (service_id, "web")
    assert "ServiceStatus" in listed

    await adapter.update(ObjectKind.SERVICE, service_id, listed["Version"]["Index"], {**spec, "Labels": {"a": "b"}})
    assert (await _only(adapter, ObjectKind.SERVICE, "web"))["Spec"]["Labels"] == {"a": "b"}

    await adapter.remove(ObjectKind.SERVICE, service_id)
    assert await adapter.list_objects(ObjectKind.SERVICE, filters={"name": ["web"]}) == []


@pytest.mark.parametrize("kind", [ObjectKind.SERVICE, ObjectKind.CONFIG, ObjectKind.SECRET])
async def test_a_write_on_a_stale_version_is_out_of_sequence(adapter: DockerSwarm, swarm: Target, kind: ObjectKind) -> None:
    body = swarm.spec("thing") if kind is ObjectKind.SERVICE else {"Name": "thing", "Data": "MQ=="}
    object_id = await adapter.create(kind, body)
    version = (await _only(adapter, kind, "thing"))["Version"]["Index"]
    await adapter.update(kind, object_id, version, {**body, "Labels": {"n": "1"}})

    with pytest.raises(OutOfSequenceError):
        await adapter.update(kind, object_id, version, {**body, "Labels": {"n": "2"}})

    assert (await _only(adapter, kind, "thing"))["Spec"]["Labels"] == {"n": "1"}


@pytest.mark.parametrize("kind", [ObjectKind.SERVICE, ObjectKind.NETWORK, ObjectKind.CONFIG, ObjectKind.SECRET])
async def test_a_name_can_be_taken_once(adapter: DockerSwarm, swarm: Target, kind: ObjectKind) -> None:
    body: dict[str, Any] = {"Name": "twice", "Data": "MQ=="}
    if kind is ObjectKind.SERVICE:
        body = swarm.spec("twice")
    elif kind is ObjectKind.NETWORK:
        body = {"Name": "twice", "Driver": "overlay"}
    await adapter.create(kind, body)

    with pytest.raises(NameTakenError):
        await adapter.create(kind, body)


@pytest.mark.parametrize("kind", [ObjectKind.SERVICE, ObjectKind.NETWORK, ObjectKind.CONFIG, ObjectKind.SECRET])
async def test_what_is_not_there_cannot_be_removed(adapter: DockerSwarm, kind: ObjectKind) -> None:
    with pytest.raises(NotFoundError):
        await adapter.remove(kind, "nowhere")


async def test_a_service_that_is_not_there_cannot_be_updated(adapter: DockerSwarm, swarm: Target) -> None:
    with pytest.raises(NotFoundError):
        await adapter.update(ObjectKind.SERVICE, "nowhere", 1, swarm.spec("nowhere"))


async def test_what_a_service_uses_cannot_be_removed(adapter: DockerSwarm, swarm: Target) -> None:
    config_id = await adapter.create(ObjectKind.CONFIG, {"Name": "settings", "Data": "MQ=="})
    network_id = await adapter.create(ObjectKind.NETWORK, {"Name": "net", "Driver": "overlay"})
    reference = {"ConfigID": config_id, "ConfigName": "settings", "File": {"Name": "/x", "UID": "0", "GID": "0", "Mode": 292}}
    spec = swarm.spec("user", container={"Configs": [reference]}, template={"Networks": [{"Target": network_id}]})
    await adapter.create(ObjectKind.SERVICE, spec)

    for kind, object_id in ((ObjectKind.CONFIG, config_id), (ObjectKind.NETWORK, network_id)):
        with pytest.raises(InUseError):
            await adapter.remove(kind, object_id)


REFUSED: list[dict[str, Any]] = [
    {"template": {"Placement": {"Constraints": ["bad"]}}},
    {"template": {"Networks": [{"Target": "nope"}]}},
    {"template": {"Resources": {"Limits": {"MemoryBytes": 1}}}},
]


@pytest.mark.parametrize("wrong", REFUSED, ids=lambda wrong: str(next(iter(wrong))))
async def test_a_wrong_service_is_refused_and_not_made(adapter: DockerSwarm, swarm: Target, wrong: dict[str, Any]) -> None:
    with pytest.raises(RefusedError):
        await adapter.create(ObjectKind.SERVICE, swarm.spec("wrong", **wrong))

    assert await adapter.list_objects(ObjectKind.SERVICE, filters={"name": ["wrong"]}) == []


async def test_a_mode_cannot_be_changed(adapter: DockerSwarm, swarm: Target) -> None:
    spec = swarm.spec("web")
    service_id = await adapter.create(ObjectKind.SERVICE, spec)
    version = (await _only(adapter, ObjectKind.SERVICE, "web"))["Version"]["Index"]

    with pytest.raises(RefusedError, match="mode change"):
        await adapter.update(ObjectKind.SERVICE, service_id, version, {**spec, "Mode": {"Global": {}}})


async def test_a_hundred_writes_at_once_are_all_applied(adapter: DockerSwarm, swarm: Target) -> None:
    await asyncio.gather(*(adapter.create(ObjectKind.SERVICE, swarm.spec(f"s{number}")) for number in range(100)))

    assert len(await adapter.list_objects(ObjectKind.SERVICE)) == 100


async def test_of_two_writers_on_one_version_one_wins(adapter: DockerSwarm, swarm: Target) -> None:
    spec = swarm.spec("web")
    service_id = await adapter.create(ObjectKind.SERVICE, spec)
    version = (await _only(adapter, ObjectKind.SERVICE, "web"))["Version"]["Index"]
    writes = [adapter.update(ObjectKind.SERVICE, service_id, version, {**spec, "Labels": {"n": str(n)}}) for n in range(8)]

    outcomes = await asyncio.gather(*writes, return_exceptions=True)

    assert outcomes.count(None) == 1
    assert sum(isinstance(outcome, OutOfSequenceError) for outcome in outcomes) == 7


async def test_events_tell_of_what_is_written_after_the_opening(adapter: DockerSwarm, swarm: Target) -> None:
    seen: list[SwarmEvent] = []
    async with contextlib.aclosing(adapter.events()) as stream:
        assert (await anext(stream)).action == "opened"
        service_id = await adapter.create(ObjectKind.SERVICE, swarm.spec("web"))
        await adapter.remove(ObjectKind.SERVICE, service_id)
        async with asyncio.timeout(60):
            while [event.action for event in seen if event.object_id == service_id] != ["create", "remove"]:
                seen.append(await anext(stream))

    assert {event.kind for event in seen if event.object_id == service_id} == {"service"}
    assert [event.attributes["name"] for event in seen if event.object_id == service_id] == ["web", "web"]


async def test_events_missed_between_two_streams_are_told_by_the_second(adapter: DockerSwarm, swarm: Target) -> None:
    async with contextlib.aclosing(adapter.events()) as stream:
        assert (await anext(stream)).action == "opened"
        await adapter.create(ObjectKind.SERVICE, swarm.spec("before"))
        async with asyncio.timeout(60):
            while (last := await anext(stream)).attributes.get("name") != "before":
                pass
    missed = await adapter.create(ObjectKind.SERVICE, swarm.spec("between"))

    async with contextlib.aclosing(adapter.events(since_nano=last.time_nano)) as stream, asyncio.timeout(60):
        while (await anext(stream)).object_id != missed:
            pass


async def test_tasks_of_an_unknown_service_are_an_error_and_no_empty_list(adapter: DockerSwarm) -> None:
    with pytest.raises(SwarmError):
        await adapter.list_objects(ObjectKind.TASK, filters={"service": ["nowhere"]})
