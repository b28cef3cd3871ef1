"""Requests at an even pace, whatever becomes of them: what a service's clients see of it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import defaultdict
from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass

PATIENCE_SECONDS = 5.0
RATE = 50.0


@dataclass(frozen=True, slots=True)
class Reply:
    at: float  # time.monotonic() when it was asked
    seconds: float
    status: int  # 0: none came
    text: str  # of the page, or why there is none

    def __str__(self) -> str:
        return f"{self.status} after {self.seconds:.2f} s: {self.text}"


class Load:
    """Asks `address` for each of `hosts` (as the Host header) RATE times a second, between `start` and `stop`.

    The next request does not wait for the last one's answer: a server that stalls is not spared. What fails is counted in
    `counts` as a metric, `failed_requests_total` by host. `stretch` is for a host that stands still now and then: clients
    ask so many times as rarely, and as patiently.
    """

    def __init__(
        self,
        address: str,
        port: int,
        hosts: Sequence[str],
        *,
        stretch: int = 1,
        counts: MutableMapping[str, float] | None = None,
    ) -> None:
        self._address, self._port, self._hosts, self._stretch = address, port, hosts, stretch
        self._counts = {} if counts is None else counts
        self._counts.update({_metric(host): 0.0 for host in hosts})
        self.replies: dict[str, list[Reply]] = defaultdict(list)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="load")

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End after the answers that are still to come."""
        self._stop.set()
        self._thread.join(3 * PATIENCE_SECONDS * self._stretch)

    def since(self, host: str, moment: float) -> list[Reply]:
        """What was asked at `moment` (monotonic) or later, in the order of the answers."""
        return [reply for reply in self.replies[host].copy() if reply.at >= moment]

    def failed(self, host: str, moment: float) -> list[Reply]:
        return [reply for reply in self.since(host, moment) if reply.status != 200]

    def seen(self, host: str, *, seconds: float) -> set[str]:
        """The pages, or failures, that clients got lately."""
        return {reply.text if reply.status == 200 else str(reply) for reply in self.since(host, time.monotonic() - seconds)}

    async def _run(self) -> None:
        begin, number = time.monotonic(), 0
        async with asyncio.TaskGroup() as group:
            while not self._stop.is_set():
                for place, host in enumerate(self._hosts):  # side by side, not all at once
                    due = begin + (number + place / len(self._hosts)) / RATE * self._stretch
                    await asyncio.sleep(max(0.0, due - time.monotonic()))
                    group.create_task(self._ask(host))
                number += 1

    async def _ask(self, host: str) -> None:
        at, status, text = time.monotonic(), 0, ""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS * self._stretch):
                status, text = await self._answer(host)
        except (OSError, TimeoutError, ValueError, asyncio.IncompleteReadError) as error:
            text = f"{type(error).__name__} {error}"
        self.replies[host].append(Reply(at, time.monotonic() - at, status, text))
        self._counts[_metric(host)] += status != 200

    async def _answer(self, host: str) -> tuple[int, str]:
        reader, writer = await asyncio.open_connection(self._address, self._port)
        try:
            writer.write(f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            return int(head.split(b" ", 2)[1]), (await reader.read()).decode(errors="replace").strip()
        finally:
            writer.close()


def _metric(host: str) -> str:
    return f'failed_requests_total{{host="{host}"}}'
