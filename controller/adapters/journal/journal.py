"""The journal as the loop sees it: asynchronous, and silent at rest.

One thread owns the file. Whatever waits when it comes to write goes into one transaction, and each caller waits for that
transaction's end: what was recorded is there, also after a kill.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from controller.adapters.journal.file import JournalFile
from controller.engine.records import ActionRecord, PassRecord, PassResult
from controller.errors import JournalError
from controller.model.incident import Incident, IncidentState

T = TypeVar("T")

KEPT_ROWS = 20_000  # newest passes and newest actions; some ten megabytes of each at most
REPEATED_SECONDS = 3600.0  # a pass that ends as the one before is written down again after so long


class SqliteJournal:
    """Implements `controller.engine.records.Journal`. `open` it once, `close` it at the end."""

    def __init__(self, path: Path, *, kept_rows: int = KEPT_ROWS, wall: Callable[[], float] = time.time) -> None:
        self._file = JournalFile(path, kept_rows=kept_rows, wall=wall)
        self._thread = ThreadPoolExecutor(1, "journal")
        self._waiting: deque[tuple[Callable[[JournalFile], Any], Future[Any]]] = deque()
        self._last: dict[str, PassRecord] = {}
        self._writable = False
        self._closed = False

    async def open(self) -> None:
        """Open or make the file; a damaged one is set aside first. Raises JournalError; later calls then try again."""
        await self._submit(lambda _: None)

    async def close(self) -> None:
        """Close the file after what waits is written; a second time it does nothing."""
        if self._closed:
            return
        self._closed = True
        await asyncio.get_running_loop().run_in_executor(self._thread, self._file.close)
        self._thread.shutdown()

    @property
    def writable(self) -> bool:
        return self._writable

    async def record_pass(self, record: PassRecord) -> None:
        if self._says_something(record):
            await self._submit(lambda file: file.add_pass(record))
            self._last[record.key] = record

    async def record_action(self, record: ActionRecord) -> None:
        await self._submit(lambda file: file.add_action(record))

    async def recent_actions(self, *, limit: int, key: str | None = None) -> Sequence[ActionRecord]:
        return await self._submit(lambda file: file.recent_actions(limit, key), writes=False)

    async def note(self, name: str, value: str) -> None:
        await self._submit(lambda file: file.add_note(name, value))

    async def notes(self, *, prefix: str = "") -> Mapping[str, str]:
        return await self._submit(lambda file: file.notes(prefix), writes=False)

    async def keep_incidents(self, incidents: Sequence[Incident]) -> None:
        await self._submit(lambda file: file.keep_incidents(incidents))

    async def incidents(
        self, *, limit: int, service: str | None = None, states: Collection[IncidentState] = tuple(IncidentState)
    ) -> Sequence[Incident]:
        return await self._submit(lambda file: file.incidents(limit, service, states), writes=False)

    async def incident(self, number: int) -> Incident | None:
        return await self._submit(lambda file: file.incident(number), writes=False)

    def _says_something(self, record: PassRecord) -> bool:
        """A pass that changed something always does; others where they end differently than the one before, or much later."""
        last = self._last.get(record.key)
        if record.result is PassResult.CHANGED or not self._writable:  # while nothing can be written, each pass tries again
            return True
        if record.result is PassResult.UNCHANGED:
            return last is not None and last.result is not PassResult.UNCHANGED
        same = last is not None and (last.result, last.reason) == (record.result, record.reason)
        return not same or (last is not None and record.started - last.started >= REPEATED_SECONDS)

    async def _submit(self, work: Callable[[JournalFile], T], *, writes: bool = True) -> T:
        future: Future[T] = Future()
        self._waiting.append((work, future))
        self._thread.submit(self._run_waiting)
        try:
            answer = await asyncio.wrap_future(future)
        except JournalError:
            self._writable = False
            raise
        self._writable = self._writable or writes  # that a full disk can be read means nothing
        return answer

    def _run_waiting(self) -> None:
        batch = [self._waiting.popleft() for _ in range(len(self._waiting))]
        batch = [(work, future) for work, future in batch if future.set_running_or_notify_cancel()]
        if not batch:
            return  # an earlier transaction took it along
        try:
            answers = self._file.transact([work for work, _ in batch])
        except Exception as error:  # noqa: BLE001 - it belongs to those who wait
            for _, future in batch:
                future.set_exception(error)
        else:
            for (_, future), answer in zip(batch, answers, strict=True):
                future.set_result(answer)
