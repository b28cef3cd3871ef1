"""`python -m app`: the service's commands. Exit codes: 0 done, 1 failed, 2 called wrongly."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing

import psycopg

from app import worker
from app.access_log import log_to_stdout
from app.errors import AppError, Unavailable
from app.services import Services
from app.settings import Settings
from app.store.connection import Connection, connect
from app.store.migrate import migrate
from app.store.seed import seed

Command = Callable[[Settings], None]


def main(arguments: Sequence[str] | None = None, env: Mapping[str, str] = os.environ) -> int:
    """Run one command; errors are one line on stderr."""
    chosen = _parser().parse_args(arguments)
    command: Command = chosen.command
    try:
        command(Settings.of(env))
    except (AppError, psycopg.Error) as error:
        print(f"error: {str(error).strip()}", file=sys.stderr)  # noqa: T201 - a command's job
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m app", description="The URL shortener's commands; settings come from the environment."
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, command, what in (
        ("migrate", _migrate, "bring the database's schema to the newest version"),
        ("seed", _seed, "fill empty tables with sample data, the same on every host"),
        ("worker", _work, "move clicks from Redis into the events until told to end"),
    ):
        commands.add_parser(name, help=what, description=what).set_defaults(command=command)
    return parser


def _connected(settings: Settings) -> Connection:
    if not settings.database_url:
        raise Unavailable("postgresql", "no DATABASE_URL is set")
    return connect(settings.database_url, statement_seconds=60, name="app-command")


def _migrate(settings: Settings) -> None:
    with closing(_connected(settings)) as connection:
        applied = migrate(connection)
    print("\n".join(f"applied {name}" for name in applied) or "nothing to do")  # noqa: T201


def _seed(settings: Settings) -> None:
    with closing(_connected(settings)) as connection:
        data = seed(connection)
    print(", ".join(f"{len(rows)} {table}" for table, rows in data._asdict().items()))  # noqa: T201


def _work(settings: Settings) -> None:
    """SIGTERM lets the batch in hand end."""
    log_to_stdout("app")
    ending = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ending.set())
    services = Services.of(settings)
    worker.run(services.clicks, services.database, ending=ending, sleep=ending.wait)
    services.database.pool.close()


if __name__ == "__main__":
    sys.exit(main())
