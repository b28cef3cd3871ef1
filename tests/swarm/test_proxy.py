"""The listener that counts requests must not change what passes through it."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator

import pytest

from tests.support import processes, unixhttp
from tests.support.engine import PrivateEngine
from tests.support.proxy import Call, Proxy

pytestmark = pytest.mark.swarm


@pytest.fixture
def proxy(fresh_swarm: PrivateEngine) -> Iterator[Proxy]:
    made = Proxy(fresh_swarm.socket, fresh_swarm.folder / "proxy.sock")
    made.start()
    yield made
    made.stop()


def test_every_request_of_dockers_client_is_seen_with_its_status(fresh_swarm: PrivateEngine, proxy: Proxy) -> None:
    fresh_swarm.docker("--host", proxy.host, "config", "create", "one", "-", input="content")
    fresh_swarm.docker("--host", proxy.host, "config", "create", "one", "-", input="content", check=False)
    assert [(call.method, call.path, call.status) for call in proxy.writes()] == [
        ("POST", "/configs/create", 201),
        ("POST", "/configs/create", 409),
    ]
    assert json.loads(proxy.writes()[0].body)["Name"] == "one"
    assert ("HEAD", "/_ping") in {(call.method, call.path) for call in proxy.calls}


def test_an_event_passes_while_its_stream_stays_open(fresh_swarm: PrivateEngine, proxy: Proxy) -> None:
    with socket.socket(socket.AF_UNIX) as stream:
        stream.settimeout(30)
        stream.connect(str(proxy.socket))
        stream.sendall(b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n")
        assert stream.recv(65536).startswith(b"HTTP/1.1 200")
        begin = time.monotonic()
        fresh_swarm.docker("config", "create", "seen", "-", input="content")
        text = b""
        while b'"Action":"create"' not in text:
            text += stream.recv(65536)
        assert time.monotonic() - begin < 2


def test_an_attached_container_passes_both_ways(fresh_swarm: PrivateEngine, proxy: Proxy) -> None:
    fresh_swarm.import_tiny_image("cat", "1")
    echoed = fresh_swarm.docker("--host", proxy.host, "run", "--rm", "--interactive", "cat:1", "cat", input="through and back")
    assert echoed == "through and back"


def test_a_large_upload_in_pieces_passes(fresh_swarm: PrivateEngine, proxy: Proxy) -> None:
    content = b"x" * 900_000
    fresh_swarm.docker("--host", proxy.host, "config", "create", "large", "-", input=content)
    fresh_swarm.docker("--host", proxy.host, "load", input=fresh_swarm_image(fresh_swarm))
    assert len(fresh_swarm.api("GET", "/configs/large")["Spec"]["Data"]) == 1_200_000


def test_the_hook_acts_before_the_engine_does(fresh_swarm: PrivateEngine, proxy: Proxy) -> None:
    seen: list[int] = []

    def look(call: Call) -> None:
        if call.is_write:
            seen.append(len(fresh_swarm.api("GET", "/configs")))

    proxy.before = look
    fresh_swarm.docker("--host", proxy.host, "config", "create", "late", "-", input="content")
    assert seen == [0]
    assert len(fresh_swarm.api("GET", "/configs")) == 1


def test_a_cut_breaks_open_streams_and_later_calls_work(proxy: Proxy) -> None:
    with socket.socket(socket.AF_UNIX) as stream:
        stream.settimeout(30)
        stream.connect(str(proxy.socket))
        stream.sendall(b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n")
        stream.recv(65536)
        proxy.cut()
        assert stream.recv(65536) == b""
    assert unixhttp.call(proxy.socket, "GET", "/version")["Version"]


def test_an_engine_that_is_away_looks_like_a_closed_connection(fresh_swarm: PrivateEngine, proxy: Proxy) -> None:
    fresh_swarm.stop()
    with pytest.raises(ConnectionError):
        unixhttp.call(proxy.socket, "GET", "/version")
    fresh_swarm.start()
    assert processes.wait_until(lambda: bool(unixhttp.call(proxy.socket, "GET", "/version")), seconds=30)


def fresh_swarm_image(engine: PrivateEngine) -> bytes:
    """A small image as `docker save` writes it."""
    engine.import_tiny_image("saved", "1")
    archive = engine.folder / "saved.tar"
    engine.docker("save", "--output", str(archive), "saved:1")
    return archive.read_bytes()
