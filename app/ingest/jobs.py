"""Working on imports: batch after batch from where the job is, on any replica, until the job ends or its lease is lost.

Rows that the file gives no time get the time of the job, so that it makes no difference who imports them when.

A dry run judges each batch by the tables as they are: what the batches before it would have changed, it does not see. In
files of up to ROWS rows everything is judged as an import would. Numbers that sequences gave out are not given again.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from uuid import UUID

import psycopg

from app.ingest.blobs import Source
from app.ingest.claims import Claim, LostError, advance, claim, end, keep_layout, release, renew
from app.ingest.dialect import unpacked
from app.ingest.load import Outcome, Randomness
from app.ingest.model import FileError, Layout, Position, Reject
from app.ingest.parse import Batch, batches, open_file
from app.ingest.progress import OvertakenError, import_batch, keep_rejects
from app.store.connection import Connection
from app.store.imports import Status
from app.telemetry.metrics import IMPORT_BATCH, count_import

# Rows of one transaction: of fewer, its commit would be much of its time; of more, memory.
ROWS = 20_000
# A job that was claimed this often without one more batch written is the cause itself.
ATTEMPTS = 6
# Seconds to wait after the database's own troubles, which are not counted; and the longest wait after others.
TROUBLED_SECONDS, LONGEST_SECONDS = 5.0, 30.0
REJECT_LIMIT, GAVE_UP = "reject_limit", "gave_up"

# Classes of SQLSTATE that are no fault of the job: connections, resources, operator intervention, system errors.
_TROUBLE = ("08", "53", "57", "58")

_log = logging.getLogger("app.imports")


class _LimitError(Exception):
    """More rows were refused than the job allows."""

    def __init__(self, rejects: list[Reject], message: str) -> None:
        super().__init__(message)
        self.rejects = rejects


@dataclass(frozen=True)
class Importer:
    """What an import needs beside the database. `forget` makes a cache forget short codes, just before they change."""

    forget: Callable[[Iterable[str]], None]
    # How long a job stays with a worker that says nothing any more.
    lease_seconds: float
    # Bytes of a file, unpacked.
    largest: int
    is_ending: Callable[[], bool] = lambda: False
    below: Randomness = secrets.randbelow
    # Of one transaction; None: ROWS.
    rows: int | None = None

    def work(self, connection: Connection, *, only: UUID | None = None) -> bool:
        """Claim a job (with `only`, that one) and work on it until it ends, fails for now, or is lost; False if there was none.

        Raises psycopg.Error only if nothing could be claimed; a job that fails for now may be claimed again after a while.
        """
        held = claim(connection, seconds=self.lease_seconds, only=only)
        if held is None:
            return False
        fields = {"import": str(held.id), "kind": held.kind.value, "attempt": held.attempts}
        try:
            self._attempt(connection, held)
        except (LostError, OvertakenError) as error:
            _log.info("import lost", extra={"fields": {**fields, "reason": str(error)}})
        except Exception as error:  # noqa: BLE001 - whatever is wrong with one job must not keep the others waiting
            is_trouble = _is_trouble(error)
            _log.warning("import failed for now", exc_info=None if is_trouble else error, extra={"fields": fields})
            delay = TROUBLED_SECONDS if is_trouble else min(LONGEST_SECONDS, 0.25 * 2**held.attempts)
            self._let_go(connection, held, delay=delay, is_counted=not is_trouble)
        return True

    def _attempt(self, connection: Connection, held: Claim) -> None:
        try:
            if held.attempts > ATTEMPTS:
                message = f"{ATTEMPTS} attempts to import the rows from line {held.next.line} on came to nothing"
                end(connection, held, Status.FAILED, code=GAVE_UP, message=message, line=held.next.line)
            elif not self._import(connection, held):
                release(connection, held, delay=0, is_counted=False)
                return
            else:
                end(connection, held, Status.DONE)
        except FileError as error:
            end(connection, held, Status.FAILED, code=error.code.value, message=str(error), line=error.line)
        except _LimitError as error:
            self._refuse(connection, held, error)
        _log.info("import ended", extra={"fields": {"import": str(held.id), "kind": held.kind.value}})

    def _import(self, connection: Connection, held: Claim) -> bool:
        """All batches; False if told to end before the last one."""
        source = Source(connection, held.id, lambda: renew(connection, held, seconds=self.lease_seconds), self.lease_seconds / 3)
        layout, start, rest = self._opened(connection, held, source)
        rows, rejected = held.rows, held.rejected
        for batch in batches(rest, held.kind, layout, start=start, size=self.rows or ROWS):
            if self.is_ending():
                return False
            done = source.handed if source.is_packed else batch.after.offset
            outcome = self._write(connection, held, batch, bytes_done=done, rows=rows, rejected=rejected)
            rows, rejected = rows + _rows(outcome), rejected + len(outcome.rejects)
            _count(held, outcome)
        return True

    def _opened(self, connection: Connection, held: Claim, source: Source) -> tuple[Layout, Position, Iterator[bytes]]:
        if held.layout is None:
            layout, rest = open_file(source.pieces(), held.kind, largest=self.largest)
            keep_layout(connection, held, layout)
            return layout, layout.start, rest
        if source.is_packed:
            return held.layout, held.next, unpacked(source.pieces(), skip=held.next.offset, largest=self.largest)
        return held.layout, held.next, source.pieces(skip=held.next.offset)

    def _write(self, connection: Connection, held: Claim, batch: Batch, *, bytes_done: int, rows: int, rejected: int) -> Outcome:
        with IMPORT_BATCH.labels(held.kind.value).time(), connection.transaction():
            advance(connection, held, bytes_done=bytes_done, seconds=self.lease_seconds)
            outcome = import_batch(
                connection, held.id, held.kind, batch, now=held.created_at, below=self.below, is_dry=held.dry_run
            )
            rows, rejected = rows + _rows(outcome), rejected + len(outcome.rejects)
            if rejected > held.reject_limit:
                raise _LimitError(outcome.rejects, f"more than {held.reject_limit} rows were refused")
            if held.reject_percent is not None and 100 * rejected > held.reject_percent * rows:
                refused = f"{rejected} of {rows} rows were refused, more than {held.reject_percent} %"
                raise _LimitError(outcome.rejects, refused)
            if outcome.stale and not held.dry_run:
                self.forget(outcome.stale)
        return outcome

    def _refuse(self, connection: Connection, held: Claim, error: _LimitError) -> None:
        """The batch that broke the limit was rolled back; of it only the reasons are kept, so that they can be put right."""
        with connection.transaction():
            renew(connection, held, seconds=self.lease_seconds)
            keep_rejects(connection, held.id, error.rejects)
            connection.execute("UPDATE import_job SET rejected = rejected + %s WHERE id = %s", (len(error.rejects), held.id))
            end(connection, held, Status.FAILED, code=REJECT_LIMIT, message=str(error), line=error.rejects[0].line)

    def _let_go(self, connection: Connection, held: Claim, *, delay: float, is_counted: bool) -> None:
        """Give the job back early; where that fails too, its lease ends by itself."""
        try:
            release(connection, held, delay=delay, is_counted=is_counted)
        except (psycopg.Error, LostError) as error:
            _log.info("import left to its lease", extra={"fields": {"import": str(held.id), "reason": type(error).__name__}})


def _count(held: Claim, outcome: Outcome) -> None:
    if held.dry_run:
        return
    for name in ("inserted", "updated", "unchanged", "duplicate"):
        count_import(held.kind.value, name, getattr(outcome, name))
    count_import(held.kind.value, "rejected", len(outcome.rejects))


def _rows(outcome: Outcome) -> int:
    return outcome.inserted + outcome.updated + outcome.unchanged + outcome.duplicate + len(outcome.rejects)


def _is_trouble(error: Exception) -> bool:
    if not isinstance(error, psycopg.Error):
        return False
    state = error.sqlstate or ""
    if isinstance(error, psycopg.errors.QueryCanceled):  # took too long, and will again
        return False
    return state[:2] in _TROUBLE or (not state and isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError)))
