"""Holds the lease, or waits for it: of several controllers on one Swarm one writes, the others look on.

`may_write` is computed from time alone and asked right before bytes are sent, so that a process that was frozen past its
lease sends nothing when it wakes, whatever it was about to do. It is no proof: between the question and the engine's
applying a write there is always a moment. Therefore writes also carry the version that they were decided on.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable
from datetime import UTC, datetime

from controller.core.lease import LEASE_NAME, Lease, Sighting, held_until, lease_spec, may_be_taken, sighted, taken
from controller.engine.ports import Clock, Swarm
from controller.engine.records import Recorder
from controller.errors import NameTakenError, OutOfSequenceError, SwarmError
from controller.model.plan import ObjectKind
from controller.model.spec import Json

log = logging.getLogger("prodbreaker.leader")

_RENEW = 1 / 3  # of the lease, between renewals
_PATIENCE = 1 / 4  # of the lease, for one look with its write; the next attempt must still find the lease held
_LOOK_SECONDS = 0.8  # how often a standby looks; it takes over so much later than the lease ends, at most
_AFTERWARDS = 0.001  # seconds that a timer comes late, since one may come a hair early
_RELEASE_SECONDS = 0.8  # of the ten that the end of the process may take


def _ignore(_: bool) -> None:
    return


class Leader:
    """One controller's part in the election. `on_change` is called with True when it begins to lead, with False when it ceases.

    `swarm` has no fence: the lease itself must be written by whoever does not lead yet.
    """

    def __init__(
        self,
        swarm: Swarm,
        clock: Clock,
        recorder: Recorder,
        *,
        holder: str,
        seconds: float,
        jitter: Callable[[float], float] = lambda delay: delay,
    ) -> None:
        self._swarm, self._clock, self._recorder = swarm, clock, recorder
        self._holder, self._seconds, self._jitter = holder, seconds, jitter
        self.on_change: Callable[[bool], None] = _ignore
        self._sighting: Sighting | None = None
        self._own_id = ""  # of the config in which this controller may act, from `_acts_from` on while it holds the lease
        self._acts_from = -math.inf  # this and the next are read by the threads that send writes
        self._held_until = -math.inf
        self._told = False
        self._reached = True
        self._timers: list[asyncio.TimerHandle] = []

    def may_write(self) -> bool:
        """Whether a write may be sent now. Any thread may ask."""
        return self._acts_from <= self._clock.monotonic() < self._held_until

    @property
    def leads(self) -> bool:
        return self.may_write()

    @property
    def leader(self) -> str:
        """Which other controller leads, as last seen; empty when none does or nobody knows."""
        holder = self._sighting.lease.holder if self._sighting else ""
        return "" if holder == self._holder else holder

    async def run(self) -> None:
        """Take the lease when it can be had, renew it while it is held; until cancelled. `release` it afterwards."""
        try:
            while True:
                pause = await self._step()
                await asyncio.sleep(self._jitter(pause))
        finally:
            self._tell_later()

    async def release(self) -> None:
        """Write nothing more, and let a standby take over without waiting for the lease's end."""
        led = self.may_write()
        self._held_until = -math.inf
        self._change()
        if not led:  # what was made anew and never led may stand in for one whose holder still acts: it must run out
            return
        try:
            async with asyncio.timeout(_RELEASE_SECONDS):
                sighting, found = await self._look()
                lease = sighting.lease
                if found is not None and lease.holder == self._holder:
                    await self._write(found, Lease("", lease.epoch, self._now(), self._seconds))
                    log.info("leadership released", extra={"fields": {"holder": self._holder, "epoch": lease.epoch}})
        except (SwarmError, TimeoutError) as error:
            log.warning("lease not released", extra={"fields": {"reason": _words(error)}})

    async def _step(self) -> float:
        """Look, and write where that is due; returns the seconds until the next look."""
        look = min(_LOOK_SECONDS, self._seconds / 10)
        try:
            async with asyncio.timeout(self._seconds * _PATIENCE):
                await self._attempt()
        except (OutOfSequenceError, NameTakenError):  # another one wrote first; whether it leads now the next look will say
            return look
        except (SwarmError, TimeoutError) as error:
            if self._reached:
                log.warning("lease not reached", extra={"fields": {"reason": _words(error)}})
            self._reached = False
            return look
        self._reached = True
        return self._seconds * _RENEW if self._clock.monotonic() < self._held_until else look

    async def _attempt(self) -> None:
        before = self.leader
        sighting, found = await self._look()
        lease, now = sighting.lease, self._clock.monotonic()
        if found is not None and lease.holder == self._holder:
            if found["ID"] != self._own_id:  # made by us after somebody removed the last one, perhaps from under its holder
                self._own_id, self._acts_from = found["ID"], now + self._seconds
            await self._hold(found, Lease(self._holder, lease.epoch, self._now(), self._seconds))
            return
        self._held_until = -math.inf
        self._tell(f"{lease.holder or 'nobody'} holds the lease")
        wanted = taken(lease, self._holder, renewed=self._now(), seconds=self._seconds)
        if found is None:
            await self._swarm.create(ObjectKind.CONFIG, lease_spec(wanted))
        elif may_be_taken(sighting, now=now):
            self._own_id, self._acts_from = found["ID"], now
            await self._hold(found, wanted)
        elif lease.holder != before:
            log.info("another controller leads", extra={"fields": {"holder": lease.holder, "epoch": lease.epoch}})

    async def _look(self) -> tuple[Sighting, Json | None]:
        listed = await self._swarm.list_objects(ObjectKind.CONFIG, filters={"name": [LEASE_NAME]})  # by their beginning
        found = next((item for item in listed if item["Spec"]["Name"] == LEASE_NAME), None)
        self._sighting = sighted(self._sighting, found, now=self._clock.monotonic(), seconds=self._seconds)
        return self._sighting, found

    async def _write(self, found: Json, lease: Lease) -> None:
        """If nobody else wrote since. An answer that is lost, or comes too late, is made good by the next look."""
        version = int(found["Version"]["Index"])
        await self._swarm.update(ObjectKind.CONFIG, found["ID"], version, lease_spec(lease, found["Spec"]))

    async def _hold(self, found: Json, lease: Lease) -> None:
        started = self._clock.monotonic()
        await self._write(found, lease)
        self._held_until = held_until(started, self._seconds)
        self._tell(f"epoch {lease.epoch}")
        self._tell_later((self._acts_from, f"epoch {lease.epoch}"), (self._held_until, "the lease could not be renewed in time"))

    def _tell_later(self, *moments: tuple[float, str]) -> None:
        """In place of what was to be told before."""
        loop, now = asyncio.get_running_loop(), self._clock.monotonic()
        for timer in self._timers:
            timer.cancel()
        self._timers = [loop.call_later(at - now + _AFTERWARDS, self._tell, reason) for at, reason in moments if at > now]

    def _tell(self, reason: str) -> None:
        """Say when leading began or ended."""
        if not self._change():
            return
        fields = {"holder": self._holder, "reason": reason}
        if self._told:
            log.info("leadership gained", extra={"fields": fields})
        else:
            log.warning("leadership lost", extra={"fields": fields})

    def _change(self) -> bool:
        leads = self.may_write()
        if leads == self._told:
            return False
        self._told = leads
        self._recorder.leads(leads=leads)
        self.on_change(leads)
        return True

    def _now(self) -> str:
        return datetime.fromtimestamp(self._clock.wall(), UTC).isoformat(timespec="milliseconds")


def _words(error: Exception) -> str:
    return str(error) or "no answer in time"
