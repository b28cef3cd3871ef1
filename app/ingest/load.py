"""One batch of records into its table, as if its rows were written one after the other.

A row means the row of its id, or without an id that of its username or short code; events without an id are always new.
Where a file gives ids to some of its rows only, the ids of the others are drawn beyond those of their batch. Every record
ends as one of these:

- inserted: no such row was there
- updated: it was, and the file says something new; unchanged: it says nothing new
- duplicate: the very same record stands in this batch before; it shares the fate of that one, so it may be refused too
- rejected: `missing_reference`, or `clash`: a value that only one row may have belongs to another one
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec
from psycopg import Connection

from app.domain.codes import new_code
from app.ingest.model import Reject, RowCode
from app.ingest.parse import Batch
from app.ingest.rows import Accepted, Kind, UrlRecord
from app.ingest.straight import insert_straight
from app.ingest.tables import TABLES, Table

Randomness = Callable[[int], int]


class LostRowError(Exception):
    """The conservation law does not hold for a batch. Nothing of it may be committed."""


@dataclass
class Outcome:
    """What became of a batch; its counts and its rejects add up to its rows."""

    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    duplicate: int = 0
    rejects: list[Reject] = field(default_factory=list)
    # Short codes, old and new, of URLs that were updated: what a cache knows of them is out of date after the commit.
    stale: list[str] = field(default_factory=list)


def load_batch(
    connection: Connection[Any], kind: Kind, batch: Batch | Sequence[Accepted], *, now: datetime, below: Randomness
) -> Outcome:
    """Write a batch in the caller's transaction. `below` draws the short codes that the file leaves out (`secrets.randbelow`).

    Of a `Batch`, its accepted rows: straight into the table if they are all new, for which its plain rows are not even split.

    Raises psycopg.errors.UniqueViolation, ForeignKeyViolation or DeadlockDetected when somebody else writes the same rows
    at the same moment: roll back and load the batch again. LostRowError likewise.
    """
    inserted = None
    if isinstance(batch, Batch):
        inserted = insert_straight(connection, kind, batch, TABLES[kind].make_way, now=now, below=below)
    if inserted is not None:
        outcome = Outcome(inserted=inserted)
    else:
        outcome = _by_stage(connection, kind, batch.accepted if isinstance(batch, Batch) else batch, now, below)
    ended = outcome.inserted + outcome.updated + outcome.unchanged + outcome.duplicate + len(outcome.rejects)
    if ended != len(batch):
        raise LostRowError(f"{len(batch)} rows went in and {ended} came out")
    return outcome


def _by_stage(connection: Connection[Any], kind: Kind, batch: Sequence[Accepted], now: datetime, below: Randomness) -> Outcome:
    table, outcome = TABLES[kind], Outcome()
    connection.execute(table.stage)
    # Before anything is written, so that nobody else draws an id of this batch meanwhile.
    connection.execute(table.make_way, {"highest": max((row.record.id or 0 for row in batch), default=0)})
    twins: list[tuple[Accepted, Accepted]] = []
    for block in _rounds(table, batch, twins):
        left = block
        while left:  # again for what waits for an earlier row, and for drawn codes that are taken
            left = _load_round(connection, kind, left, outcome, now=now, below=below)
    _count_twins(twins, outcome)
    return outcome


def _rounds(table: Table, batch: Sequence[Accepted], twins: list[tuple[Accepted, Accepted]]) -> Iterator[list[Accepted]]:
    """The batch in parts in which no two rows are about the same row or value; `twins` takes what is there twice."""
    places = [0, *table.unique.values()]
    if all(_all_differ([row.record[place] for row in batch]) for place in places):
        yield list(batch)
        return
    seen: list[dict[object, Accepted]] = [{} for _ in places]
    part: list[Accepted] = []
    for row in batch:
        record = row.record
        mine = [(known, value) for known, place in zip(seen, places, strict=True) if (value := record[place]) is not None]
        if earlier := [known[value] for known, value in mine if value in known]:
            if len(earlier) == len(mine) and all(other.record == record for other in earlier):
                twins.append((row, earlier[0]))
                continue
            yield part
            part = []
            for known in seen:
                known.clear()
        for known, value in mine:
            known[value] = row
        part.append(row)
    yield part


def _all_differ(values: list[object]) -> bool:
    return len(set(values)) + max(0, values.count(None) - 1) == len(values)


def _count_twins(twins: list[tuple[Accepted, Accepted]], outcome: Outcome) -> None:
    """A twin of a row that was refused is refused for the same reason."""
    refused = {reject.line: reject for reject in outcome.rejects}
    for row, earlier in twins:
        reason = refused.get(earlier.line)
        if reason is None:
            outcome.duplicate += 1
        else:
            outcome.rejects.append(reason._replace(line=row.line, raw=row.raw))
    outcome.rejects.sort()


def _load_round(
    connection: Connection[Any], kind: Kind, rows: list[Accepted], outcome: Outcome, *, now: datetime, below: Randomness
) -> list[Accepted]:
    """Load rows that are not in each other's way; returns those to be tried again."""
    table = TABLES[kind]
    staged = [_with_code(row, below) for row in rows] if kind is Kind.URLS else rows
    drawn = {n for n, row in enumerate(staged) if row is not rows[n]}
    connection.execute(table.clear)
    with connection.cursor() as cursor:
        with cursor.copy(table.copy) as copy:
            copy.write("".join([_copy_line(n, row.record) for n, row in enumerate(staged)]))
        new = cursor.execute(table.insert, {"now": now}).fetchall()
        outcome.inserted += len(new)
        if len(new) == len(rows):
            return []
        left = _not_among(table, staged, new)
        if drawn:  # a row that is there already keeps its code
            cursor.execute("UPDATE stage_urls SET short_code = NULL WHERE n = ANY(%s)", (list(drawn),))
        # Without statistics of the stage, a hash join would read the whole table for each batch.
        cursor.execute("SET LOCAL enable_hashjoin = off")
        cursor.execute("SET LOCAL enable_mergejoin = off")
        again, ids = _classify(table, rows, cursor.execute(table.judge, {"rows": left}).fetchall(), outcome)
        cursor.execute("SET LOCAL enable_hashjoin = on")
        if ids and kind is Kind.URLS:
            before = cursor.execute("SELECT short_code FROM urls WHERE id = ANY(%s)", (list(ids.values()),)).fetchall()
            outcome.stale += [code for (code,) in before] + [str(staged[n].record[2]) for n in ids if n not in drawn]
        if ids:
            cursor.execute(table.update, {"rows": list(ids), "ids": list(ids.values())})
            outcome.updated += len(ids)
    return [rows[n] for n in again]


def _classify(
    table: Table, rows: list[Accepted], verdicts: list[tuple[Any, ...]], outcome: Outcome
) -> tuple[list[int], dict[int, int]]:
    """Count and refuse what was judged; returns the rows to try again, and the rows to update with the ids that they mean."""
    again: list[int] = []
    ids: dict[int, int] = {}
    moving: set[int] = set()  # what rows before this one are about to change, and so cannot be judged by yet
    for n, meant, is_known, is_same, *owners in sorted(verdicts):
        taken = {
            column: owner for column, owner in zip(table.unique, owners, strict=True) if owner is not None and owner != meant
        }
        if not is_known:
            outcome.rejects.append(_reject(rows[n], table.reference, RowCode.MISSING_REFERENCE, "is the id of nothing there"))
        elif meant in moving or not moving.isdisjoint(taken.values()):
            again.append(n)
        elif taken:
            column, owner = next(iter(taken.items()))
            outcome.rejects.append(_reject(rows[n], column, RowCode.CLASH, f"belongs to the row with the id {owner}"))
        elif is_same:
            outcome.unchanged += 1
        elif meant is None:
            again.append(n)
        else:
            ids[n] = meant
            moving.add(meant)
    return again, ids


def _reject(row: Accepted, column: str, code: RowCode, message: str) -> Reject:
    return Reject(row.line, column, code, message, row.raw)


def _with_code(row: Accepted, below: Randomness) -> Accepted:
    record = row.record
    if isinstance(record, UrlRecord) and record.short_code is None:
        return row._replace(record=record._replace(short_code=new_code(below)))
    return row


def _not_among(table: Table, rows: list[Accepted], new: list[tuple[Any, ...]]) -> list[int]:
    """The places of the rows that were not inserted. An event without an id always is."""
    if table.key is None:
        ids = {row[0] for row in new}
        return [n for n, row in enumerate(rows) if row.record.id is not None and row.record.id not in ids]
    keys = {row[1] for row in new}
    return [n for n, row in enumerate(rows) if row.record[table.key] not in keys]


_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


def _copy_line(n: int, record: Sequence[object]) -> str:
    """COPY's text format; see PostgreSQL's manual, COPY, File Formats."""
    # Plain texts are told apart here: this is done for every cell of every row.
    cells = [value if type(value) is str and "\\" not in value and value.isprintable() else _copy_cell(value) for value in record]
    return f"{n}\t" + "\t".join(cells) + "\n"


def _copy_cell(value: object) -> str:
    if value is None:
        return "\\N"
    if type(value) is str:
        return value.translate(_ESCAPES)
    if type(value) is dict:
        return msgspec.json.encode(value).decode().translate(_ESCAPES)
    return str(value)
