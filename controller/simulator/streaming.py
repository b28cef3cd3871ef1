"""GET /events: one JSON object a line, first what is kept, then what comes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from aiohttp import web

from controller.model.spec import Json
from controller.simulator.engine import Simulator
from controller.simulator.events import Reader
from controller.simulator.listing import Filters
from controller.simulator.refusals import RefusalError
from controller.simulator.timeline import NANO


@dataclass(frozen=True, slots=True)
class Window:
    """Nanoseconds since 1970; None: open at that end."""

    since_ns: int | None
    until_ns: int | None

    @classmethod
    def of_query(cls, query: Mapping[str, str]) -> Window:
        return cls(_nanoseconds(query.get("since", "")), _nanoseconds(query.get("until", "")))


async def stream(
    request: web.Request,
    simulator: Simulator,
    window: Window,
    filters: Filters,
    gated: Callable[[Callable[[], Reader]], Awaitable[Reader]],
) -> web.StreamResponse:
    """Write events until the window ends, the stream is closed, or the client goes."""
    ready = asyncio.Event()
    log = simulator.events
    since_ns = window.since_ns
    if since_ns is None and window.until_ns is not None:
        since_ns = 0
    reader = await gated(lambda: log.open(ready.set, since_ns=since_ns))
    end = None
    if window.until_ns is not None:
        end = simulator.timeline.call_later((window.until_ns - simulator.timeline.now_ns) / NANO, ready.set)
    response = web.StreamResponse()
    response.content_type = "application/json"
    try:
        await response.prepare(request)
        while True:
            while reader.pending:
                await _send(response, reader.pending.popleft(), window, filters)
            if reader.is_closed or (window.until_ns is not None and window.until_ns <= simulator.timeline.now_ns):
                return response
            ready.clear()
            await ready.wait()
    except ConnectionResetError:
        return response  # the client has gone: nobody is left to be told
    finally:
        log.release(reader)
        if end is not None:
            end.cancel()


async def _send(response: web.StreamResponse, event: Json, window: Window, filters: Filters) -> None:
    if (window.until_ns is None or event["timeNano"] <= window.until_ns) and _passes(event, filters):
        await response.write(json.dumps(event, separators=(",", ":")).encode() + b"\n")


def _passes(event: Json, filters: Filters) -> bool:
    for key, values in filters.items():
        if key == "type":
            actual = {event["Type"]}
        elif key == "event":
            actual = {event["Action"], event["Action"].partition(":")[0]}
        elif key == "scope":
            actual = {event["scope"]}
        elif key == "label":
            labels = event["Actor"]["Attributes"]
            actual = {*labels, *(f"{name}={value}" for name, value in labels.items())}
        else:  # an object of that kind, by id or name
            actual = {event["Actor"]["ID"], event["Actor"]["Attributes"].get("name", "")} if event["Type"] == key else set()
        if not actual & set(values):
            return False
    return True


def _nanoseconds(text: str) -> int | None:
    if not text:
        return None
    try:
        return int(Decimal(text) * NANO)
    except InvalidOperation as error:
        raise RefusalError(400, f'failed to parse value as time or duration: "{text}"') from error
