"""What was done and why, in a SQLite file that survives the process.

One thread owns the file. Whatever waits when it comes to write goes into one transaction, and each caller waits for that
transaction's end: what was recorded is there, also after a kill. At rest nothing is written (see `_says_something`).
"""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import peewee

from controller.engine.records import ActionOutcome, ActionRecord, PassRecord, PassResult
from controller.errors import JournalError
from controller.model.plan import Change, ObjectKind, Reason, Verb

T = TypeVar("T")

log = logging.getLogger("prodbreaker.journal")

SCHEMA = 1  # in the file's user_version
KEPT_ROWS = 20_000  # newest passes and newest actions; some ten megabytes of each at most
PRUNED_EVERY = 1_000  # rows written
REPEATED_SECONDS = 3600.0  # a pass that ends as the one before is written down again after so long
BUSY_SECONDS = 5.0  # somebody else may look into the file
LONGEST_TEXT = 2_000  # characters of a reason or message


class _Passes(peewee.Model):
    id = peewee.AutoField()
    reconcile_id = peewee.TextField()
    key = peewee.TextField()
    started = peewee.DoubleField()
    seconds = peewee.DoubleField()
    result = peewee.TextField()
    reason = peewee.TextField()

    class Meta:
        table_name = "passes"


class _Actions(peewee.Model):
    id = peewee.AutoField()
    reconcile_id = peewee.TextField()
    key = peewee.TextField(index=True)
    verb = peewee.TextField()
    kind = peewee.TextField()
    name = peewee.TextField()
    reason = peewee.TextField()
    outcome = peewee.TextField()
    time = peewee.DoubleField()
    seconds = peewee.DoubleField()
    changes = peewee.TextField()  # JSON: [field, old, new] each, masked
    message = peewee.TextField()

    class Meta:
        table_name = "actions"


class _Notes(peewee.Model):
    name = peewee.TextField(primary_key=True)
    value = peewee.TextField()

    class Meta:
        table_name = "notes"


_MODELS: list[Any] = [_Passes, _Actions, _Notes]


class SqliteJournal:
    """Implements `controller.engine.records.Journal`. `open` it once, `close` it at the end."""

    def __init__(self, path: Path, *, kept_rows: int = KEPT_ROWS, wall: Callable[[], float] = time.time) -> None:
        self._file = _File(path, kept_rows=kept_rows, wall=wall)
        self._thread = ThreadPoolExecutor(1, "journal")
        self._waiting: deque[tuple[Callable[[_File], Any], Future[Any]]] = deque()
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
        return await self._submit(lambda file: file.recent_actions(limit, key))

    async def note(self, name: str, value: str) -> None:
        await self._submit(lambda file: file.add_note(name, value))

    async def notes(self, *, prefix: str = "") -> Mapping[str, str]:
        return await self._submit(lambda file: file.notes(prefix))

    def _says_something(self, record: PassRecord) -> bool:
        """A pass that changed something always does; others where they end differently than the one before, or much later."""
        last = self._last.get(record.key)
        if record.result is PassResult.CHANGED or not self._writable:  # while nothing can be written, each pass tries again
            return True
        if record.result is PassResult.UNCHANGED:
            return last is not None and last.result is not PassResult.UNCHANGED
        same = last is not None and (last.result, last.reason) == (record.result, record.reason)
        return not same or (last is not None and record.started - last.started >= REPEATED_SECONDS)

    async def _submit(self, work: Callable[[_File], T]) -> T:
        future: Future[T] = Future()
        self._waiting.append((work, future))
        self._thread.submit(self._run_waiting)
        try:
            answer = await asyncio.wrap_future(future)
        except JournalError:
            self._writable = False
            raise
        self._writable = True
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


class _File:
    """The SQLite file; touched by the journal's thread only."""

    def __init__(self, path: Path, *, kept_rows: int, wall: Callable[[], float]) -> None:
        self._path = path
        self._kept_rows = kept_rows
        self._wall = wall
        self._unpruned = 0
        self._inode: int | None = None
        pragmas = {"journal_mode": "wal", "synchronous": "normal", "busy_timeout": int(BUSY_SECONDS * 1000)}
        self._database: Any = peewee.SqliteDatabase(str(path), pragmas=pragmas, autoconnect=False)

    def transact(self, works: Sequence[Callable[[_File], Any]]) -> list[Any]:
        """Do all of it or nothing. Raises JournalError."""
        try:
            try:
                return self._attempt(works)
            except (peewee.DatabaseError, sqlite3.DatabaseError) as error:
                if not _is_damage(error):
                    raise
                self._set_aside(str(error))
                return self._attempt(works)
        except (peewee.PeeweeException, sqlite3.Error, OSError, ValueError) as error:
            self.close()  # the next transaction begins anew, perhaps with a disk that has room
            raise JournalError(f"the journal {self._path} cannot be used: {error}") from error

    def close(self) -> None:
        with suppress(peewee.PeeweeException, sqlite3.Error):
            self._database.close()

    def add_pass(self, record: PassRecord) -> None:
        self._add(
            _Passes.insert(
                reconcile_id=record.reconcile_id,
                key=record.key,
                started=record.started,
                seconds=record.seconds,
                result=record.result.value,
                reason=record.reason[:LONGEST_TEXT],
            )
        )

    def add_action(self, record: ActionRecord) -> None:
        self._add(
            _Actions.insert(
                reconcile_id=record.reconcile_id,
                key=record.key,
                verb=record.verb.value,
                kind=record.kind.value,
                name=record.name,
                reason=record.reason.value,
                outcome=record.outcome.value,
                time=record.time,
                seconds=record.seconds,
                changes=json.dumps([[change.field, change.old, change.new] for change in record.changes]),
                message=record.message[:LONGEST_TEXT],
            )
        )

    def add_note(self, name: str, value: str) -> None:
        _Notes.insert(name=name, value=value).on_conflict("replace").execute(self._database)

    def recent_actions(self, limit: int, key: str | None) -> list[ActionRecord]:
        query = _Actions.select().order_by(_Actions.id.desc()).limit(limit)
        if key is not None:
            query = query.where(_Actions.key == key)
        return [_action(row) for row in query.dicts().execute(self._database)]

    def notes(self, prefix: str) -> dict[str, str]:
        rows = _Notes.select().dicts().execute(self._database)
        return {row["name"]: row["value"] for row in rows if row["name"].startswith(prefix)}

    def _attempt(self, works: Sequence[Callable[[_File], Any]]) -> list[Any]:
        self._ensure_open()
        with self._database.atomic("IMMEDIATE"):
            answers = [work(self) for work in works]
            if self._unpruned >= PRUNED_EVERY:
                self._prune()
        return answers

    def _ensure_open(self) -> None:
        if not self._database.is_closed():
            if self._inode_now() == self._inode:
                return
            self.close()  # somebody removed or replaced the file: what is written to the old one is lost
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.touch(mode=0o600)  # before SQLite makes it readable to all
        self._inode = self._inode_now()
        self._database.connect()
        found = self._database.pragma("user_version")
        if found == 0:
            with self._database.bind_ctx(_MODELS), self._database.atomic():
                self._database.create_tables(_MODELS)
                self._database.pragma("user_version", SCHEMA)
        elif found != SCHEMA:
            raise peewee.DatabaseError(f"malformed: written by another version, schema {found}")
        else:
            complaint = self._database.pragma("quick_check")
            if complaint != "ok":
                raise peewee.DatabaseError(f"malformed: {complaint}")
        self._prune()

    def _inode_now(self) -> int | None:
        try:
            return self._path.stat().st_ino
        except FileNotFoundError:
            return None

    def _set_aside(self, reason: str) -> None:
        """Rename the file, so that it can be looked into, and let the next attempt make a new one."""
        self.close()
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(self._wall()))
        aside = self._path.with_name(f"{self._path.name}.damaged-{stamp}")
        self._path.rename(aside)
        for tail in ("-wal", "-shm"):
            with suppress(FileNotFoundError):
                self._path.with_name(self._path.name + tail).rename(aside.with_name(aside.name + tail))
        fields = {"path": str(self._path), "set_aside": str(aside), "reason": reason}
        log.error("journal damaged, a new one begins", extra={"fields": fields})

    def _add(self, row: peewee.Insert) -> None:
        row.execute(self._database)
        self._unpruned += 1

    def _prune(self) -> None:
        for rows in (_Passes, _Actions):
            newest = rows.select(peewee.fn.MAX(rows.id)).scalar(self._database) or 0
            rows.delete().where(rows.id <= newest - self._kept_rows).execute(self._database)
        self._unpruned = 0


def _action(row: Mapping[str, Any]) -> ActionRecord:
    return ActionRecord(
        reconcile_id=row["reconcile_id"],
        key=row["key"],
        verb=Verb(row["verb"]),
        kind=ObjectKind(row["kind"]),
        name=row["name"],
        reason=Reason(row["reason"]),
        outcome=ActionOutcome(row["outcome"]),
        time=row["time"],
        seconds=row["seconds"],
        changes=tuple(Change(*change) for change in json.loads(row["changes"])),
        message=row["message"],
    )


def _is_damage(error: Exception) -> bool:
    return any(sign in str(error) for sign in ("malformed", "not a database", "no such table", "no such column"))
