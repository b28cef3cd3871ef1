"""Exchanges over the engine's unix socket, on the event loop itself.

Docker's SDK, requests and urllib3 take longer to import than a plan of a thousand services takes to make; and an exchange that is
handed to a thread and back costs more than the engine needs to carry it out. The messages are parsed by llhttp.
"""

from __future__ import annotations

import asyncio
import select
from collections.abc import Callable, Mapping
from urllib.parse import urlencode

import httptools

from controller.adapters.swarm.request import Request
from controller.adapters.swarm.translate import BrokenOffError


class SocketClient:
    """Kept-alive connections of one event loop, as many as there are exchanges at once."""

    def __init__(self, path: str, *, headers: Mapping[str, str]) -> None:
        self._path = path
        self._headers = headers
        self._connections: set[_Connection] = set()
        self._idle: list[_Connection] = []

    async def exchange(self, request: Request, *, before: Callable[[], None]) -> tuple[int, bytes]:
        """Send one request and return status and whole body. Raises OSError where there is no whole answer.

        `before` is called right before the first byte is sent, or raises, and then nothing is.
        """
        message = _message(request, {**self._headers, **request.sent_headers})
        connection = self._take_idle() or await self._connect()
        try:
            before()
            answer = await connection.exchange(message)
        except BaseException:
            connection.abort()  # half an exchange may be on it
            raise
        if connection.is_reusable:
            self._idle.append(connection)
        else:
            connection.abort()
        return answer

    def close(self) -> None:
        """Cut every connection, those with an exchange under way too."""
        for connection in tuple(self._connections):
            connection.abort()

    def _take_idle(self) -> _Connection | None:
        """Leaves those that the engine closed meanwhile, as a restarted one did; a write on them would be in doubt."""
        while self._idle:
            connection = self._idle.pop()
            if connection.is_fresh():
                return connection
            connection.abort()
        return None

    async def _connect(self) -> _Connection:
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_unix_connection(lambda: _Connection(self._connections), self._path)
        return connection


class _Connection(asyncio.Protocol):
    """One exchange after the other. The methods without an underscore that nobody here calls are asyncio's and httptools'."""

    def __init__(self, connections: set[_Connection]) -> None:
        self._connections = connections
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._body: list[bytes] = []
        self.is_reusable = True

    async def exchange(self, message: bytes) -> tuple[int, bytes]:
        """Raises ConnectionError."""
        if self._transport is None:
            raise BrokenOffError()
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(message)
        return await self._answer

    def is_fresh(self) -> bool:
        """Between exchanges nothing is to be read: this would be the end, or what no request asked for."""
        if self._transport is None or self._transport.is_closing():
            return False
        poller = select.poll()
        poller.register(self._transport.get_extra_info("socket"), select.POLLIN)
        return not poller.poll(0)

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # a stream's transport it is
        self._transport = transport
        self._connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.discard(self)
        self._transport = None
        self._fail(exc if isinstance(exc, OSError) else BrokenOffError())

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(ConnectionError(f"the answer is no HTTP: {error}"))
            self.abort()

    def on_message_begin(self) -> None:
        if self._answer is None or self._answer.done():
            self.abort()  # nobody asked for this one

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        self.is_reusable = self._parser.should_keep_alive()
        answer = self._parser.get_status_code(), b"".join(self._body)
        self._body.clear()
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(answer)

    def _fail(self, error: Exception) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)


def _message(request: Request, headers: Mapping[str, str]) -> bytes:
    target, body = f"{request.path}?{urlencode(request.params)}" if request.params else request.path, request.body
    lines = [f"{request.method} {target} HTTP/1.1", "Host: docker", *(f"{name}: {value}" for name, value in headers.items())]
    if " " in target or not all(line.isprintable() for line in lines):
        raise ConnectionError("a request whose head would end early is not sent")
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join((*lines, "", "")).encode() + (body or b"")
