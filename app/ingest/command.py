"""`python -m app import KIND FILE`: the same import as by HTTP, worked on by this process.

A command that is killed leaves its job in the database, where a worker goes on with it, or the same command given again.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import BinaryIO
from uuid import UUID

from app.ingest.dialect import SLICE
from app.ingest.intake import receive
from app.ingest.jobs import Importer
from app.ingest.lint import EXIT_CLEAN, EXIT_REJECTS, EXIT_UNREADABLE
from app.ingest.model import FileError
from app.ingest.rows import Kind
from app.store import imports as store
from app.store.connection import Connection
from app.store.database import Database, Row
from app.store.imports import Options, Status

LOOK_SECONDS = 0.2
_PAGE = 1_000


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `import`."""
    parser.add_argument("kind", metavar="KIND", choices=[kind.value for kind in Kind], help="what its rows are: %(choices)s")
    parser.add_argument("file", metavar="FILE", help="a CSV file, plain or gzip; - reads standard input")
    parser.add_argument("--dry-run", action="store_true", help="judge every row and write none")
    parser.add_argument(
        "--reject-limit", metavar="N", type=_natural, default=Options("").reject_limit, help="refused rows allowed (%(default)s)"
    )
    parser.add_argument("--reject-percent", metavar="P", type=int, choices=range(101), help="per cent of the rows (no limit)")


def run(args: argparse.Namespace, database: Database, importer: Importer, connect: Callable[[], Connection]) -> int:
    """Import the file and print what became of it: 0 all rows are in, 1 some were refused, 2 the file could not be read.

    Raises Unavailable, psycopg's and peewee's errors.
    """
    options = Options(args.kind, args.dry_run, args.reject_limit, args.reject_percent)
    try:
        with ExitStack() as opened:
            source = sys.stdin.buffer if args.file == "-" else opened.enter_context(Path(args.file).open("rb"))
            job, _ = receive(database, _slices(source), options)
    except (OSError, FileError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        sys.stderr.write(f"{args.file}: {reason}\n")
        return EXIT_UNREADABLE
    with closing(connect()) as connection:
        row = _ended(connection, importer, database, job)
    return _report(args.file, database, row)


def _natural(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError("must be a whole number, 0 or more")
    return int(text)


def _slices(source: BinaryIO) -> Iterator[bytes]:
    return iter(lambda: source.read(SLICE), b"")


def _ended(connection: Connection, importer: Importer, database: Database, job: UUID) -> Row:
    """The job once it has ended, by this process or by a worker that was faster."""
    while True:
        importer.work(connection, only=job)
        row = store.find(database, job)
        if Status(row["status"]).has_ended:
            return row
        time.sleep(LOOK_SECONDS)


def _report(name: str, database: Database, row: Row) -> int:
    line = 0
    while page := store.rejects_after(database, row["id"], line, limit=_PAGE):
        for line, column, code, message, _ in page:
            sys.stdout.write(f"{name}:{line}: {f'{column}: ' if column else ''}{message} [{code}]\n")
    counts = {what: row[what] for what in ("inserted", "updated", "unchanged", "duplicate", "rejected")}
    summary = f"{sum(counts.values())} rows = " + " + ".join(f"{count} {what}" for what, count in counts.items())
    sys.stdout.write(f"{'dry run, nothing written: ' if row['dry_run'] else ''}{summary}\n")
    if row["status"] != Status.DONE:
        place = f"{name}:{row['error_line']}" if row["error_line"] else name
        sys.stderr.write(f"{place}: {row['error_message'] or 'the import was cancelled'}\n")
        return EXIT_UNREADABLE
    return EXIT_REJECTS if row["rejected"] else EXIT_CLEAN
