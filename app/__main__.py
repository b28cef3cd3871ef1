"""`python -m app`: the service's commands. Exit codes: 0 done, 1 failed, 2 called wrongly.

`lint` and `import` have their own: 0 every row is good, 1 some were refused, 2 the file could not be read or imported.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing

import peewee
import psycopg

from app import lag, serve, worker
from app.errors import AppError, Unavailable
from app.ingest import command as import_command
from app.ingest import crew, lint
from app.services import Services
from app.settings import Settings
from app.store.connection import Connection, connect
from app.store.migrate import migrate
from app.store.seed import seed

Command = Callable[[Settings, argparse.Namespace], int | None]


def main(arguments: Sequence[str] | None = None, env: Mapping[str, str] = os.environ) -> int:
    """Run one command; errors are one line on stderr."""
    chosen = _parser().parse_args(arguments)
    command: Command = chosen.command
    try:
        return command(Settings.of(env), chosen) or 0
    except (AppError, psycopg.Error, peewee.PeeweeException) as error:
        print(f"error: {str(error).strip()}", file=sys.stderr)  # noqa: T201 - a command's job
        return int(chosen.failure)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m app", description="The URL shortener's commands; settings come from the environment."
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, command, what in (
        ("migrate", _migrate, "bring the database's schema to the newest version"),
        ("seed", _seed, "fill empty tables with sample data, the same on every host"),
        ("worker", _work, "move clicks from Redis into the events, and work on imports, until told to end"),
    ):
        commands.add_parser(name, help=what, description=what).set_defaults(command=command, failure=1)
    what = "answer requests with gunicorn; SIGTERM lets it drain"
    commands.add_parser("serve", help=what, description=what).set_defaults(command=_serve, failure=1)
    exits = "Exit codes: 0 every row is good, 1 some rows were refused, 2 the file could not be read or imported."
    what = "say what an import of a CSV file would refuse; needs no database, and so knows of no duplicates"
    linting = commands.add_parser("lint", help=what, description=what, epilog=exits)
    lint.configure(linting)
    linting.set_defaults(command=_lint, failure=2)
    what = "import a CSV file and say what became of its rows"
    importing = commands.add_parser("import", help=what, description=what, epilog=exits)
    import_command.configure(importing)
    importing.set_defaults(command=_import, failure=2)
    return parser


def _connected(settings: Settings) -> Connection:
    if not settings.database_url:
        raise Unavailable("postgresql", "no DATABASE_URL is set")
    return connect(settings.database_url, statement_seconds=60, name="app-command")


def _migrate(settings: Settings, _: argparse.Namespace) -> None:
    with closing(_connected(settings)) as connection:
        applied = migrate(connection)
    print("\n".join(f"applied {name}" for name in applied) or "nothing to do")  # noqa: T201


def _seed(settings: Settings, _: argparse.Namespace) -> None:
    with closing(_connected(settings)) as connection:
        data = seed(connection)
    print(", ".join(f"{len(rows)} {table}" for table, rows in data._asdict().items()))  # noqa: T201


def _serve(_: Settings, __: argparse.Namespace) -> None:
    serve.run()


def _lint(_: Settings, arguments: argparse.Namespace) -> int:
    return lint.run(arguments)


def _import(settings: Settings, arguments: argparse.Namespace) -> int:
    services = Services.of(settings)
    try:
        return import_command.run(arguments, services.database, services.importer(), lambda: _connected(settings))
    finally:
        services.database.close()
        services.database.pool.close()


def _work(settings: Settings, _: argparse.Namespace) -> None:
    """SIGTERM lets the batches in hand end. If one of the two kinds of work breaks down, the process ends for a new one."""
    from app.access_log import log_to_stdout  # not before: it brings Flask, which no other command needs

    log_to_stdout("app")
    ending = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ending.set())
    services = Services.of(settings)

    def imports() -> None:
        try:
            importer = services.importer(is_ending=ending.is_set)
            crew.run(importer, lambda: _importing(settings), days=settings.import_days, ending=ending)
        finally:
            ending.set()

    at_work = threading.Thread(target=imports, name="imports")
    at_work.start()
    try:
        with lag.served(services):
            worker.run(services.clicks, services.database, ending=ending, sleep=ending.wait)
    finally:
        ending.set()
        at_work.join()
        services.database.pool.close()


def _importing(settings: Settings) -> Connection:
    return connect(settings.database_url, statement_seconds=30, name=f"app-import-{settings.replica}")


if __name__ == "__main__":
    sys.exit(main())
