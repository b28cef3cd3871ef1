"""The one way to the engine: negotiated once, bounded in time, counted, its failures translated, reads repeated over a hiccup."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol, TypeVar

import tenacity

from controller.adapters.swarm.connection import Endpoint, configured_headers
from controller.adapters.swarm.request import Request
from controller.adapters.swarm.socketclient import SocketClient
from controller.adapters.swarm.translate import (
    Operation,
    is_wrong_version,
    of_nonsense,
    of_status,
    of_transport,
)
from controller.adapters.swarm.workers import Workers
from controller.errors import ConnectionConfigError, EngineUnavailableError, NotLeaderError, SwarmError

if TYPE_CHECKING:
    import requests

    from controller.adapters.swarm.client import EngineClient

T = TypeVar("T")

RETRY_SECONDS = 2.0  # a hiccup; whatever lasts longer is for the queue's backoff
FIRST_WAIT_SECONDS = 0.2  # doubled each time, and anything below it
_VERSION = Operation("version")

# Asked before every write, on the thread that sends it: whether this controller may.
Fence = Callable[[], bool]

# Called after every call with the operation, `ok` or the kind of failure, and the seconds it took.
CallObserver = Callable[[str, str, float], None]


class Client(Protocol):
    """Carries out any number of exchanges at once."""

    async def exchange(self, request: Request, *, before: Callable[[], None]) -> tuple[int, bytes]: ...

    def close(self) -> None: ...


class Transport:
    """Belongs to one event loop."""

    def __init__(self, endpoint: Endpoint, *, on_call: CallObserver, may_write: Fence, workers: int, call_seconds: float) -> None:
        """Raises ConnectionConfigError for an endpoint to which no client can be made."""
        self._endpoint = endpoint
        self._on_call = on_call
        self._may_write = may_write
        self._call_seconds = call_seconds
        self._workers = Workers(count=workers)
        self._client = self._make_client()
        self._slots = asyncio.Semaphore(workers)
        self._version: tuple[int, int] | None = None
        self._negotiating = asyncio.Lock()

    def close(self) -> None:
        self._client.close()
        self._workers.close()

    def _make_client(self) -> Client:
        if path := self._endpoint.socket_path:
            return SocketClient(path, headers=configured_headers(self._endpoint))
        from controller.adapters.swarm.client import ThreadedClient  # docker's SDK is behind it, which takes long to import

        return ThreadedClient(self.make_streamer, self._workers)

    def make_streamer(self) -> EngineClient:
        """A client that can open streams too. Raises ConnectionConfigError."""
        from controller.adapters.swarm.client import EngineClient  # docker's SDK is behind it, which takes long to import

        return EngineClient(self._endpoint, timeout_seconds=self._call_seconds)

    async def api_version(self) -> tuple[int, int]:
        """The version that all clients speak, asked for by the first call that needs it."""
        async with self._negotiating:
            if self._version is None:
                self._version = await _repeated(self._negotiate)
            return self._version

    async def read(self, request: Request, decode: Callable[[bytes], T]) -> T:
        """Send until answered, within a hiccup's time. `decode` raises ValueError, KeyError or TypeError for a wrong body."""
        await self.api_version()
        return await _repeated(lambda: self._send(request, decode))

    async def write(self, request: Request, decode: Callable[[bytes], T]) -> T:
        """Send once: only the loop may send it again, after it has looked. Raises NotLeaderError where the fence is shut."""
        await self.api_version()
        return await self._send(request, decode, fence=self._may_write)

    async def open_stream(self, request: Request, client: EngineClient) -> requests.Response:
        """Open an endless GET on a client of the caller's own."""
        path = await self._versioned(request.path)

        def open_it() -> requests.Response:
            response = client.open_stream(path, params=request.params)
            if not response.ok:
                raise of_status(request.operation, request.target, response.status_code, response.content)
            return response

        return await self._call(request.operation, request.target, lambda: self._workers.run(open_it))

    def broken(self, operation: Operation, error: BaseException) -> EngineUnavailableError:
        """What a failure of the connection means outside of a call."""
        return of_transport(operation, "", self._endpoint.host, error)

    async def _negotiate(self) -> tuple[int, int]:
        async def ask() -> tuple[int, int]:
            status, body = await self._client.exchange(Request(_VERSION, "GET", "/version"), before=_nothing)
            if status != 200:
                raise of_status(_VERSION, "", status, body)
            try:
                major, minor = json.loads(body)["ApiVersion"].split(".")
                return int(major), int(minor)
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise of_nonsense(_VERSION, "", "no API version in it") from error

        return await self._call(_VERSION, "", ask)

    async def _versioned(self, path: str) -> str:
        major, minor = await self.api_version()
        return f"/v{major}.{minor}{path}"

    async def _send(self, request: Request, decode: Callable[[bytes], T], *, fence: Fence = lambda: True) -> T:
        operation, target = request.operation, request.target
        versioned = replace(request, path=await self._versioned(request.path))

        def before() -> None:
            if not fence():  # here and no earlier: the call may have waited for its turn while the lease ended
                raise NotLeaderError(f"{operation} {target}: not sent, another controller may lead", operation=str(operation))

        async def exchange() -> T:
            status, body = await self._client.exchange(versioned, before=before)
            if not 200 <= status < 300:
                raise of_status(operation, target, status, body, hidden=request.hidden)
            try:
                return decode(body)
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise of_nonsense(operation, target, str(error) or type(error).__name__) from error

        return await self._call(operation, target, exchange)

    async def _call(self, operation: Operation, target: str, function: Callable[[], Awaitable[T]]) -> T:
        """The one point through which every call to the engine goes."""
        async with self._slots:
            started, outcome = time.monotonic(), "abandoned"
            try:
                async with asyncio.timeout(self._call_seconds):
                    answer = await function()
            except SwarmError as error:
                outcome = _label(type(error))
                if is_wrong_version(str(error)):
                    self._version = None  # the engine was replaced; the next call asks again
                raise
            except (OSError, ConnectionConfigError) as error:  # asyncio's timeout is among them, and what requests raises
                outcome = _label(EngineUnavailableError)
                raise of_transport(operation, target, self._endpoint.host, error) from error
            else:
                outcome = "ok"
                return answer
            finally:
                self._on_call(str(operation), outcome, time.monotonic() - started)


async def _repeated(read: Callable[[], Awaitable[T]]) -> T:
    """Never for a write: it may have been applied."""
    attempts = tenacity.AsyncRetrying(
        retry=tenacity.retry_if_exception_type(EngineUnavailableError),
        stop=tenacity.stop_after_attempt(3) | tenacity.stop_after_delay(RETRY_SECONDS),
        wait=tenacity.wait_random_exponential(multiplier=FIRST_WAIT_SECONDS, max=1.0),
        reraise=True,
    )
    async for attempt in attempts:
        with attempt:
            return await read()
    raise AssertionError("tenacity gave up without an error")


def _nothing() -> None:
    return


def _label(kind: type[SwarmError]) -> str:
    """`NotFoundError` becomes `not_found`."""
    words = kind.__name__.removesuffix("Error")
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in words).lstrip("_")
