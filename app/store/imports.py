"""Queries on import jobs: taking their files in, showing them, cancelling them. Working on them is `app.ingest.claims`."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID

import peewee

from app.errors import AppError, NotFound, Unavailable
from app.store.database import Database, Row


class Status(StrEnum):
    """Where a job is. The last three never change again."""

    RECEIVING = "receiving"
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def has_ended(self) -> bool:
        return self in (Status.DONE, Status.FAILED, Status.CANCELLED)


class Options(NamedTuple):
    """What is asked for beside the file."""

    kind: str
    dry_run: bool = False
    # So many rows may be refused, and so many per cent of the rows.
    reject_limit: int = 100_000
    reject_percent: int | None = None


class Holder(NamedTuple):
    """The job that has an idempotency key; `seconds` is how long it may still be received without another piece."""

    id: UUID
    status: Status
    fingerprint: str | None
    seconds: float


class EndedError(AppError):
    """The job has ended, and cannot be cancelled any more."""


# What the API shows, with the names of the columns.
_SHOWN = (
    "id", "kind", "status", "dry_run", "reject_limit", "reject_percent", "size", "bytes_done", "inserted", "updated", "unchanged",
    "duplicate", "rejected", "error_code", "error_line", "error_message", "sha256", "created_at", "started_at", "ended_at",
    "layout",
)  # fmt: skip
_SELECT = f"SELECT {', '.join(_SHOWN)} FROM import_job"  # noqa: S608 - of constants


def begin(database: Database, options: Options, *, key: str | None, seconds: float) -> UUID | None:
    """A job that is being received, for `seconds` from its last piece on; None if the key is taken."""
    created = database.rows(
        "INSERT INTO import_job (kind, dry_run, reject_limit, reject_percent, idempotency_key, status, created_at, lease_until)"
        " VALUES (%s, %s, %s, %s, %s, 'receiving', date_trunc('second', localtimestamp), now() + make_interval(secs => %s))"
        " ON CONFLICT (idempotency_key) DO NOTHING RETURNING id",
        *options, key, seconds,
    )  # fmt: skip
    return created[0][0] if created else None


def holder(database: Database, key: str) -> Holder | None:
    """Who has this idempotency key. A job that is received no more loses it."""
    database.rows(
        "DELETE FROM import_job WHERE idempotency_key = %s AND status = 'receiving' AND lease_until < now() RETURNING 1", key
    )
    query = (
        "SELECT id, status, fingerprint, coalesce(extract(epoch FROM lease_until - now()), 0)::float8"
        " FROM import_job WHERE idempotency_key = %s"
    )
    for job, status, fingerprint, seconds in database.rows(query, key):
        return Holder(job, Status(status), fingerprint, seconds)
    return None


def append(database: Database, job: UUID, number: int, data: bytes, *, seconds: float) -> None:
    """Keep the next piece of a file. Raises Unavailable if the job was given up meanwhile."""
    kept = database.rows(
        "WITH held AS (UPDATE import_job SET size = size + %s, lease_until = now() + make_interval(secs => %s)"
        " WHERE id = %s AND status = 'receiving' RETURNING id)"
        " INSERT INTO import_blob (job_id, seq, data) SELECT id, %s, %s FROM held RETURNING 1",
        len(data), seconds, job, number, data,
    )  # fmt: skip
    if not kept:
        raise Unavailable("import", "the file came too slowly")


def finish(database: Database, job: UUID, *, sha256: str, fingerprint: str) -> UUID:
    """Let the job be worked on, now that its file is whole. Without a key, an unfinished job of the same fingerprint takes its
    place; its id is returned then."""
    change = (
        "UPDATE import_job SET status = 'queued', lease_until = NULL, sha256 = %s, fingerprint = %s WHERE id = %s RETURNING id"
    )
    twin = "SELECT id FROM import_job WHERE fingerprint = %s AND status IN ('queued', 'running') AND idempotency_key IS NULL"
    for _ in range(3):  # the other one may end between the two questions
        try:
            if not database.rows(change, sha256, fingerprint, job):
                raise Unavailable("import", "the file came too slowly")
        except peewee.IntegrityError:
            for (other,) in database.rows(twin, fingerprint):
                discard(database, job)
                return UUID(str(other))
        else:
            return job
    raise Unavailable("import", "the same file comes again and again")


def discard(database: Database, job: UUID) -> None:
    """Forget a job that is being received, and its pieces."""
    database.rows("DELETE FROM import_job WHERE id = %s AND status = 'receiving' RETURNING 1", job)


def find(database: Database, job: UUID) -> Row:
    """Raises NotFound."""
    for values in database.rows(f"{_SELECT} WHERE id = %s AND status <> 'receiving'", job):
        return dict(zip(_SHOWN, values, strict=True))
    raise NotFound("import", job)


def page(database: Database, *, limit: int, offset: int) -> list[Row]:
    """The newest first."""
    query = f"{_SELECT} WHERE status <> 'receiving' ORDER BY created_at DESC, id LIMIT %s OFFSET %s"
    return [dict(zip(_SHOWN, values, strict=True)) for values in database.rows(query, limit, offset)]


_REJECT = ("line", "column", "code", "message", "raw")
_REJECTS = 'SELECT line, "column", code, message, raw FROM import_reject'


def rejects(database: Database, job: UUID, *, limit: int, offset: int) -> list[Row]:
    """Ordered by line."""
    found = database.rows(f"{_REJECTS} WHERE job_id = %s ORDER BY line LIMIT %s OFFSET %s", job, limit, offset)
    return [dict(zip(_REJECT, values, strict=True)) for values in found]


def rejects_after(database: Database, job: UUID, line: int, *, limit: int) -> list[tuple[Any, ...]]:
    """The refused rows that begin after `line`, in their order: line, column, code, message, raw."""
    return database.rows(f"{_REJECTS} WHERE job_id = %s AND line > %s ORDER BY line LIMIT %s", job, line, limit)


def cancel(database: Database, job: UUID) -> Row:
    """End a job; a batch that is being written at this moment is rolled back. Raises NotFound and EndedError."""
    changed = database.rows(
        "UPDATE import_job SET status = 'cancelled', ended_at = date_trunc('second', localtimestamp), lease_owner = NULL,"
        " lease_until = NULL WHERE id = %s AND status IN ('queued', 'running') RETURNING 1",
        job,
    )
    row = find(database, job)
    if not changed:
        raise EndedError(f"the import has ended: it is {row['status']}")
    return row
