"""A PostgreSQL of the tests' own: in a temporary folder, on a loopback port, to be stopped, killed and frozen at will."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import psycopg

from tests.support.processes import descendants, send

START_SECONDS = 20


class PostgresServer:
    """One server with the database `app`, its data kept from one start to the next; as root it runs as `postgres`."""

    def __init__(self, *, max_connections: int = 60) -> None:
        self._programs = _programs()
        self._account = "postgres" if os.geteuid() == 0 else None
        # Not below pytest's folder: that one is root's, and `postgres` may not pass through.
        self.folder = Path(tempfile.mkdtemp(prefix="pg-"))
        if self._account:
            shutil.chown(self.folder, self._account, self._account)
        self._max_connections = max_connections
        self._process: subprocess.Popen[bytes] | None = None
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        # Durability is the server's own (fsync stays on); only the making of the empty cluster is not worth a sync.
        self._run(
            "initdb", "--pgdata", str(self._data), "--username", "app", "--auth", "trust", "--encoding", "UTF8",
            "--locale", "C.UTF-8", "--no-sync", "--no-instructions",
        )  # fmt: skip
        self.start()
        with psycopg.connect(self.url_of("postgres"), autocommit=True) as connection:
            connection.execute("CREATE DATABASE app")

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    @property
    def url(self) -> str:
        return self.url_of("app")

    def url_of(self, database: str) -> str:
        return f"postgresql://app@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Start it unless it runs, and wait until it takes connections."""
        if self._process is not None:
            return
        end = time.monotonic() + START_SECONDS
        while True:
            with (self.folder / "log").open("ab") as log:
                self._process = subprocess.Popen(
                    [
                        "setpriv", "--pdeathsig", "INT",  # it ends with the tests, even if these are killed
                        self._programs / "postgres", "-D", self._data, "-p", str(self.port), "-k", self.folder,
                        "-c", "listen_addresses=127.0.0.1", "-c", f"max_connections={self._max_connections}",
                    ],
                    stdout=log, stderr=log, user=self._account, group=self._account, start_new_session=True, cwd=self.folder,
                )  # fmt: skip
            while self._process.poll() is None:
                if self._answers():
                    return
                assert time.monotonic() < end, self.log()
                time.sleep(0.02)
            # After a kill, the last of the old server's children hold its memory for a moment.
            assert time.monotonic() < end, self.log()
            time.sleep(0.05)

    def stop(self) -> None:
        """End it as `docker stop` does after the image's STOPSIGNAL: sessions are cut off, data is written."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """End it and all of its children in the middle of whatever they do."""
        self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        family = self._family()
        for pid in family if number == signal.SIGKILL else [self._process.pid]:
            send(pid, number)
        self._process.wait(timeout=START_SECONDS)
        self._process = None

    def freeze(self) -> None:
        """Leave every connection open and answer nothing; `thaw` goes on as if nothing had been."""
        for pid in self._family():
            send(pid, signal.SIGSTOP)

    def thaw(self) -> None:
        for pid in self._family():
            send(pid, signal.SIGCONT)

    def remove(self) -> None:
        """Stop it and leave nothing behind."""
        if self._process is not None:
            self.thaw()
            self.stop()
        shutil.rmtree(self.folder)

    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def _family(self) -> set[int]:
        return descendants([self._process.pid]) if self._process else set()

    def _answers(self) -> bool:
        with contextlib.suppress(psycopg.OperationalError), psycopg.connect(self.url_of("postgres"), connect_timeout=2):
            return True
        return False

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [self._programs / program, *arguments], user=self._account, group=self._account, capture_output=True, text=True,
            check=False, cwd=self.folder, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr


def _programs() -> Path:
    """Where Debian keeps the newest server's programs; on no one's PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    assert found, "PostgreSQL is not installed: `make test` installs it, or apt-get install postgresql"
    return found[-1]
