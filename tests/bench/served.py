"""The application under gunicorn and behind nginx, each on loopback ports of its own, and wrk to put load on them."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

import psycopg

from app.store.connection import connect
from app.store.migrate import migrate
from app.store.seed import seed
from tests.bench.scene import CommandFailedError
from tests.support.controller import ROOT
from tests.support.postgres import PostgresServer
from tests.support.processes import descendants, wait_until
from tests.support.redis_server import RedisServer

CODE = "abc123"
KEY = "bench-0123456789"
_WRITABLE = "/tmp/"  # noqa: S108 - where nginx writes in its container
_MEMORY = "/dev/shm"  # noqa: S108 - and there that is a tmpfs
_VISITS = re.compile(r"^all +(\d+) +(\d+) +\d+ +(\d+) +\d+$", re.MULTILINE)
_REQUESTS = re.compile(r"(\d+) requests in ([\d.]+)(ms|s|m),")


class Site:
    """PostgreSQL, Redis, and what is started in front of them; all of it ends with `close`."""

    def __init__(self) -> None:
        self._ends = ExitStack()
        self._folder = Path(tempfile.mkdtemp(prefix="site-"))
        self._ends.callback(shutil.rmtree, self._folder)
        postgres = PostgresServer()
        self._ends.callback(postgres.remove)
        with closing(connect(postgres.url, statement_seconds=30, name="bench")) as empty:
            migrate(empty)
        with psycopg.connect(postgres.url) as connection:
            connection.execute("INSERT INTO users (username, email, created_at) VALUES ('a', 'a@example.com', now())")
            connection.execute(
                "INSERT INTO urls (user_id, short_code, original_url, created_at, updated_at)"
                " VALUES (1, %s, 'https://example.com/some/path?with=query', now(), now())", (CODE,)
            )  # fmt: skip
        redis = RedisServer(self._folder, "--save", "", "--appendonly", "yes")
        redis.start()
        self._ends.callback(redis.kill)
        self._env = {"DATABASE_URL": postgres.url, "REDIS_URL": redis.url, "APP_CACHE_SECONDS": "3600", "APP_METRICS_PORT": "0"}

    def seed(self) -> None:
        """The sample data, for a load that follows many codes."""
        with closing(connect(self._env["DATABASE_URL"], statement_seconds=30, name="bench")) as connection:
            connection.execute("TRUNCATE users, urls, events RESTART IDENTITY")
            connection.commit()
            seed(connection)

    def gunicorn(self, factory: str) -> str:
        """The address of this application, in the service's own configuration."""
        port = _free_port()
        command = [sys.executable, "-m", "gunicorn", "--config", "app/gunicorn_conf.py", "--bind", f"127.0.0.1:{port}", factory]
        self._start(command, self._env)
        return _answering(f"http://127.0.0.1:{port}")

    def nginx(self, behind: str) -> str:
        """The address of nginx in the stack's own configuration, in front of what is at `behind`."""
        listening, status = _free_port(), _free_port()
        own = Path(tempfile.mkdtemp(prefix="nginx-", dir=_MEMORY))
        own.chmod(0o755)  # its workers are nobody
        self._ends.callback(shutil.rmtree, own)
        written = (ROOT / "nginx/shop.conf").read_text().replace(_WRITABLE, f"{own}/").replace("/dev/stdout", "/dev/null")
        for name, port in (("8080", listening), ("8081", status)):
            written = written.replace(f"listen {name}", f"listen 127.0.0.1:{port}")
        configuration = own / "nginx.conf"
        configuration.write_text(written)
        key = own / "key"
        key.write_text(KEY)
        self._start(["sh", "nginx/resolve.sh"], {
            "UPSTREAM_SERVICE": "localhost", "UPSTREAM_PORT": behind.rpartition(":")[2], "UPSTREAM_FOLDER": str(own),
            "UPSTREAM_PAUSE": "60", "NGINX_CONFIGURATION": str(configuration), "EXEMPTION_FILE": str(key),
        })  # fmt: skip
        return _answering(f"http://127.0.0.1:{listening}")

    def close(self) -> None:
        self._ends.close()

    def _start(self, command: list[str], variables: Mapping[str, str]) -> None:
        log = self._ends.enter_context((self._folder / f"{len(list(self._folder.glob('*.log')))}.log").open("wb"))
        process = subprocess.Popen(
            command, env={**os.environ, **variables}, cwd=ROOT, stdout=log, stderr=log, start_new_session=True
        )

        def end() -> None:
            family = descendants([process.pid])
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=15)
            for pid in family:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            process.wait(timeout=15)

        self._ends.callback(end)


@contextmanager
def site() -> Iterator[Site]:
    """A site that leaves nothing behind."""
    found = Site()
    try:
        yield found
    finally:
        found.close()


def is_missing(*programs: str) -> str:
    """Those of the programs that this host does not have, in words; empty if it has all of them."""
    return " and ".join(program for program in programs if shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin") is None)


def seconds_per_thousand(address: str, *, connections: int, seconds: float) -> float:
    """What a thousand requests take while so many connections ask without a pause. Raises CommandFailedError on any failure."""
    done = subprocess.run(
        ["wrk", "-t1", f"-c{connections}", f"-d{seconds:g}s", "-H", f"X-Rate-Limit-Exemption: {KEY}", address],
        check=False, capture_output=True, text=True, timeout=seconds + 30,
    )  # fmt: skip
    found = _REQUESTS.search(done.stdout)
    if found is None or "Non-2xx" in done.stdout or "Socket errors" in done.stdout:
        raise CommandFailedError(f"wrk: {(done.stderr or done.stdout)[-500:]}")
    return float(found[2]) * {"ms": 0.001, "s": 1, "m": 60}[found[3]] / int(found[1]) * 1000


def visited(address: str, *, users: int, seconds: int) -> tuple[int, int, float]:
    """Requests, failures, and their p95 in seconds of the scenario in tests/load. Raises CommandFailedError."""
    command = [sys.executable, "-m", "tests.load", "--url", address, "--users", str(users), "--seconds", str(seconds)]
    done = subprocess.run(
        command,
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "LOAD_EXEMPTION": KEY},
        timeout=seconds + 60,
    )
    found = _VISITS.search(done.stdout)
    if found is None:
        raise CommandFailedError(f"tests.load: {(done.stderr or done.stdout)[-500:]}")
    return int(found[1]), int(found[2]), float(found[3]) / 1000


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _answering(address: str) -> str:
    if not wait_until(lambda: _answers(address), seconds=30, pause=0.1):
        raise CommandFailedError(f"{address} does not answer")
    return address


def _answers(address: str) -> bool:
    try:
        urllib.request.urlopen(f"{address}/livez", timeout=2).close()  # noqa: S310 - an address of our own
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True
