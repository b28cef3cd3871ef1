"""A million rows, one in a hundred bad: the application's import beside a bare COPY of the good ones into the same table.

Run as `python -m tests.bench.importing JOB`, this is the process that imports, and prints what it took.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from uuid import UUID

import psycopg

from app.ingest.intake import receive
from app.services import Services
from app.settings import Settings
from app.store.connection import connect
from app.store.imports import Options
from app.store.migrate import migrate
from tests.support.controller import ROOT
from tests.support.postgres import PostgresServer

ROWS = 1_000_000
BAD_EVERY = 100
PIECE = 64 * 1024
COLUMNS = "id,username,email,created_at"


class Imports:
    """A database of its own and the two files. Each measurement begins with empty tables."""

    def __init__(self, folder: Path) -> None:
        self._all, self._good = folder / "users.csv", folder / "good.csv"
        _write(self._all, self._good)
        self._server = PostgresServer()
        with closing(connect(self._server.url, statement_seconds=60, name="bench")) as connection:
            migrate(connection)
        self.mebibytes: list[float] = []

    def ours(self) -> float:
        """Seconds in which a worker imports the file, which lies in the database as it does after an upload."""
        self._clear()
        services = Services.of(Settings.of({"DATABASE_URL": self._server.url}))
        with self._all.open("rb") as source:
            job, _ = receive(services.database, iter(lambda: source.read(PIECE), b""), Options("users"))
        services.database.pool.close()
        with psycopg.connect(self._server.url, autocommit=True) as connection:
            connection.execute("CHECKPOINT")
        done = subprocess.run(
            [sys.executable, "-m", "tests.bench.importing", str(job)],
            env={**os.environ, "DATABASE_URL": self._server.url}, cwd=ROOT, check=True, timeout=600, text=True,
            stdout=subprocess.PIPE,
        )  # fmt: skip
        with psycopg.connect(self._server.url) as connection:
            counted = connection.execute("SELECT status, inserted, rejected FROM import_job").fetchone()
        assert counted == ("done", ROWS - ROWS // BAD_EVERY, ROWS // BAD_EVERY), counted
        told = json.loads(done.stdout)
        self.mebibytes.append(told["mebibytes"])
        return float(told["seconds"])

    def theirs(self) -> float:
        """Seconds of COPY."""
        self._clear()
        with psycopg.connect(self._server.url, autocommit=True) as connection, self._good.open("rb") as source:
            connection.execute("CHECKPOINT")
            begin = time.monotonic()
            with connection.cursor().copy(f"COPY users ({COLUMNS}) FROM STDIN (FORMAT csv)") as copy:
                for piece in iter(lambda: source.read(PIECE), b""):
                    copy.write(piece)
            return time.monotonic() - begin

    def close(self) -> None:
        self._server.remove()

    def _clear(self) -> None:
        with psycopg.connect(self._server.url, autocommit=True) as connection:
            connection.execute("TRUNCATE users, import_job RESTART IDENTITY CASCADE")


def _write(everything: Path, good: Path) -> None:
    with everything.open("w") as whole, good.open("w") as part:
        whole.write(f"{COLUMNS}\n")
        for number, row in enumerate(_rows(), 1):
            whole.write(row)
            if number % BAD_EVERY:
                part.write(row)


def _rows() -> Iterator[str]:
    for n in range(1, ROWS + 1):
        moment = f"2025-{n % 12 + 1:02}-{n % 28 + 1:02} {n % 24:02}:{n % 60:02}:{n % 59:02}"
        if n % BAD_EVERY:
            yield f"{n},user_{n},user{n}@example{n % 97}.com,{moment}\n"
        else:
            yield (
                f"x{n},user_{n},user{n}@example.com,{moment}\n",
                f"{n},user_{n},nomail,2025-02-30 00:00:00\n",
                f"{n},user_{n},user{n}@example.com\n",
                f'{n},"user_{n},user{n}@example.com,{moment}\n',
            )[n // BAD_EVERY % 4]


def _main(job: str) -> None:
    settings = Settings.of(os.environ)
    importer = Services.of(settings).importer()
    with closing(connect(settings.database_url, statement_seconds=60, name="bench")) as connection:
        idle = _kibibytes("VmRSS")
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins here
        begin = time.monotonic()
        importer.work(connection, only=UUID(job))
        seconds = time.monotonic() - begin
    print(json.dumps({"seconds": seconds, "mebibytes": (_kibibytes("VmHWM") - idle) / 1024}))  # noqa: T201 - for who started it


def _kibibytes(name: str) -> int:
    found = re.search(rf"{name}:\s*(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    return int(found[1])


if __name__ == "__main__":
    _main(sys.argv[1])
