"""The SQLite file: its tables, its bounds, and what to do when it is damaged."""

from __future__ import annotations

import json
import logging
import sqlite3
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import peewee

from controller.adapters.journal.rows import (
    MODELS,
    SCHEMA,
    Actions,
    Incidents,
    Notes,
    Passes,
    action_of,
    find_incident,
    find_incidents,
    row_of,
)
from controller.engine.records import ActionRecord, PassRecord
from controller.errors import JournalError
from controller.model.incident import Incident, IncidentState

log = logging.getLogger("prodbreaker.journal")

PRUNED_EVERY = 1_000  # rows written
BUSY_SECONDS = 5.0  # somebody else may look into the file
LONGEST_TEXT = 2_000  # characters of a reason or message
KEPT_INCIDENTS = 2_000  # that have ended; those that have not are never dropped


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
            Passes.insert(
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
            Actions.insert(
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
        Notes.insert(name=name, value=value).on_conflict("replace").execute(self._database)

    def recent_actions(self, limit: int, key: str | None) -> list[ActionRecord]:
        query = Actions.select().order_by(Actions.id.desc()).limit(limit)
        if key is not None:
            query = query.where(Actions.key == key)
        return [action_of(row) for row in query.dicts().execute(self._database)]

    def keep_incidents(self, incidents: Sequence[Incident]) -> None:
        for incident in incidents:
            Incidents.insert(**row_of(incident)).on_conflict("replace").execute(self._database)
        self._unpruned += len(incidents)

    def incidents(self, limit: int, service: str | None, states: Collection[IncidentState]) -> list[Incident]:
        return find_incidents(self._database, limit=limit, service=service, states=states)

    def incident(self, number: int) -> Incident | None:
        return find_incident(self._database, number)

    def notes(self, prefix: str) -> dict[str, str]:
        rows = Notes.select().dicts().execute(self._database)
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
        if found > SCHEMA:
            raise peewee.DatabaseError(f"malformed: written by another version, schema {found}")
        complaint = self._database.pragma("quick_check") if found else "ok"
        if complaint != "ok":
            raise peewee.DatabaseError(f"malformed: {complaint}")
        if found < SCHEMA:
            added = [Incidents] if found else MODELS
            with self._database.bind_ctx(added), self._database.atomic():
                self._database.create_tables(added)
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
        for rows in (Passes, Actions):
            newest = rows.select(peewee.fn.MAX(rows.id)).scalar(self._database) or 0
            rows.delete().where(rows.id <= newest - self._kept_rows).execute(self._database)
        surplus = Incidents.select(Incidents.id).where(Incidents.ended.is_null(False)).order_by(Incidents.id.desc())
        Incidents.delete().where(Incidents.id.in_(surplus.offset(KEPT_INCIDENTS).limit(-1))).execute(self._database)
        self._unpruned = 0


def _is_damage(error: Exception) -> bool:
    return any(sign in str(error) for sign in ("malformed", "not a database", "no such table", "no such column"))
