"""The engine's event stream: a thread that reads, a bounded buffer, an async iterator."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping

import requests

from controller.adapters.swarm.client import EngineClient, cut, plain_errors
from controller.engine.ports import SwarmEvent

BUFFERED = 4096  # events; at about a kilobyte each
LONGEST_LINE = 1 << 20  # bytes; the engine's are below two kilobytes
KINDS = ("service", "node", "network", "config", "secret", "container")

OPENED = SwarmEvent("stream", "opened", "", {}, 0)
LOST = SwarmEvent("stream", "lost", "", {}, 0)


def query(since_nano: int | None) -> Mapping[str, str]:
    """Parameters of GET /events."""
    asked = {"filters": json.dumps({"type": KINDS})}
    if since_nano is not None:
        asked["since"] = f"{since_nano // 10**9}.{since_nano % 10**9:09d}"
    return asked


class EventStream:
    """One opened stream. The engine drops what a slow reader leaves, so the thread never waits; what the buffer drops is told."""

    def __init__(
        self, client: EngineClient, response: requests.Response, translate: Callable[[BaseException], Exception]
    ) -> None:
        self._client = client
        self._response = response
        self._translate = translate
        self._buffer: deque[SwarmEvent] = deque()
        self._lost = False
        self._ended = False
        self._closed = False
        self._failure: BaseException | None = None
        self._loop = asyncio.get_running_loop()
        self._news = asyncio.Event()
        threading.Thread(target=self._read, name="swarm-events", daemon=True).start()

    async def take(self) -> list[SwarmEvent]:
        """Wait for events; none come when the engine has ended the stream. Raises what `translate` makes of a break."""
        while True:
            ended = self._ended  # looked at first: what the thread adds before it ends is then in the buffer below
            taken = [self._buffer.popleft() for _ in range(len(self._buffer))]
            if self._lost:
                self._lost = False
                taken.append(LOST)
            if taken:
                return taken
            if ended and self._failure:
                raise self._translate(self._failure) from self._failure
            if ended:
                return []
            await self._news.wait()
            self._news.clear()

    def close(self) -> None:
        """Cut the connection; the thread ends by itself."""
        self._closed = True
        with contextlib.suppress(OSError):  # the engine was faster
            cut(self._response)

    def _read(self) -> None:
        try:
            with plain_errors():
                for line in _lines(self._response.iter_content(chunk_size=None)):
                    self._take(_event(line))
        except (OSError, ValueError, AttributeError) as error:
            # A ValueError is a line that is no event; an AttributeError is how urllib3 notices that `close` took its socket away.
            self._failure = None if self._closed else error
        finally:
            self._ended = True
            self._wake()
            self._response.close()
            self._client.close()

    def _take(self, event: SwarmEvent) -> None:
        if len(self._buffer) >= BUFFERED:
            self._lost = True
        else:
            self._buffer.append(event)
        self._wake()

    def _wake(self) -> None:
        if not self._news.is_set():
            try:
                self._loop.call_soon_threadsafe(self._news.set)
            except RuntimeError:
                self._closed = True  # the loop is gone, and with it whoever listened


def _lines(chunks: Iterator[bytes]) -> Iterator[bytes]:
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        yield from (line for line in whole if line.strip())
        if len(rest) > LONGEST_LINE:
            raise ValueError("an event without end")


def _event(line: bytes) -> SwarmEvent:
    """Raises ValueError for anything but an event."""
    try:
        found = json.loads(line)
        actor = found["Actor"]
        attributes = {str(name): str(value) for name, value in (actor.get("Attributes") or {}).items()}
        return SwarmEvent(str(found["Type"]), str(found["Action"]), str(actor["ID"]), attributes, int(found["timeNano"]))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError("a line of the event stream is no event") from error
