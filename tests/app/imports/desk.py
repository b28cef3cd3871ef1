"""Imports as the tests send them, work on them and look at what came of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
from flask import Flask
from psycopg import sql
from werkzeug.test import TestResponse

from app.ingest.claims import sweep
from app.ingest.jobs import Importer
from app.store.connection import Connection, connect

COUNTS = ("inserted", "updated", "unchanged", "duplicate", "rejected")
USERS = "id,username,email\n"


def users(first: int, last: int) -> str:
    """Good rows, and nothing but rows."""
    return "".join(f"{n},user{n},user{n}@example.com\n" for n in range(first, last + 1))


class Desk:
    """Sends files to a replica, and works on them like a worker in this process."""

    def __init__(self, app: Flask, url: str) -> None:
        self.app, self.client, self.url = app, app.test_client(), url
        self.importer: Importer = app.extensions["services"].importer()

    def send(
        self, data: str | bytes, kind: str = "users", *, headers: dict[str, str] | None = None, **query: Any
    ) -> TestResponse:
        return self.client.post(
            "/imports", data=data, content_type="text/csv", query_string={"kind": kind, **query}, headers=headers
        )

    def sent(self, data: str | bytes, kind: str = "users", **query: Any) -> str:
        """The path of the new job."""
        answer = self.send(data, kind, **query)
        assert answer.status_code == 202, answer.text
        return answer.headers["Location"]

    def done(self, data: str | bytes, kind: str = "users", **query: Any) -> dict[str, Any]:
        """The job after it has ended."""
        path = self.sent(data, kind, **query)
        self.work()
        return self.job(path)

    def job(self, path: str) -> dict[str, Any]:
        answer = self.client.get(path)
        assert answer.status_code == 200, answer.text
        job: dict[str, Any] = answer.get_json()
        assert job["rows"] == sum(job[name] for name in COUNTS)
        return job

    def rejects(self, path: str) -> list[dict[str, Any]]:
        answer = self.client.get(f"{path}/rejects?per_page=100")
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.get_json()
        return found

    def connect(self) -> Connection:
        return connect(self.url, statement_seconds=20, name="test-import")

    def work(self, importer: Importer | None = None) -> int:
        """Do what there is to do now; how many claims that were."""
        connection, count = self.connect(), 0
        try:
            while (importer or self.importer).work(connection):
                count += 1
        finally:
            connection.close()
        return count

    def sweep(self) -> int:
        connection = self.connect()
        try:
            return sweep(connection, days=7)
        finally:
            connection.close()

    def rows(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url, autocommit=True) as connection:
            return connection.execute(sql.SQL(query), parameters).fetchall()

    def run(self, statement: str, *parameters: object) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(sql.SQL(statement), parameters)

    def hurry(self) -> None:
        """Let every lease end now, as if time had passed."""
        self.run("UPDATE import_job SET lease_until = now() - interval '1 second'")

    def counts(self, path: str) -> dict[str, int]:
        job = self.job(path)
        return {name: job[name] for name in COUNTS if job[name]}

    def state(self) -> list[list[tuple[Any, ...]]]:
        """All that an import leaves, but for times and the jobs' own names."""
        counts = f"status, kind, {', '.join(COUNTS)}, size, bytes_done, next_offset, next_line, error_code, error_line"
        return [
            self.rows(f"SELECT {counts} FROM import_job ORDER BY created_at"),  # noqa: S608 - of constants
            self.rows('SELECT line, "column", code, message, raw FROM import_reject ORDER BY line'),
            self.rows("SELECT id, username, email FROM users ORDER BY id"),
            self.rows("SELECT count(*) FROM import_blob"),
        ]


MakeDesk = Callable[..., Desk]
