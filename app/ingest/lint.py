"""`python -m app lint KIND FILE`: what an import would refuse, with no database at hand.

Duplicates, clashes and missing references are known to the database alone, so an import may refuse more.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

from app.ingest.dialect import SLICE
from app.ingest.model import FileError, Reject
from app.ingest.parse import parse
from app.ingest.rejects import reject_file
from app.ingest.rows import Kind

EXIT_CLEAN, EXIT_REJECTS, EXIT_UNREADABLE = 0, 1, 2


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `lint`."""
    parser.add_argument("kind", metavar="KIND", choices=[kind.value for kind in Kind], help="what its rows are: %(choices)s")
    parser.add_argument("file", metavar="FILE", help="a CSV file, plain or gzip; - reads standard input")
    parser.add_argument(
        "--rejects", metavar="FILE", type=Path, help="write the refused rows there, to be put right and sent again"
    )


def run(args: argparse.Namespace) -> int:
    """Print `file:line: column: reason` for each bad row and a summary; 0 all good, 1 some rows refused, 2 not readable."""
    try:
        with ExitStack() as opened:
            source = sys.stdin.buffer if args.file == "-" else opened.enter_context(Path(args.file).open("rb"))
            return _lint(args.file, source, Kind(args.kind), args.rejects)
    except OSError as error:
        sys.stderr.write(f"{error.filename or args.file}: {error.strerror}\n")
        return EXIT_UNREADABLE


def _lint(name: str, source: BinaryIO, kind: Kind, rejects: Path | None) -> int:
    tally = _Tally(name)
    with ExitStack() as opened:
        try:
            layout, results = parse(iter(lambda: source.read(SLICE), b""), kind)
            if rejects is None:
                for _ in tally.refused(results):
                    pass
            else:
                copy = opened.enter_context(rejects.open("w", encoding="utf-8", newline=""))
                copy.writelines(reject_file(tally.refused(results), layout))
        except FileError as error:
            place = f"{name}:{error.line}" if error.line else name
            sys.stderr.write(f"{place}: {error}\n")
            tally.summarise("read before that: ")
            return EXIT_UNREADABLE
    tally.summarise("")
    return EXIT_REJECTS if tally.rejected else EXIT_CLEAN


class _Tally:
    """Prints rejects as they pass and counts all that does."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.accepted = self.rejected = 0

    def refused(self, results: Iterator[object]) -> Iterator[Reject]:
        for result in results:
            if not isinstance(result, Reject):
                self.accepted += 1
                continue
            self.rejected += 1
            column = f"{result.column}: " if result.column else ""
            sys.stdout.write(f"{self._name}:{result.line}: {column}{result.message} [{result.code}]\n")
            yield result

    def summarise(self, prefix: str) -> None:
        rows = self.accepted + self.rejected
        sys.stdout.write(f"{prefix}{rows} rows = {self.accepted} accepted + {self.rejected} rejected\n")
