"""A connection that never waits for ever: PostgreSQL's own limits do not help when PostgreSQL itself hangs."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg.abc import PQGen
from psycopg.errors import _WaitTimeout

# Seconds beyond PostgreSQL's own statement_timeout: whoever still hears nothing is not talking to a live server.
GRACE_SECONDS = 1.0
CONNECT_SECONDS = 2  # libpq takes no less


class Connection(psycopg.Connection[Any]):
    """Gives up `patience` seconds after a request (None: never), and is closed then: what became of the request is unknown."""

    patience: float | None = None

    def wait(self, gen: PQGen[Any], interval: float = 0.1, timeout: float | None = None) -> Any:
        """Raises psycopg.OperationalError when the server stays silent."""
        try:
            return super().wait(gen, interval, self.patience if timeout is None else timeout)
        except _WaitTimeout:
            self.pgconn.finish()
            raise psycopg.OperationalError(f"the server was silent for {self.patience} s") from None


def connect(url: str, *, statement_seconds: float, name: str) -> Connection:
    """A connection in autocommit mode, known to the server as `name`. Raises psycopg.OperationalError."""
    connection = Connection.connect(
        url, autocommit=True, connect_timeout=CONNECT_SECONDS, application_name=name,
        # A second of idling inside a transaction means that its process is stuck or gone: its locks must not stay.
        options=f"-c statement_timeout={int(statement_seconds * 1000)} -c lock_timeout={int(statement_seconds * 1000)}"
        f" -c idle_in_transaction_session_timeout={int((statement_seconds + GRACE_SECONDS) * 1000)} -c timezone=UTC",
        tcp_user_timeout=int((statement_seconds + GRACE_SECONDS) * 1000),
        # Networks forget connections that idle, and tell neither side.
        keepalives_idle=30, keepalives_interval=10, keepalives_count=3,
    )  # fmt: skip
    connection.patience = statement_seconds + GRACE_SECONDS
    return connection
