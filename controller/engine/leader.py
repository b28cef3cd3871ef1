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
_LOOK_SECONDS = 1.0  # how often a standby looks; it takes over so much later than the lease ends
_RELEASE_SECONDS = 1.5  # of the ten that the end of the process may take


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
        self._found: Json | None = None
        self._held_until = -math.inf  # read by the threads that send writes
        self._told = False
        self._reached = True
        self._expiry: asyncio.TimerHandle | None = None

    def may_write(self) -> bool:
        """Whether a write may be sent now. Any thread may ask."""
        return self._clock.monotonic() < self._held_until

    @property
    def leads(self) -> bool:
        return self.may_write()

    @property
    def leader(self) -> str:
        """Who leads, as last seen; empty when nobody does or nobody knows."""
        if self.may_write():
            return self._holder
        return self._sighting.lease.holder if self._sighting else ""

    async def run(self) -> None:
        """Take the lease when it can be had, renew it while it is held; until cancelled. `release` it afterwards."""
        try:
            while True:
                pause = await self._step()
                await asyncio.sleep(self._jitter(pause))
        finally:
            if self._expiry is not None:
                self._expiry.cancel()

    async def release(self) -> None:
        """Write nothing more, and let a standby take over without waiting for the lease's end."""
        self._held_until = -math.inf
        self._change()
        try:
            async with asyncio.timeout(_RELEASE_SECONDS):
                lease = (await self._look()).lease
                if lease.holder == self._holder:
                    await self._write(Lease("", lease.epoch, self._now(), self._seconds))
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
        return self._seconds * _RENEW if self.may_write() else look

    async def _attempt(self) -> None:
        before = self.leader
        sighting = await self._look()
        lease = sighting.lease
        if lease.holder == self._holder:
            wanted = Lease(self._holder, lease.epoch, self._now(), self._seconds)
        elif sighting.version is None and self.may_write():  # removed by hand, and nobody else may have taken it since
            wanted = taken(lease, self._holder, renewed=self._now(), seconds=self._seconds)
        else:
            self._held_until = -math.inf
            self._tell(f"{lease.holder or 'nobody'} holds the lease")
            if not may_be_taken(sighting, now=self._clock.monotonic()):
                if lease.holder != before and sighting.version is not None:
                    log.info("another controller leads", extra={"fields": {"holder": lease.holder, "epoch": lease.epoch}})
                return
            wanted = taken(lease, self._holder, renewed=self._now(), seconds=self._seconds)
        started = self._clock.monotonic()
        await self._write(wanted)
        self._hold(started, wanted)

    async def _look(self) -> Sighting:
        found = await self._swarm.list_objects(ObjectKind.CONFIG, filters={"name": [LEASE_NAME]})
        self._found = next((item for item in found if item["Spec"]["Name"] == LEASE_NAME), None)
        now = self._clock.monotonic()
        self._sighting = sighted(self._sighting, self._found, now=now, seconds=self._seconds)
        return self._sighting

    async def _write(self, lease: Lease) -> None:
        if self._found is None:
            await self._swarm.create(ObjectKind.CONFIG, lease_spec(lease))
        else:
            version = int(self._found["Version"]["Index"])
            await self._swarm.update(ObjectKind.CONFIG, self._found["ID"], version, lease_spec(lease, self._found["Spec"]))

    def _hold(self, started: float, lease: Lease) -> None:
        self._held_until = held_until(started, self._seconds)
        if self._expiry is not None:
            self._expiry.cancel()
        remaining = self._held_until - self._clock.monotonic()
        self._expiry = asyncio.get_running_loop().call_later(remaining, self._tell, "the lease could not be renewed in time")
        self._tell(f"epoch {lease.epoch}")

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
