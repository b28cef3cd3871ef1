"""The two ways to carry out exchanges: connections on the loop, and docker's clients on threads."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, cast

import pytest
import pytest_asyncio

from controller.adapters.swarm.client import EngineClient, ThreadedClient
from controller.adapters.swarm.request import Request
from controller.adapters.swarm.socketclient import SocketClient
from controller.adapters.swarm.translate import Operation
from controller.adapters.swarm.workers import Workers
from controller.errors import ConnectionConfigError
from tests.unit.adapters.fake_engine import Answer, FakeEngine, chunked, reply, vanish


def get(path: str, **parts: Any) -> Request:
    return Request(Operation("version"), "GET", path, **parts)


def _nothing() -> None:
    return


def raw(*parts: bytes, stays: bool = True) -> Answer:
    def write(connection: Any) -> bool:
        for part in parts:
            connection.sendall(part)
        return stays

    return write


@pytest_asyncio.fixture
async def client(engine: FakeEngine) -> AsyncIterator[SocketClient]:
    made = SocketClient(str(engine.socket_path), headers={"X-Gate": "open"})
    yield made
    made.close()
    await asyncio.sleep(0)


def _connections(engine: FakeEngine) -> int:
    return len(engine._open)


@pytest.mark.parametrize(
    "answer",
    [
        chunked(b"[1,", b"2]"),
        raw(b"HTTP/1.1 200 OK\r\nContent-Le", b"ngth: 5\r\n\r\n[1", b",2]"),
        raw(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\n[1,2]", stays=False),
    ],
    ids=["chunked", "in pieces", "and then the end"],
)
async def test_an_answer_is_whole_however_it_comes(client: SocketClient, engine: FakeEngine, answer: Answer) -> None:
    engine.says(answer)

    assert await client.exchange(get("/x", params={"a": "b c"}), before=_nothing) == (200, b"[1,2]")

    assert (engine.asked[-1].path, engine.asked[-1].query, engine.asked[-1].headers["x-gate"]) == ("/x", {"a": "b c"}, "open")


async def test_exchanges_after_one_another_share_a_connection(client: SocketClient, engine: FakeEngine) -> None:
    engine.says(reply(200, 1), reply(404, 2), reply(204))

    answers = [await client.exchange(get("/x"), before=_nothing) for _ in range(3)]

    assert (answers, _connections(engine)) == ([(200, b"1"), (404, b"2"), (204, b"")], 1)


@pytest.mark.parametrize(
    "answer",
    [
        raw(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\n1"),
        raw(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n2"),
    ],
    ids=["is its last by its own words", "is followed by what nobody asked for"],
)
async def test_a_connection_whose_answer_leaves_doubts_is_not_used_again(
    client: SocketClient, engine: FakeEngine, answer: Answer
) -> None:
    engine.says(answer, reply(200, 3))
    await client.exchange(get("/x"), before=_nothing)

    assert await client.exchange(get("/x"), before=_nothing) == (200, b"3")
    assert _connections(engine) == 2


@pytest.mark.parametrize(
    "answer",
    [vanish, raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n1", stays=False), raw(b"SSH-2.0-OpenSSH\r\n")],
    ids=["none", "half of one", "no HTTP"],
)
async def test_where_there_is_no_whole_answer_it_raises(client: SocketClient, engine: FakeEngine, answer: Answer) -> None:
    engine.says(answer)

    with pytest.raises(ConnectionError, match=r"broke off|no HTTP"):
        await client.exchange(get("/x"), before=_nothing)


async def test_an_exchange_that_is_given_up_takes_its_connection_with_it(client: SocketClient, engine: FakeEngine) -> None:
    go = threading.Event()
    engine.says(lambda connection: go.wait(5) and reply(200, "late")(connection), reply(200, "own"))
    given_up = asyncio.create_task(client.exchange(get("/x"), before=_nothing))
    await asyncio.sleep(0.1)
    given_up.cancel()
    await asyncio.gather(given_up, return_exceptions=True)

    assert await client.exchange(get("/y"), before=_nothing) == (200, b'"own"')
    go.set()


@pytest.mark.parametrize("path", ["/x\r\nX-Smuggled: 1", "/x HTTP/1.1", "/x\x00"])
async def test_a_head_that_would_end_early_is_not_sent(client: SocketClient, engine: FakeEngine, path: str) -> None:
    with pytest.raises(ConnectionError, match="not sent"):
        await client.exchange(get(path), before=_nothing)

    assert engine.asked == []


async def test_closing_ends_what_is_under_way(client: SocketClient, engine: FakeEngine) -> None:
    go = threading.Event()
    engine.says(lambda _: go.wait(5) and False)
    waiting = asyncio.create_task(client.exchange(get("/x"), before=_nothing))
    await asyncio.sleep(0.1)

    client.close()

    with pytest.raises(ConnectionError, match="broke off"):
        await asyncio.wait_for(waiting, 2)
    go.set()


class Slow:
    """In place of docker's client: an exchange lasts until it may end."""

    def __init__(self, gate: threading.Event) -> None:
        self._gate = gate
        self.closed = False
        self.at_once = 0

    def exchange(self, request: Request) -> tuple[int, bytes]:
        self.at_once += 1
        assert self.at_once == 1
        self._gate.wait(5)
        self.at_once -= 1
        return 200, f"{request.method} {request.path}".encode()

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def workers() -> Iterator[Workers]:
    made = Workers(count=3)
    yield made
    made.close()


async def test_a_client_serves_one_thread_at_a_time_and_then_the_next(workers: Workers) -> None:
    gate, made = threading.Event(), list[Slow]()

    def make() -> EngineClient:
        made.append(Slow(gate))
        return cast("EngineClient", made[-1])

    client = ThreadedClient(make, workers)
    both = asyncio.gather(*(client.exchange(get(f"/{number}"), before=_nothing) for number in range(2)))
    await asyncio.sleep(0.1)
    gate.set()

    assert await both == [(200, b"GET /0"), (200, b"GET /1")]
    assert await client.exchange(get("/2"), before=_nothing) == (200, b"GET /2")
    client.close()
    assert [slow.closed for slow in made] == [True, True]


async def test_a_client_in_use_is_closed_after_its_exchange_where_all_were_closed_meanwhile(workers: Workers) -> None:
    gate = threading.Event()
    slow = Slow(gate)
    client = ThreadedClient(lambda: cast("EngineClient", slow), workers)
    under_way = asyncio.create_task(client.exchange(get("/"), before=_nothing))
    await asyncio.sleep(0.1)
    client.close()
    assert not slow.closed
    gate.set()

    assert (await under_way)[0] == 200
    assert slow.closed


async def test_a_client_that_cannot_be_made_is_told_at_once_or_when_it_is_needed(workers: Workers) -> None:
    gate = threading.Event()
    clients: list[Callable[[], object]] = [lambda: Slow(gate)]

    def make() -> EngineClient:
        if not clients:
            raise ConnectionConfigError("config.json is not JSON")
        return cast("EngineClient", clients.pop()())

    client = ThreadedClient(make, workers)
    first = asyncio.create_task(client.exchange(get("/"), before=_nothing))
    await asyncio.sleep(0.1)

    with pytest.raises(ConnectionConfigError):
        await client.exchange(get("/"), before=_nothing)
    with pytest.raises(ConnectionConfigError):
        ThreadedClient(make, workers)

    gate.set()
    await first
