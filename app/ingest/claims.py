"""Who works on which import: a job is claimed under a lease, and each write of its owner makes sure that the lease still holds.

The lease keeps two workers from doing the same work; that no batch counts twice rests on `progress` alone. All clocks are
the database's.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID, uuid4

from psycopg import Connection
from psycopg.types.json import Jsonb

from app.ingest.model import Layout, Position
from app.ingest.rows import Kind
from app.store.imports import Status


class LostError(Exception):
    """The job was cancelled, or somebody else has claimed it. Nothing may be written for it."""


class Claim(NamedTuple):
    """A job as its owner took it over."""

    id: UUID
    owner: UUID
    kind: Kind
    dry_run: bool
    reject_limit: int
    reject_percent: int | None
    layout: Layout | None
    next: Position
    # Of all batches before.
    rows: int
    rejected: int
    attempts: int
    created_at: datetime


_CLAIM = """
UPDATE import_job SET status = 'running', lease_owner = %(owner)s, lease_until = now() + make_interval(secs => %(seconds)s),
    attempts = attempts + 1, started_at = coalesce(started_at, date_trunc('second', localtimestamp))
WHERE id = (
    SELECT id FROM import_job WHERE status IN ('queued', 'running') AND coalesce(lease_until <= now(), true)
        AND (%(only)s::uuid IS NULL OR id = %(only)s)
    ORDER BY created_at, id LIMIT 1 FOR UPDATE SKIP LOCKED
)
RETURNING id, lease_owner, kind, dry_run, reject_limit, reject_percent, layout, next_offset, next_line,
    inserted + updated + unchanged + duplicate + rejected, rejected, attempts, created_at
"""


def claim(connection: Connection[Any], *, seconds: float, only: UUID | None = None) -> Claim | None:
    """The oldest job that nobody works on, now with a lease of `seconds`; with `only`, that one or none."""
    row = connection.execute(_CLAIM, {"owner": uuid4(), "seconds": seconds, "only": only}).fetchone()
    if row is None:
        return None
    job, owner, kind, dry_run, limit, percent, layout, offset, line, *rest = row
    return Claim(job, owner, Kind(kind), dry_run, limit, percent, _layout(layout), Position(offset, line), *rest)


def renew(connection: Connection[Any], held: Claim, *, seconds: float) -> None:
    """Make the lease last another `seconds`. Raises LostError."""
    _change(connection, held, "lease_until = now() + make_interval(secs => %s)", seconds)


def keep_layout(connection: Connection[Any], held: Claim, layout: Layout) -> None:
    """Write down how the file is written and where its rows begin. Raises LostError."""
    written = {"delimiter": layout.delimiter, "header": layout.header, "start": layout.start}
    _change(connection, held, "layout = %s, next_offset = %s, next_line = %s", Jsonb(written), *layout.start)


def advance(connection: Connection[Any], held: Claim, *, bytes_done: int, seconds: float) -> None:
    """Of a batch's transaction the first step: it locks the job until the batch is written or not. Raises LostError."""
    lease = "lease_until = now() + make_interval(secs => %s), attempts = 0, bytes_done = least(%s, size)"
    _change(connection, held, lease, seconds, bytes_done)


def release(connection: Connection[Any], held: Claim, *, delay: float, is_counted: bool) -> None:
    """Let anybody claim the job after `delay` seconds. Raises LostError."""
    change = "lease_until = now() + make_interval(secs => %s), lease_owner = NULL, attempts = greatest(0, attempts - %s)"
    _change(connection, held, change, delay, 0 if is_counted else 1)


def end(
    connection: Connection[Any], held: Claim, status: Status, *, code: str = "", message: str = "", line: int | None = None
) -> None:
    """End the job, with an error if there is a code, and drop its file. Raises LostError."""
    change = (
        "status = %s, ended_at = date_trunc('second', localtimestamp), lease_owner = NULL, lease_until = NULL,"
        " error_code = nullif(%s, ''), error_message = nullif(%s, ''), error_line = %s, attempts = 0,"
        " bytes_done = CASE WHEN %s THEN size ELSE bytes_done END"
    )
    _change(connection, held, change, status.value, code, message, line, status is Status.DONE)
    drop_file(connection, held.id)


def drop_file(connection: Connection[Any], job: UUID) -> None:
    """Forget the file of a job that has ended."""
    connection.execute("DELETE FROM import_blob WHERE job_id = %s", (job,))


_ABANDONED = """
SELECT id FROM import_job WHERE (status = 'receiving' AND lease_until < now())
    OR ended_at < localtimestamp - make_interval(days => %s) ORDER BY created_at LIMIT 100
"""
_LEFT_FILES = """
SELECT id FROM import_job j WHERE status IN ('done', 'failed', 'cancelled')
    AND EXISTS (SELECT FROM import_blob b WHERE b.job_id = j.id) LIMIT 100
"""


def sweep(connection: Connection[Any], *, days: int) -> int:
    """Forget uploads that nobody sends any more, jobs that ended `days` ago, and files of jobs that have ended; how many."""
    left = connection.execute(_LEFT_FILES).fetchall()
    for (job,) in left:
        drop_file(connection, job)
    old = connection.execute(_ABANDONED, (days,)).fetchall()
    for (job,) in old:  # one by one: rejects may be many
        connection.execute(
            "DELETE FROM import_job WHERE id = %s AND (ended_at IS NOT NULL OR status = 'receiving' AND lease_until < now())",
            (job,),
        )
    return len(left) + len(old)


def _change(connection: Connection[Any], held: Claim, change: str, *parameters: object) -> None:
    query = f"UPDATE import_job SET {change} WHERE id = %s AND lease_owner = %s AND status = 'running'"  # noqa: S608 - of constants
    # psycopg's types ask for a literal, which these are, put together.
    if connection.execute(query.encode(), (*parameters, held.id, held.owner)).rowcount != 1:
        raise LostError(f"job {held.id} is somebody else's, or cancelled")


def _layout(kept: dict[str, Any] | None) -> Layout | None:
    return None if kept is None else Layout(kept["delimiter"], tuple(kept["header"]), Position(*kept["start"]))
