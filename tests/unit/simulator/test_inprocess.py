from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from controller import errors
from controller.adapters.swarm import translate
from controller.engine.ports import Swarm, SwarmEvent
from controller.model.plan import ObjectKind
from controller.simulator.behaviour import MISSING, Behaviour
from controller.simulator.engine import Simulator
from controller.simulator.faults import Fault, Site
from controller.simulator.inprocess import OPENED, InProcessSwarm, translated
from controller.simulator.refusals import RefusalError, UnreachableError, invalid, out_of_sequence

pytestmark = pytest.mark.looptime

CONFIG = ObjectKind.CONFIG
WEB = {"Name": "web", "TaskTemplate": {"ContainerSpec": {"Image": "nginx:1"}}, "Mode": {"Replicated": {"Replicas": 2}}}


@pytest_asyncio.fixture
async def swarm() -> AsyncIterator[InProcessSwarm]:
    swarm = InProcessSwarm(Simulator())
    yield swarm
    swarm.close()


def _port(swarm: InProcessSwarm) -> Swarm:
    return swarm  # mypy proves that it implements the loop's port


async def test_what_is_created_runs_as_the_loops_time_passes(swarm: InProcessSwarm) -> None:
    await _port(swarm).create(ObjectKind.SERVICE, WEB)
    await asyncio.sleep(3)
    [service] = await swarm.list_objects(ObjectKind.SERVICE)
    assert service["ServiceStatus"] == {"RunningTasks": 2, "DesiredTasks": 2, "CompletedTasks": 0}
    assert len(await swarm.list_objects(ObjectKind.TASK, filters={"service": ["web"]})) == 2


async def test_the_engine_says_what_it_is(swarm: InProcessSwarm) -> None:
    facts = await swarm.facts()
    assert (facts.api_version, facts.is_manager, facts.node_id) == ((1, 47), True, swarm.simulator.node_id)


async def test_each_refusal_is_the_loops_own_error(swarm: InProcessSwarm) -> None:
    config = await swarm.create(ObjectKind.CONFIG, {"Name": "c", "Data": "MQ=="})
    reference = {"ConfigID": config, "ConfigName": "c", "File": {"Name": "x"}}
    service = await swarm.create(
        ObjectKind.SERVICE, {"Name": "s", "TaskTemplate": {"ContainerSpec": {"Image": "a", "Configs": [reference]}}}
    )
    with pytest.raises(errors.NameTakenError):
        await swarm.create(ObjectKind.SERVICE, {"Name": "s", "TaskTemplate": {"ContainerSpec": {"Image": "a"}}})
    with pytest.raises(errors.NotFoundError):
        await swarm.remove(ObjectKind.SERVICE, "nope")
    with pytest.raises(errors.InUseError):
        await swarm.remove(ObjectKind.CONFIG, config)
    with pytest.raises(errors.OutOfSequenceError) as stale:
        await swarm.update(ObjectKind.SERVICE, service, 1, {"Name": "s", "TaskTemplate": {"ContainerSpec": {"Image": "a"}}})
    assert (stale.value.operation, stale.value.status) == ("update service/s", 500)
    with pytest.raises(errors.RefusedError):
        await swarm.create(ObjectKind.SERVICE, {"Name": "bad.name", "TaskTemplate": {"ContainerSpec": {"Image": "a"}}})


@pytest.mark.parametrize("verb", ["list", "create", "update", "remove"])
@pytest.mark.parametrize(
    "refusal",
    [
        invalid("only updates to Labels are allowed"),
        invalid("config 'c' is in use by the following service: s"),
        out_of_sequence(),
        RefusalError(404, "service nope not found"),
        RefusalError(404, "network nope not found"),
        RefusalError(404, "page not found"),
        RefusalError(409, "rpc error: code = AlreadyExists desc = config c already exists"),
        RefusalError(403, "host is a pre-defined network and cannot be removed"),
        RefusalError(500, "network nope not found"),
        RefusalError(500, "rpc error: code = Unknown desc = constraint expected one operator from ==, !="),
        RefusalError(500, "rpc error: code = DeadlineExceeded desc = context deadline exceeded"),
        RefusalError(501, "rpc error: code = Unimplemented desc = renaming services is not supported"),
        RefusalError(503, "This node is not a swarm manager."),
        RefusalError(503, "rpc error: code = Unavailable"),
    ],
    ids=str,
)
async def test_errors_are_those_of_the_docker_adapter(refusal: RefusalError, verb: str) -> None:
    body = f'{{"message": "{refusal.message}"}}'.encode()
    operation = translate.Operation("service", translate.CallVerb(verb))
    expected = translate.of_status(operation, "s", refusal.status, body)
    assert type(translated(refusal, operation=f"{verb} service/s", kind=ObjectKind.SERVICE)) is type(expected)


async def test_images_resolve_to_the_registrys_digest(swarm: InProcessSwarm) -> None:
    swarm.simulator.images["gone:1"] = MISSING
    swarm.simulator.images["app"] = Behaviour(digest="sha256:" + "1" * 64)
    assert (await swarm.resolve_image("app")).reference == "app:latest@sha256:" + "1" * 64
    found = await swarm.resolve_image("other:2", auth=swarm.registry_auth("other:2"))
    assert found.reference.startswith("other:2@sha256:")
    assert found.platforms == ({"Architecture": "amd64", "OS": "linux"},)
    assert (await swarm.resolve_image(found.reference)).reference == found.reference
    with pytest.raises(errors.RegistryError):
        await swarm.resolve_image("gone:1")
    with pytest.raises(errors.RegistryError):
        await swarm.resolve_image("NO")


async def test_an_engine_that_is_away_answers_nothing_and_ends_its_streams(swarm: InProcessSwarm) -> None:
    stream = asyncio.create_task(_collect(swarm))
    await asyncio.sleep(1)
    swarm.simulator.take_away()
    await stream
    for call in (
        swarm.facts(),
        swarm.list_objects(ObjectKind.SERVICE),
        swarm.resolve_image("a"),
        swarm.remove(ObjectKind.SERVICE, "x"),
    ):
        with pytest.raises(errors.EngineUnavailableError):
            await call
    swarm.simulator.bring_back()
    await swarm.facts()


async def _collect(swarm: InProcessSwarm, *, since: int | None = None, seconds: float = 1e6) -> list[SwarmEvent]:
    seen: list[SwarmEvent] = []
    events = swarm.events(since_nano=since)
    assert await anext(events) == OPENED
    try:
        async with asyncio.timeout(seconds):
            async for event in events:
                seen.append(event)  # noqa: PERF401 - what came before the timeout counts
    except TimeoutError:
        await events.aclose()
    return seen


async def test_events_come_as_they_happen_and_the_past_on_demand(swarm: InProcessSwarm) -> None:
    stream = asyncio.create_task(_collect(swarm, seconds=5))
    await asyncio.sleep(1)
    await swarm.create(ObjectKind.CONFIG, {"Name": "c", "Data": "MQ=="})
    [event] = await stream
    assert (event.kind, event.action, event.attributes) == ("config", "create", {"name": "c"})
    assert await _collect(swarm, seconds=1) == []
    assert await _collect(swarm, since=event.time_nano, seconds=1) == [event]
    assert await _collect(swarm, since=event.time_nano + 1, seconds=1) == []


async def test_a_silent_stream_stays_open_and_tells_nothing(swarm: InProcessSwarm) -> None:
    stream = asyncio.create_task(_collect(swarm, seconds=60))
    await asyncio.sleep(1)
    swarm.simulator.events.is_silent = True
    await swarm.create(ObjectKind.CONFIG, {"Name": "c", "Data": "MQ=="})
    assert await stream == []


async def test_a_slow_reader_loses_what_does_not_fit_its_buffer(swarm: InProcessSwarm) -> None:
    events = swarm.events()
    await anext(events)
    first = asyncio.ensure_future(anext(events))
    await asyncio.sleep(1)
    for number in range(1500):
        swarm.simulator.create(ObjectKind.CONFIG, {"Name": f"c{number}", "Data": "MQ=="})
    swarm.simulator.events.close_all()
    seen = [await first, *[event async for event in events]]
    assert (len(seen), seen[-1].attributes["name"]) == (1024, "c1023")


async def test_calls_are_counted_by_site_and_writes_are_told_apart(swarm: InProcessSwarm) -> None:
    await swarm.create(ObjectKind.SERVICE, WEB)
    for _ in range(2):
        [service] = await swarm.list_objects(ObjectKind.SERVICE)
        await swarm.update(ObjectKind.SERVICE, service["ID"], service["Version"]["Index"], WEB)
    sites = [call.site for call in swarm.simulator.gate.calls]
    assert sites[0] == Site("create", "service/web", 1)
    assert sites[-1] == Site("update", "service/web", 2)
    assert [call.outcome for call in swarm.simulator.gate.writes()] == ["ok"] * 3
    swarm.simulator.gate.forget()
    await swarm.facts()
    assert [call.site.nth for call in swarm.simulator.gate.calls] == [1]


@pytest.mark.parametrize("applied", [False, True])
async def test_a_call_can_fail_before_it_is_applied_or_after(swarm: InProcessSwarm, applied: bool) -> None:
    fault = Fault(error=RefusalError(500, "rpc error: code = Unknown desc = lost"), applied=applied)
    swarm.simulator.gate.hook = lambda site: fault if site == Site("create", "service/web", 1) else None
    with pytest.raises(errors.EngineUnavailableError):
        await swarm.create(ObjectKind.SERVICE, WEB)
    assert len(await swarm.list_objects(ObjectKind.SERVICE)) == int(applied)
    assert swarm.simulator.gate.writes()[0].outcome == "500"


async def test_a_call_can_hang_and_the_swarm_moves_on_meanwhile(swarm: InProcessSwarm) -> None:
    swarm.simulator.gate.hook = lambda site: Fault(delay=30.0) if site.operation == "list" else None
    await swarm.create(ObjectKind.SERVICE, WEB)
    begun = asyncio.get_running_loop().time()
    [service] = await swarm.list_objects(ObjectKind.SERVICE)
    assert asyncio.get_running_loop().time() - begun >= 30
    assert service["ServiceStatus"]["RunningTasks"] == 2


async def test_an_answer_can_be_distorted(swarm: InProcessSwarm) -> None:
    await swarm.create(ObjectKind.SERVICE, WEB)
    swarm.simulator.gate.hook = lambda site: Fault(distort=lambda rows: rows[1:]) if site.operation == "list" else None
    assert await swarm.list_objects(ObjectKind.SERVICE) == []


async def test_a_connection_can_break(swarm: InProcessSwarm) -> None:
    swarm.simulator.gate.hook = lambda site: Fault(error=UnreachableError("reset"))
    with pytest.raises(errors.EngineUnavailableError):
        await swarm.facts()
    assert swarm.simulator.gate.calls[0].outcome == "unreachable"


async def test_the_collections_that_cannot_be_written_say_so(swarm: InProcessSwarm) -> None:
    for call in (
        swarm.create(ObjectKind.NODE, {}),
        swarm.update(ObjectKind.NETWORK, "x", 1, {}),
        swarm.remove(ObjectKind.TASK, "x"),
    ):
        with pytest.raises(errors.SwarmError, match="page not found"):
            await call


async def test_a_shut_fence_lets_reads_through_and_no_write() -> None:
    may_write = True
    swarm = InProcessSwarm(Simulator(), may_write=lambda: may_write)
    try:
        ident = await swarm.create(CONFIG, {"Name": "a", "Data": "eA=="})
        may_write = False
        for write in (
            swarm.create(CONFIG, {"Name": "b", "Data": "eA=="}),
            swarm.update(CONFIG, ident, 1, {"Name": "a"}),
            swarm.remove(CONFIG, ident),
        ):
            with pytest.raises(errors.NotLeaderError):
                await write
        assert [item["Spec"]["Name"] for item in await swarm.list_objects(CONFIG)] == ["a"]
        assert len(swarm.simulator.gate.writes()) == 1
    finally:
        swarm.close()
