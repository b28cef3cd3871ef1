"""peewee on the pool: a thread takes its connection with its first query and gives it back at the end of the request."""

from __future__ import annotations

from typing import Any

import peewee
from peewee import PostgresqlDatabase

from app.errors import Conflict, NotFound, Unavailable
from app.settings import Settings
from app.store.connection import Connection, connect
from app.store.pool import Pool

Row = dict[str, Any]

# Classes of SQLSTATE that mean "not now": connections, resources, operator intervention; and what a retry by the client may cure.
_PASSING = ("08", "53", "57", "58")
_PASSING_STATES = frozenset({"40001", "40P01", "55P03"})  # serialization, deadlock, lock timeout


class Database(PostgresqlDatabase):
    """The database of one process. Made without touching the network."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings.database_url or None, prefer_psycopg3=True)
        self._configured = bool(settings.database_url)
        self.pool = Pool(lambda: _open(settings), size=settings.pool_size, wait_seconds=settings.pool_wait_seconds)

    def connect(self, reuse_if_open: bool = False) -> bool:
        """Take a connection out of the pool for this thread; False if it has one. Raises Unavailable."""
        if not self._configured:
            raise Unavailable("postgresql", "no DATABASE_URL is set", retry_after=60)
        if not self.is_closed():
            return False
        self._state.set_connection(self.pool.take())  # type: ignore[attr-defined]  # peewee's stubs leave it out
        return True

    def close(self) -> bool:
        """Give this thread's connection back; False if it has none."""
        if self.is_closed():
            return False
        state = self._state  # type: ignore[attr-defined]  # peewee's stubs leave it out
        connection: Connection = state.conn
        state.reset()
        self.pool.give(connection)
        return True

    def rows(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        """What a statement of our own returns. Raises Unavailable and peewee's errors."""
        return list(self.execute_sql(statement, parameters).fetchall())  # type: ignore[no-untyped-call]


def _open(settings: Settings) -> Connection:
    return connect(settings.database_url, statement_seconds=settings.statement_seconds, name=f"app-{settings.replica}")


def translated(error: peewee.PeeweeException) -> Exception:
    """What a database error means to who asked: Unavailable, Conflict, NotFound, or itself where it is a fault of ours."""
    cause = getattr(error, "orig", None)
    state = getattr(cause, "sqlstate", None) or ""
    if isinstance(error, peewee.IntegrityError):
        return _broken_constraint(cause) or error
    connection_lost = isinstance(error, (peewee.OperationalError, peewee.InterfaceError)) and not state
    if connection_lost or state[:2] in _PASSING or state in _PASSING_STATES:
        meaning = Unavailable("postgresql", type(cause).__name__)
        meaning.__cause__ = error
        return meaning
    return error


def _broken_constraint(cause: Any) -> Exception | None:
    """Constraints are named TABLE_COLUMN_key and TABLE_COLUMN_fkey, as PostgreSQL does by itself."""
    name = cause.diag.constraint_name or ""
    table, _, rest = name.partition("_")
    column, _, kind = rest.rpartition("_")
    thing = {"users": "user", "urls": "URL", "events": "event"}.get(table, table)
    if kind == "key":
        return Conflict(thing, column)
    if kind == "fkey":
        return NotFound(column.removesuffix("_id"), "of this id")
    return None
