"""What the database's errors mean to who asked."""

from __future__ import annotations

import peewee
import psycopg
import pytest
from psycopg import errors

from app.errors import Unavailable
from app.store.database import translated


@pytest.mark.parametrize(
    "cause",
    [
        errors.AdminShutdown(), errors.TooManyConnections(), errors.DiskFull(), errors.OutOfMemory(), errors.QueryCanceled(),
        errors.DeadlockDetected(), errors.LockNotAvailable(), errors.SerializationFailure(), errors.IoError(),
        errors.ConnectionFailure(), psycopg.OperationalError("the connection is lost"),
    ],
    ids=lambda cause: type(cause).__name__,
)  # fmt: skip
def test_what_passes_is_unavailable_and_says_nothing_of_the_inside(cause: psycopg.Error) -> None:
    meaning = translated(peewee.OperationalError(cause, "FATAL: secret"))
    assert isinstance(meaning, Unavailable)
    assert meaning.what == "postgresql"
    assert "secret" not in str(meaning)


@pytest.mark.parametrize("cause", [errors.UndefinedTable(), errors.SyntaxError(), errors.InvalidTextRepresentation()])
def test_what_is_a_fault_of_ours_stays_one(cause: psycopg.Error) -> None:
    error = peewee.ProgrammingError(cause)
    assert translated(error) is error
