"""The application's only reader of the environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlsplit

from app.errors import SettingsError

_FILE_LIMIT = 64 * 1024  # bytes; a larger file holds no setting


@dataclass(frozen=True)
class Settings:
    """How one process of the service runs. `Settings.of(env)` documents where each comes from by its name in capitals."""

    database_url: str = field(default="", repr=False)
    """PostgreSQL, as postgresql://USER@HOST:PORT/NAME; without one the service only counts visitors."""

    redis_url: str = field(default="redis://redis:6379/0", repr=False)

    version: str = "unknown"
    replica: str = "unknown"

    pool_size: int = 4
    """Connections to PostgreSQL of one process, at most; its threads need no more than one each."""

    pool_wait_seconds: float = 1.0
    """How long a request waits for a connection of the pool before it is answered 503."""

    statement_seconds: float = 2.0
    """How long PostgreSQL may work on one statement."""

    max_body_bytes: int = 1024 * 1024
    """Largest body of a request; imports have a limit of their own."""

    cache_seconds: int = 60
    """How long a URL stays in Redis, and so how long an invalidation that Redis did not get may go unnoticed."""

    max_import_bytes: int = 256 * 1024 * 1024
    """Largest file of an import, as it is sent."""

    max_unpacked_bytes: int = 2 * 1024 * 1024 * 1024
    """Largest file of an import, unpacked."""

    lease_seconds: float = 15.0
    """How long an import stays with a worker that says nothing any more."""

    import_days: int = 7
    """How long imports that ended, and their rejects, are kept."""

    workers: int = 2
    """Processes of gunicorn that answer requests."""

    threads: int = 4
    """Threads of each; as many as its pool has connections, unless `pool_size` says otherwise."""

    drain_seconds: float = 1.0
    """How long a replica that was told to end says so on /readyz and answers on, before it takes no more connections."""

    metrics_port: int = 9102
    """Where Prometheus finds /metrics, whatever the threads do; 0: nowhere."""

    client_seconds: float = 60.0
    """How long a client may be silent in the body of a request or when it is answered; as long as nginx lets uploads be."""

    ops_token: str = field(default="", repr=False)
    """What GET /logs asks for; without one there is no /logs."""

    chaos_token: str = field(default="", repr=False)
    """What /chaos asks for; without one there is no Chaos Mode."""

    chaos_seconds: float = 120.0
    """How long a fault of Chaos Mode may go on, at most."""

    @classmethod
    def of(cls, env: Mapping[str, str]) -> Settings:
        """Read DATABASE_URL, REDIS_URL, APP_VERSION, APP_REPLICA and the APP_* numbers; NAME_FILE names a file that holds NAME.

        DATABASE_PASSWORD (or its file) goes into the URL, so that only the password needs to be secret. APP_CHAOS_TOKEN counts
        only where APP_CHAOS is 1. Raises SettingsError.
        """
        read = _Reader(env)
        threads = int(read.number("APP_THREADS", cls.threads, least=1, most=100, whole=True))
        return cls(
            database_url=_with_password(read.text("DATABASE_URL", cls.database_url), read.text("DATABASE_PASSWORD", "")),
            redis_url=_of_scheme("REDIS_URL", read.text("REDIS_URL", "redis://redis:6379/0"), ("redis", "rediss", "unix")),
            version=read.text("APP_VERSION", cls.version),
            replica=read.text("APP_REPLICA", cls.replica),
            pool_size=int(read.number("APP_POOL_SIZE", threads, least=1, most=100, whole=True)),
            pool_wait_seconds=read.number("APP_POOL_WAIT_SECONDS", cls.pool_wait_seconds, least=0, most=60),
            statement_seconds=read.number("APP_STATEMENT_SECONDS", cls.statement_seconds, least=0.1, most=600),
            max_body_bytes=int(read.number("APP_MAX_BODY_BYTES", cls.max_body_bytes, least=1024, most=2**30, whole=True)),
            cache_seconds=int(read.number("APP_CACHE_SECONDS", cls.cache_seconds, least=1, most=86400, whole=True)),
            max_import_bytes=int(read.number("APP_MAX_IMPORT_BYTES", cls.max_import_bytes, least=1024, most=2**40, whole=True)),
            max_unpacked_bytes=int(
                read.number("APP_MAX_UNPACKED_BYTES", cls.max_unpacked_bytes, least=1024, most=2**44, whole=True)
            ),
            lease_seconds=read.number("APP_LEASE_SECONDS", cls.lease_seconds, least=0.5, most=3600),
            import_days=int(read.number("APP_IMPORT_DAYS", cls.import_days, least=1, most=3650, whole=True)),
            workers=int(read.number("APP_WORKERS", cls.workers, least=1, most=64, whole=True)),
            threads=threads,
            drain_seconds=read.number("APP_DRAIN_SECONDS", cls.drain_seconds, least=0, most=60),
            metrics_port=int(read.number("APP_METRICS_PORT", cls.metrics_port, least=0, most=65535, whole=True)),
            client_seconds=read.number("APP_CLIENT_SECONDS", cls.client_seconds, least=1, most=600),
            ops_token=read.text("APP_OPS_TOKEN", ""),
            chaos_token=_chaos_token(read),
            chaos_seconds=read.number("APP_CHAOS_MAX_SECONDS", cls.chaos_seconds, least=1, most=3600),
        )


def _chaos_token(read: _Reader) -> str:
    if read.text("APP_CHAOS", "0") != "1":
        return ""
    token = read.text("APP_CHAOS_TOKEN", "")
    if not token:
        raise SettingsError("APP_CHAOS: needs APP_CHAOS_TOKEN, or a file that holds it")
    return token


class _Reader:
    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = env

    def text(self, name: str, default: str) -> str:
        file = self._env.get(f"{name}_FILE")
        if not file:
            return self._env.get(name) or default
        try:
            with Path(file).open("rb") as source:
                content = source.read(_FILE_LIMIT + 1)
            value = content.decode().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"{name}_FILE: {file} cannot be read: {type(error).__name__}") from error
        if not value or len(content) > _FILE_LIMIT:
            raise SettingsError(f"{name}_FILE: {file} is {'too large' if value else 'empty'}")
        return value

    def number(self, name: str, default: float, *, least: float, most: float, whole: bool = False) -> float:
        text = self.text(name, "")
        if not text:
            return default
        try:
            value = float(int(text) if whole else float(text))
        except ValueError:
            value = float("nan")
        if not least <= value <= most:
            raise SettingsError(f"{name}: must be {'a whole number' if whole else 'a number'} from {least:g} to {most:g}")
        return value


def _of_scheme(name: str, url: str, schemes: tuple[str, ...]) -> str:
    """The URL itself. The error does not repeat it: it may carry a password."""
    try:
        fits = urlsplit(url).scheme in schemes
    except ValueError:
        fits = False
    if not fits:
        raise SettingsError(f"{name}: must be a URL that begins with {schemes[0]}://")
    return url


def _with_password(url: str, password: str) -> str:
    if not url:
        return url
    parts = urlsplit(_of_scheme("DATABASE_URL", url, ("postgresql", "postgres")))
    if not password:
        return url
    user, at, host = parts.netloc.rpartition("@")
    if not at or ":" in user:
        raise SettingsError("DATABASE_URL: must name a user and no password where DATABASE_PASSWORD is given")
    return parts._replace(netloc=f"{user}:{quote(password, safe='')}@{host}").geturl()
