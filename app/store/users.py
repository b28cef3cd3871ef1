"""Queries on users."""

from __future__ import annotations

from datetime import datetime

from app.domain.users import NewUser, UserChanges
from app.errors import NotFound
from app.store.database import Database, Row
from app.store.models import User
from app.store.urls import remove_all_of


def add(database: Database, user: NewUser, *, now: datetime) -> Row:
    """Raises peewee.IntegrityError when the name or the address is taken."""
    values = {"username": user.username, "email": user.email, "created_at": user.created_at or now}
    return Row(User.insert(values).returning(User).dicts().execute(database)[0])


def page(database: Database, *, limit: int, offset: int) -> list[Row]:
    """Ordered by id."""
    return list(User.select().order_by(User.id).limit(limit).offset(offset).dicts().execute(database))


def find(database: Database, user_id: int) -> Row:
    """Raises NotFound."""
    for row in User.select().where(User.id == user_id).dicts().execute(database):
        return Row(row)
    raise NotFound("user", user_id)


def change(database: Database, user_id: int, changes: UserChanges) -> Row:
    """The user after its changes, which may be none. Raises NotFound, and peewee.IntegrityError as `add`."""
    if not changes:
        return find(database, user_id)
    for row in User.update(dict(changes)).where(User.id == user_id).returning(User).dicts().execute(database):
        return Row(row)
    raise NotFound("user", user_id)


def remove(database: Database, user_id: int, *, now: datetime) -> list[str]:
    """Delete the user and its URLs, each leaving a `deleted` event, in the caller's transaction; the codes of the URLs.

    Raises NotFound.
    """
    # The lock keeps others from giving this user a new URL meanwhile.
    if not list(User.select(User.id).where(User.id == user_id).for_update().tuples().execute(database)):
        raise NotFound("user", user_id)
    codes = remove_all_of(database, user_id, now=now)
    User.delete().where(User.id == user_id).execute(database)
    return codes
