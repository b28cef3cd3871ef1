"""Queries on URLs. Every change leaves its event, in the same transaction."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from peewee import Expression

from app.domain.urls import NewUrl, UrlChanges
from app.errors import NotFound
from app.store import events
from app.store.database import Database, Row
from app.store.events import Kind
from app.store.models import Url


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
    for code in remove_all_of(database, Url.id == url_id, now=now):
        return code
    raise NotFound("URL", url_id)


def remove_all_of(database: Database, which: Expression, *, now: datetime) -> list[str]:
    """Delete the URLs in the caller's transaction, each leaving a `deleted` event; their codes."""
    gone = list(Url.delete().where(which).returning(Url).dicts().execute(database))
    for url in gone:
        details = {"short_code": url["short_code"], "original_url": url["original_url"]}
        events.record(database, Kind.DELETED, url, now=now, details=details)
    return [url["short_code"] for url in gone]


def _locked(database: Database, url_id: int) -> Row:
    for row in Url.select().where(Url.id == url_id).for_update().dicts().execute(database):
        return Row(row)
    raise NotFound("URL", url_id)
