"""The SQLite file: its tables, its bounds, and what to do when it is damaged."""

from __future__ import annotations

import json
import logging
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import peewee

from controller.engine.records import ActionOutcome, ActionRecord, PassRecord
from controller.errors import JournalError
from controller.model.plan import Change, ObjectKind, Reason, Verb

log = logging.getLogger("prodbreaker.journal")

SCHEMA = 1  # in the file's user_version
PRUNED_EVERY = 1_000  # rows written
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


class JournalFile:
    """The SQLite file; touched by the journal's thread only."""

    def __init__(self, path: Path, *, kept_rows: int, wall: Callable[[], float]) -> None:
        self._path = path
        self._kept_rows = kept_rows
        self._wall = wall
        self._unpruned = 0
        self._inode: int | None = None
        pragmas = {"journal_mode": "wal", "synchronous": "normal", "busy_timeout": int(BUSY_SECONDS * 1000)}
        self._database: Any = peewee.SqliteDatabase(str(path), pragmas=pragmas, autoconnect=False)

    def transact(self, works: Sequence[Callable[[JournalFile], Any]]) -> list[Any]:
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

    def _attempt(self, works: Sequence[Callable[[JournalFile], Any]]) -> list[Any]:
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
        elif found != SCHEMA:
            raise peewee.DatabaseError(f"malformed: written by another version, schema {found}")
        else:
            complaint = self._database.pragma("quick_check")
            if complaint != "ok":
                raise peewee.DatabaseError(f"malformed: {complaint}")
        self._database.pragma("user_version", SCHEMA)  # written each time, as a proof that the file can be
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
