"""The engine's event stream as a source of keys: it says where to look, never what is there.

Events are lossy and the stream can fall silent without closing: after every opening everything is looked at once, a
stream without a sign of life is reopened, and the resync stands behind it all.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import aclosing

from controller.core.lease import LEASE_NAME
from controller.core.revisions import tag_in
from controller.core.state import STATE_NAME
from controller.engine.declarations import Declarations
from controller.engine.observer import SHARED_KINDS, Observer
from controller.engine.ports import Clock, Swarm, SwarmEvent
from controller.engine.records import Recorder
from controller.engine.workqueue import WorkQueue
from controller.errors import SwarmError
from controller.model.plan import ObjectKind

log = logging.getLogger("prodbreaker.events")

SILENCE_SECONDS = 90.0
_BACKOFF_SECONDS = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)  # then the last for ever: an engine may be away for hours
_SHARED = {kind.value: kind for kind in SHARED_KINDS}
_CONTAINER_NEWS = ("die", "oom", "kill", "health_status")
_SERVICE_NAME = "com.docker.swarm.service.name"


class DockerEvents:
    """Keeps a stream open for ever; `is_up` says whether one is."""

    def __init__(
        self,
        swarm: Swarm,
        queue: WorkQueue,
        declarations: Declarations,
        observer: Observer,
        recorder: Recorder,
        clock: Clock,
        *,
        silence_seconds: float = SILENCE_SECONDS,
        jitter: Callable[[float], float] = lambda delay: delay,
    ) -> None:
        self._swarm, self._queue, self._declarations = swarm, queue, declarations
        self._observer, self._recorder, self._clock = observer, recorder, clock
        self._silence, self._jitter = silence_seconds, jitter
        self._since_nano = 0
        self.is_up = False

    async def run(self) -> None:
        """Read streams one after another until cancelled."""
        self._since_nano = int((self._clock.wall() - 1) * 1e9)  # what happens while the first stream opens is replayed
        failures, silent = 0, False
        while True:
            started = self._clock.monotonic()
            try:
                silent = await self._read_one(unbroken=silent)
            except SwarmError as error:
                silent = False
                if self.is_up or failures == 0:
                    log.warning("event stream lost", extra={"fields": {"reason": str(error)}})
            if silent:
                failures = 0
                continue
            self._set_up(up=False)
            lasted = self._clock.monotonic() - started >= _BACKOFF_SECONDS[-1]
            failures = 1 if lasted else failures + 1  # an engine that closes every stream at once is waited for too
            await asyncio.sleep(self._jitter(_BACKOFF_SECONDS[min(failures, len(_BACKOFF_SECONDS)) - 1]))

    async def _read_one(self, *, unbroken: bool) -> bool:
        """Read one stream to its end or its silence; returns whether it fell silent, so that a new one is due at once.

        `unbroken`: the one before it fell silent, so nothing is known to be lost, and what came meanwhile is replayed.
        """
        opened = False
        async with aclosing(self._swarm.events(since_nano=self._since_nano)) as stream:
            while True:
                try:
                    async with asyncio.timeout(self._silence):
                        event = await anext(stream)
                except StopAsyncIteration:
                    log.info("event stream ended")
                    return False
                except TimeoutError:
                    return opened  # perhaps nothing happens, perhaps it is dead; a new one is cheap
                if event.kind == "stream" and event.action == "opened":
                    opened = True
                    self._set_up(up=True)
                    if unbroken:
                        continue
                self._take(event)

    def _take(self, event: SwarmEvent) -> None:
        self._recorder.event_seen()
        self._since_nano = max(self._since_nano, event.time_nano + 1)
        if event.kind == "stream":
            self._observer.forget_all()
            self._add_all(f"event stream {event.action}")
        elif event.attributes.get("name") == LEASE_NAME:
            return  # renewed every few seconds, and of no concern to any service
        elif event.kind in _SHARED:
            self._observer.invalidate(_SHARED[event.kind])
            tag = tag_in(event.attributes.get("name", "")) if event.action == "update" else ""
            if tag:
                self._add_revised(tag, event)
                return
            concerns_services = event.kind == "node" or event.attributes.get("name") == STATE_NAME
            self._add_all(f"{event.kind} {event.action}", shared_only=not concerns_services)
        elif event.kind == ObjectKind.SERVICE:
            self._add_service(event.attributes.get("name", ""), event)
        elif event.kind == "container" and event.action.startswith(_CONTAINER_NEWS):
            self._add_service(event.attributes.get(_SERVICE_NAME, ""), event)

    def _add_all(self, reason: str, *, shared_only: bool = False) -> None:
        for key in self._declarations.keys():  # noqa: SIM118 - a method of its own, not a mapping's
            if key.service is None or not shared_only:
                self._queue.add(key, reason=reason)

    def _add_revised(self, tag: str, event: SwarmEvent) -> None:
        """Somebody decided about a revision of a service, which is no fault that came about then."""
        key = self._declarations.tagged(tag)
        if key is not None:
            self._queue.add(key, reason=f"{event.kind} {event.action}")

    def _add_service(self, name: str, event: SwarmEvent) -> None:
        key = self._declarations.owner(name)
        if key is not None:
            happened = event.time_nano / 1e9 if event.time_nano else None
            self._queue.add(key, reason=f"{event.kind} {event.action}", happened=happened)

    def _set_up(self, *, up: bool) -> None:
        self.is_up = up
        self._recorder.stream_up(up=up)
