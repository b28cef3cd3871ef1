"""An import's progress, which moves with what it wrote or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import Connection

from app.ingest.load import Outcome, Randomness, load_batch
from app.ingest.model import Reject
from app.ingest.parse import Batch
from app.ingest.rows import Kind


class OvertakenError(Exception):
    """Another worker has written this batch, or the job is gone. Nothing was written by this one."""


def import_batch(
    connection: Connection[Any], job: UUID, kind: Kind, batch: Batch, *, now: datetime, below: Randomness, is_dry: bool = False
) -> Outcome:
    """Load a batch, keep its rejects and move the job on, all in one transaction: a batch counts once, whoever is killed when.

    A dry one is judged and counted, and its rows are not written. Raises OvertakenError, and what `load_batch` raises.
    """
    with connection.transaction():
        # First, because it locks the job: of two workers with the same batch one waits here, and then finds it done.
        held = connection.execute(
            "UPDATE import_job SET next_offset = %s, next_line = %s WHERE id = %s AND next_offset = %s",
            (batch.after.offset, batch.after.line, job, batch.start.offset),
        )
        if held.rowcount != 1:
            raise OvertakenError(f"job {job} is not at byte {batch.start.offset} any more")
        with connection.transaction(force_rollback=True) if is_dry else nullcontext():
            outcome = load_batch(connection, kind, batch, now=now, below=below)
        outcome.rejects = sorted([*outcome.rejects, *batch.rejects])
        keep_rejects(connection, job, outcome.rejects)
        connection.execute(
            "UPDATE import_job SET inserted = inserted + %s, updated = updated + %s, unchanged = unchanged + %s,"
            " duplicate = duplicate + %s, rejected = rejected + %s WHERE id = %s",
            (outcome.inserted, outcome.updated, outcome.unchanged, outcome.duplicate, len(outcome.rejects), job),
        )
    return outcome


def keep_rejects(connection: Connection[Any], job: UUID, rejects: Sequence[Reject]) -> None:
    """Write down refused rows, in the caller's transaction."""
    if not rejects:
        return
    with connection.cursor().copy('COPY import_reject (job_id, line, "column", code, message, raw) FROM STDIN') as copy:
        for reject in rejects:
            copy.write_row((job, *reject))
