"""Queries on events."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

from app.click import Click
from app.domain.events import NewEvent
from app.errors import NotFound
from app.store.database import Database, Row
from app.store.models import Event, Url, User

_SHOWN = (Event.id, Event.url_id, Event.user_id, Event.event_type, Event.timestamp, Event.details)


class Kind(StrEnum):
    """The events that the service itself writes."""

    CREATED = "created"
    UPDATED = "updated"
    DELETED = "deleted"
    CLICKED = "clicked"


class Wanted(NamedTuple):
    """Which events a list shows; None shows all."""

    url_id: int | None = None
    user_id: int | None = None
    event_type: str | None = None


def add(database: Database, event: NewEvent, *, now: datetime) -> Row:
    """Raises NotFound when the URL or the user that it names does not exist."""
    if event.url_id is not None and not Url.select(Url.id).where(Url.id == event.url_id).tuples().execute(database):
        raise NotFound("URL", event.url_id)
    if event.user_id is not None and not User.select(User.id).where(User.id == event.user_id).tuples().execute(database):
        raise NotFound("user", event.user_id)
    values = {**event._asdict(), "timestamp": event.timestamp or now}
    return Row(Event.insert(values).returning(*_SHOWN).dicts().execute(database)[0])


def record(database: Database, kind: Kind, url: Row, *, now: datetime, details: dict[str, Any]) -> None:
    """Write an event of the service itself on `url`, in the caller's transaction."""
    values = {"url_id": url["id"], "user_id": url["user_id"], "event_type": kind.value, "timestamp": now, "details": details}
    Event.insert(values).execute(database)


def record_clicks(database: Database, clicks: Sequence[Click]) -> int:
    """Write what is not written yet, in one statement; how many that were. Safe to repeat."""
    if not clicks:
        return 0
    columns = [list(column) for column in zip(*clicks, strict=True)]
    written = database.rows(
        """
        INSERT INTO events (click_id, url_id, user_id, event_type, timestamp, details)
        SELECT click.id, click.url_id, click.user_id, 'clicked', click.at, jsonb_build_object('short_code', click.code)
        FROM unnest(%s::uuid[], %s::integer[], %s::integer[], %s::text[], %s::timestamp[])
            WITH ORDINALITY AS click (id, url_id, user_id, code, at, position)
        ORDER BY position
        ON CONFLICT (click_id) WHERE click_id IS NOT NULL DO NOTHING
        RETURNING 1
        """,
        *columns,
    )
    return len(written)


def page(database: Database, wanted: Wanted, *, limit: int, offset: int) -> list[Row]:
    """Ordered by id."""
    query = Event.select(*_SHOWN).order_by(Event.id).limit(limit).offset(offset)
    for name, value in wanted._asdict().items():
        if value is not None:
            query = query.where(getattr(Event, name) == value)
    return list(query.dicts().execute(database))


def find(database: Database, event_id: int) -> Row:
    """Raises NotFound."""
    for row in Event.select(*_SHOWN).where(Event.id == event_id).dicts().execute(database):
        return Row(row)
    raise NotFound("event", event_id)
