"""A listener before the engine's socket that sees every request of everybody who is pointed at it."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_HEAD_LIMIT = 1 << 20
_PIECE = 1 << 16
_BODY_KEPT = 1 << 16
_VERSION_PREFIX = re.compile(r"^/v\d+\.\d+(?=/)")


@dataclass
class Call:
    """One request; `status` is None until the engine has answered."""

    at: float  # time.monotonic() when its head had been read
    method: str
    target: str  # path and query, without the API version
    body: bytes = b""  # its first bytes, if it had a Content-Length
    status: int | None = None
    answered_at: float | None = None
    answer: bytes = b""  # the first bytes of a refusal, its head included

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def is_write(self) -> bool:
        return self.method not in {"GET", "HEAD"}

    def __str__(self) -> str:
        return f"{self.method} {self.target} -> {self.status}"


class Proxy:
    """Passes everything through byte for byte, streams and upgraded connections too, and keeps a list of the requests.

    `before` is called with each request before the engine sees it, on the proxy's thread: a test's place to act in the middle.
    """

    def __init__(self, upstream: Path, listen: Path) -> None:
        self._upstream, self.socket = upstream, listen
        self.host = f"unix://{listen}"
        self.calls: list[Call] = []
        self.before: Callable[[Call], None] | None = None
        self._loop = asyncio.new_event_loop()
        self._connections: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy")
        self._server: asyncio.AbstractServer | None = None

    def start(self) -> None:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)

    def stop(self) -> None:
        """Close the listener and every connection."""
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()
        self.socket.unlink(missing_ok=True)

    def cut(self) -> None:
        """Break every connection that is open now, as a failing network or a restarted proxy does."""
        asyncio.run_coroutine_threadsafe(self._cut(), self._loop).result(10)

    def clear(self) -> None:
        self.calls.clear()

    def writes(self) -> list[Call]:
        """The requests that ask the engine to change something, refused ones included."""
        return [call for call in list(self.calls) if call.is_write]

    async def _listen(self) -> None:
        self._server = await asyncio.start_unix_server(self._accept, str(self.socket), limit=_HEAD_LIMIT)

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
        await asyncio.sleep(0.05)  # what was accepted a moment ago has a writer that only its own task closes
        await self._cut()

    async def _cut(self) -> None:
        for task in list(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await self._connect(reader, writer)
        finally:
            self._connections.discard(task)
            writer.close()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connecting = asyncio.ensure_future(asyncio.open_unix_connection(str(self._upstream)))
        try:
            engine_reader, engine_writer = await asyncio.shield(connecting)
        except asyncio.CancelledError:
            (await connecting)[1].close()
            raise
        waiting: list[Call] = []
        pumps = [
            asyncio.ensure_future(self._requests(reader, engine_writer, waiting)),
            asyncio.ensure_future(_answers(engine_reader, writer, waiting)),
        ]
        try:
            # Either side's end ends both; each tells it with an exception, except an upgraded client that has said all it had to.
            await asyncio.wait(pumps, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            engine_writer.close()

    async def _requests(self, reader: asyncio.StreamReader, engine: asyncio.StreamWriter, waiting: list[Call]) -> None:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            call, headers = _parse(head)
            body = await _read_body(reader, headers)
            call.body = (body or b"")[:_BODY_KEPT]
            self.calls.append(call)
            waiting.append(call)
            if self.before is not None:
                self.before(call)
            engine.write(head + (body or b""))
            await engine.drain()
            if body is None:  # of unknown length, or no longer HTTP: the rest of this connection is only bytes
                await _pump(reader, engine)
                if engine.can_write_eof():
                    engine.write_eof()
                return


def _parse(head: bytes) -> tuple[Call, dict[str, str]]:
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ", 2)
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
    return Call(at=time.monotonic(), method=method, target=_VERSION_PREFIX.sub("", target)), headers


async def _read_body(reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes | None:
    """The whole body; None where only the end of the connection ends it."""
    if "upgrade" in headers or headers.get("transfer-encoding", "identity") != "identity":
        return None
    return await reader.readexactly(int(headers.get("content-length", "0")))


async def _answers(engine: asyncio.StreamReader, client: asyncio.StreamWriter, waiting: list[Call]) -> None:
    """Nobody sends a second request before the first is answered: bytes that come while one waits begin with its status."""
    while piece := await engine.read(_PIECE):
        if waiting and piece.startswith(b"HTTP/1.") and not piece.startswith(b"HTTP/1.1 100"):
            call = waiting.pop(0)
            call.status, call.answered_at = int(piece.split(b" ", 2)[1]), time.monotonic()
            call.answer = piece if call.status >= 400 else b""
        client.write(piece)
        await client.drain()
    raise ConnectionResetError("the engine closed the connection")


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(_PIECE):
        writer.write(piece)
        await writer.drain()
