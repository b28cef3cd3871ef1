"""Queries on URLs. Every change leaves its event, in the same transaction."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from app.domain.urls import NewUrl, UrlChanges
from app.errors import NotFound
from app.store import events
from app.store.database import Database, Row
from app.store.events import Kind
from app.store.models import Url

# One statement, however many URLs a user has.
_REMOVE = """
WITH gone AS (DELETE FROM urls WHERE id = %s OR user_id = %s RETURNING *),
noted AS (
    INSERT INTO events (url_id, user_id, event_type, timestamp, details)
    SELECT id, user_id, 'deleted', %s, jsonb_build_object('short_code', short_code, 'original_url', original_url)
    FROM gone ORDER BY id
)
SELECT short_code FROM gone
"""


def add(database: Database, url: NewUrl, *, code: str, now: datetime) -> Row | None:
    """The new URL, or None when `code` is taken. Raises peewee.IntegrityError when there is no such user."""
    created = url.created_at or now
    values = {
        "user_id": url.user_id, "short_code": code, "original_url": url.original_url, "title": url.title,
        "is_active": url.is_active is not False, "created_at": created, "updated_at": url.updated_at or created,
    }  # fmt: skip
    with database.atomic():
        insert = Url.insert(values).on_conflict(conflict_target=[Url.short_code], action="IGNORE")
        for row in insert.returning(Url).dicts().execute(database):
            details = {"short_code": code, "original_url": url.original_url}
            events.record(database, Kind.CREATED, row, now=now, details=details)
            return Row(row)
    return None


def page(database: Database, *, user_id: int | None, limit: int, offset: int) -> list[Row]:
    """Ordered by id; those of one user where `user_id` is given."""
    query = Url.select().order_by(Url.id).limit(limit).offset(offset)
    if user_id is not None:
        query = query.where(Url.user_id == user_id)
    return list(query.dicts().execute(database))


def find(database: Database, url_id: int) -> Row:
    """Raises NotFound."""
    for row in Url.select().where(Url.id == url_id).dicts().execute(database):
        return Row(row)
    raise NotFound("URL", url_id)


def by_code(database: Database, code: str) -> Row | None:
    """What a redirect needs of the URL with this code, None if there is none."""
    query = Url.select(Url.id, Url.user_id, Url.original_url, Url.is_active).where(Url.short_code == code)
    for row in query.dicts().execute(database):
        return Row(row)
    return None


def change(database: Database, url_id: int, changes: UrlChanges, *, now: datetime) -> Row:
    """The URL after its changes, in the caller's transaction; what stays as it is leaves no event. Raises NotFound."""
    before = _locked(database, url_id)
    new: dict[str, Any] = {field: value for field, value in changes.items() if before[field] != value}
    if not new:
        return before
    query = Url.update({**new, "updated_at": now}).where(Url.id == url_id).returning(Url)
    row = Row(query.dicts().execute(database)[0])
    details = {"short_code": row["short_code"], "changed": {field: [before[field], value] for field, value in new.items()}}
    events.record(database, Kind.UPDATED, row, now=now, details=details)
    return row


def remove(database: Database, url_id: int, *, now: datetime) -> str:
    """Delete the URL in the caller's transaction; its code. Raises NotFound."""
    for (code,) in database.rows(_REMOVE, url_id, None, now):
        return str(code)
    raise NotFound("URL", url_id)


def remove_all_of(database: Database, user_id: int, *, now: datetime) -> list[str]:
    """Delete the user's URLs in the caller's transaction; their codes."""
    return [code for (code,) in database.rows(_REMOVE, None, user_id, now)]


def _locked(database: Database, url_id: int) -> Row:
    for row in Url.select().where(Url.id == url_id).for_update().dicts().execute(database):
        return Row(row)
    raise NotFound("URL", url_id)
