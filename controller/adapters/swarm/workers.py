"""A few threads, each with a client of its own, since docker's client is neither asynchronous nor thread-safe.

Not concurrent.futures' executor: the interpreter joins its threads at exit, so one call that hangs would hold the whole process.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar


class Closable(Protocol):
    def close(self) -> None: ...


CLOSING_SECONDS = 0.2

C = TypeVar("C", bound=Closable)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Job(Generic[C]):
    function: Callable[[C], Any]
    future: Future[Any]


class Workers(Generic[C]):
    """Runs functions of a client on at most `count` threads, started when they are first needed."""

    def __init__(self, make_client: Callable[[], C], *, count: int) -> None:
        self._make_client = make_client
        self._count = count
        self._jobs: queue.SimpleQueue[_Job[C] | None] = queue.SimpleQueue()
        self._idle = threading.Semaphore(0)
        self._threads: list[threading.Thread] = []

    async def run(self, function: Callable[[C], T]) -> T:
        """Await the function's result. Cancelled before a thread took it up, it is never called."""
        future: Future[T] = Future()
        self._jobs.put(_Job(function, future))
        if not self._idle.acquire(blocking=False) and len(self._threads) < self._count:
            thread = threading.Thread(target=self._work, name=f"swarm-{len(self._threads)}", daemon=True)
            self._threads.append(thread)
            thread.start()
        return await asyncio.wrap_future(future)

    def close(self) -> None:
        """Let each thread end after the job it is at; an idle one ends at once, one that hangs is left behind."""
        for _ in self._threads:
            self._jobs.put(None)
        deadline = time.monotonic() + CLOSING_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _work(self) -> None:
        client: C | None = None
        while job := self._jobs.get():
            client = self._carry_out(job, client)
            del job  # its future holds the answer, which may be large; the next job may be long in coming
            self._idle.release()
        if client:
            client.close()

    def _carry_out(self, job: _Job[C], client: C | None) -> C | None:
        """Returns the client to go on with; none where it could not be made."""
        if job.future.set_running_or_notify_cancel():
            try:
                client = client or self._make_client()
                result = job.function(client)
            except BaseException as error:  # noqa: BLE001 - it belongs to whoever awaits the job
                job.future.set_exception(error)
            else:
                job.future.set_result(result)
        return client
