"""The event stream: order, ends, breaks, overflow, cancellation."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading

import pytest

from controller.adapters.swarm import DockerSwarm
from controller.adapters.swarm import events as events_module
from controller.engine.ports import SwarmEvent
from controller.errors import EngineUnavailableError, NotManagerError
from controller.model.plan import ObjectKind
from tests.unit.adapters.conftest import Calls
from tests.unit.adapters.fake_engine import FakeEngine, chunked, refuse, reply, silence


def _line(number: int = 1, **more: object) -> bytes:
    actor = {"ID": f"s{number}", "Attributes": {"name": "web"}}
    return json.dumps({"Type": "service", "Action": "update", "Actor": actor, "timeNano": number, **more}).encode() + b"\n"


async def _take_all(swarm: DockerSwarm) -> list[SwarmEvent]:
    async with contextlib.aclosing(swarm.events()) as stream:
        return [event async for event in stream]


async def test_events_come_in_order_after_the_opening(swarm: DockerSwarm, engine: FakeEngine, calls: Calls) -> None:
    engine.says(chunked(_line(1) + _line(2), _line(3)))

    taken = await _take_all(swarm)

    assert [(event.kind, event.action, event.object_id) for event in taken] == [
        ("stream", "opened", ""),
        ("service", "update", "s1"),
        ("service", "update", "s2"),
        ("service", "update", "s3"),
    ]
    assert (taken[1].attributes, taken[1].time_nano) == ({"name": "web"}, 1)
    assert calls[-1] == ("events", "ok")


async def test_only_kinds_that_wake_the_loop_are_asked_for(swarm: DockerSwarm, engine: FakeEngine) -> None:
    engine.says(chunked())

    async with contextlib.aclosing(swarm.events(since_nano=1_700_000_000_000_000_042)) as stream:
        await anext(stream)

    asked = engine.asked[-1]
    assert asked.path == "/v1.41/events"
    assert asked.query["since"] == "1700000000.000000042"
    assert json.loads(asked.query["filters"]) == {"type": ["service", "node", "network", "config", "secret", "container"]}


async def test_an_event_cut_in_two_is_put_together(swarm: DockerSwarm, engine: FakeEngine) -> None:
    line = _line(7)
    engine.says(chunked(line[:20], line[20:] + b"\n"))

    assert [event.object_id for event in await _take_all(swarm)] == ["", "s7"]


async def test_a_broken_stream_gives_what_came_and_then_raises(swarm: DockerSwarm, engine: FakeEngine) -> None:
    engine.says(chunked(_line(1), ended=False))

    stream = swarm.events()
    assert [(await anext(stream)).object_id for _ in range(2)] == ["", "s1"]
    with pytest.raises(EngineUnavailableError, match=r"events: no answer from the engine at .*: the connection broke off"):
        await anext(stream)


@pytest.mark.parametrize("line", [b"not json\n", b"[]\n", b'{"Type": "service"}\n', b"x" * (1 << 20) + b"xx"])
async def test_a_line_that_is_no_event_breaks_the_stream(swarm: DockerSwarm, engine: FakeEngine, line: bytes) -> None:
    engine.says(chunked(line))

    with pytest.raises(EngineUnavailableError):
        await _take_all(swarm)


async def test_a_refused_stream_raises_what_the_refusal_means(swarm: DockerSwarm, engine: FakeEngine) -> None:
    engine.says(refuse(503, "This node is not a swarm manager."))

    with pytest.raises(NotManagerError):
        await _take_all(swarm)


async def test_what_a_slow_reader_missed_is_told(swarm: DockerSwarm, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events_module, "BUFFERED", 3)
    engine.says(chunked(b"".join(_line(number) for number in range(10))))

    async with contextlib.aclosing(swarm.events()) as stream:
        assert (await anext(stream)).action == "opened"
        threads = [thread for thread in threading.enumerate() if thread.name == "swarm-events"]
        for thread in threads:
            thread.join(5)  # the loop stands still meanwhile, as a slow reader would
        rest = [(event.kind, event.action) async for event in stream]

    assert rest == [("service", "update")] * 3 + [("stream", "lost")]


async def test_closing_the_iterator_closes_the_connection_and_its_thread(swarm: DockerSwarm, engine: FakeEngine) -> None:
    gone = threading.Event()
    engine.says(chunked(_line(1), then=lambda: gone.wait(5)))

    async with contextlib.aclosing(swarm.events()) as stream:
        assert (await anext(stream)).action == "opened"
        assert (await anext(stream)).object_id == "s1"

    for thread in threading.enumerate():
        if thread.name == "swarm-events":
            thread.join(2)
            assert not thread.is_alive()
    gone.set()


async def test_a_reader_that_is_cancelled_leaves_nothing_running(swarm: DockerSwarm, engine: FakeEngine) -> None:
    gone = threading.Event()
    engine.says(chunked(_line(1), then=lambda: gone.wait(5)))
    reader = asyncio.create_task(_take_all(swarm))
    await asyncio.sleep(0.2)

    reader.cancel()
    await asyncio.gather(reader, return_exceptions=True)

    for thread in threading.enumerate():
        if thread.name == "swarm-events":
            thread.join(2)
            assert not thread.is_alive()
    gone.set()


async def test_a_stream_that_never_opens_is_given_up(make_swarm: object, engine: FakeEngine) -> None:
    assert callable(make_swarm)
    engine.says(silence)

    with pytest.raises(EngineUnavailableError, match="timed out"):
        await _take_all(make_swarm(call_seconds=0.3))


async def test_a_stream_that_nobody_answers_is_an_engine_out_of_reach(swarm: DockerSwarm, engine: FakeEngine) -> None:
    engine.says(reply(200, []))
    await swarm.list_objects(ObjectKind.NODE)  # the version is known from now on
    engine.close()

    with pytest.raises(EngineUnavailableError, match=r"^events: no answer from the engine at unix://.*: Connection refused$"):
        await _take_all(swarm)


def test_a_thread_whose_loop_has_gone_ends_quietly(engine: FakeEngine) -> None:
    released = threading.Event()
    engine.says(chunked(_line(1), then=lambda: released.wait(5)))

    async def open_and_leave() -> None:
        from pathlib import Path

        from controller.adapters.swarm import resolve_endpoint

        swarm = DockerSwarm(resolve_endpoint({"DOCKER_HOST": engine.host, "HOME": str(Path("/nonexistent"))}))
        stream = swarm.events()
        await anext(stream)
        await swarm.close()
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda *_: None)
        await stream.aclose()

    asyncio.run(open_and_leave())
    released.set()
    for thread in threading.enumerate():
        if thread.name == "swarm-events":
            thread.join(5)
            assert not thread.is_alive()
