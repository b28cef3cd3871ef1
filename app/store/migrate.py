"""Bringing the schema to its head: numbered SQL files, each in one transaction, one process at a time."""

from __future__ import annotations

from importlib import resources
from typing import NamedTuple

from psycopg import sql

from app.errors import AppError
from app.store.connection import Connection
from app.store.database import Database

# Any number that nobody else locks; an advisory lock makes concurrent migrations wait for each other.
_LOCK = 7_026_017
_HISTORY = """
CREATE TABLE IF NOT EXISTS schema_version (
    version integer PRIMARY KEY, name text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now()
)
"""


class Migration(NamedTuple):
    version: int
    name: str
    statements: str


def migrations() -> list[Migration]:
    """Every migration that this version of the service knows, in their order."""
    folder = resources.files("app.store") / "migrations"
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".sql")), key=lambda file: file.name)
    return [Migration(int(file.name[:4]), file.name.removesuffix(".sql"), file.read_text()) for file in files]


HEAD = max(migration.version for migration in migrations())


def migrate(connection: Connection) -> list[str]:
    """Apply what is missing and return its names. A failing migration leaves nothing of itself behind.

    Raises AppError if the database is newer than this version of the service, and psycopg.Error.
    """
    connection.patience = None
    connection.execute("SET statement_timeout = 0")
    connection.execute("SET lock_timeout = '60s'")
    connection.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))
    try:
        connection.execute(_HISTORY)
        done = {row[0] for row in connection.execute("SELECT version FROM schema_version")}
        if newest := max(done - {migration.version for migration in migrations()}, default=0):
            raise AppError(f"the database has migration {newest}, which this version of the service does not know")
        return [_apply(connection, migration) for migration in migrations() if migration.version not in done]
    finally:
        connection.execute("SELECT pg_advisory_unlock(%s)", (_LOCK,))


def _apply(connection: Connection, migration: Migration) -> str:
    with connection.transaction():
        connection.execute(sql.SQL(migration.statements))
        connection.execute("INSERT INTO schema_version (version, name) VALUES (%s, %s)", (migration.version, migration.name))
    return migration.name


def version(database: Database) -> int:
    """The database's newest migration, 0 if it has none. Raises Unavailable and peewee's errors."""
    if database.rows("SELECT to_regclass('schema_version')") == [(None,)]:
        return 0
    return int(database.rows("SELECT coalesce(max(version), 0) FROM schema_version")[0][0])
