"""Reading incidents from a journal's file without touching it, also while its controller runs or is gone."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import peewee

from controller.adapters.journal.rows import SCHEMA, find_incident, find_incidents
from controller.errors import JournalError
from controller.model.incident import Incident, IncidentState


def read_incidents(path: Path, *, limit: int, service: str | None, states: Collection[IncidentState]) -> list[Incident]:
    """As `Journal.incidents`. Raises JournalError."""
    with _opened(path) as database:
        return find_incidents(database, limit=limit, service=service, states=states)


def read_incident(path: Path, number: int) -> Incident | None:
    """Raises JournalError."""
    with _opened(path) as database:
        return find_incident(database, number)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    database: Any = peewee.SqliteDatabase(f"{path.absolute().as_uri()}?mode=ro", uri=True, autoconnect=False)
    try:
        database.connect()
        found = database.pragma("user_version")
        if found != SCHEMA:
            raise JournalError(f"{path} is no journal of this version: schema {found}, not {SCHEMA}")
        yield database
    except (peewee.PeeweeException, sqlite3.Error, OSError, ValueError) as error:
        raise JournalError(f"the journal {path} cannot be read: {error}") from error
    finally:
        database.close()
