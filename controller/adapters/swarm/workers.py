"""A few threads for docker's client, which is not asynchronous.

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
from typing import Any, TypeVar

CLOSING_SECONDS = 0.2

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Job:
    function: Callable[[], Any]
    future: Future[Any]


class Workers:
    """Runs functions on at most `count` threads, started when they are first needed."""

    def __init__(self, *, count: int) -> None:
        self._count = count
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._idle = threading.Semaphore(0)
        self._threads: list[threading.Thread] = []

    async def run(self, function: Callable[[], T]) -> T:
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
        while job := self._jobs.get():
            _carry_out(job)
            del job  # its future holds the answer, which may be large; the next job may be long in coming
            self._idle.release()


def _carry_out(job: _Job) -> None:
    if job.future.set_running_or_notify_cancel():
        try:
            result = job.function()
        except BaseException as error:  # noqa: BLE001 - it belongs to whoever awaits the job
            job.future.set_exception(error)
        else:
            job.future.set_result(result)
