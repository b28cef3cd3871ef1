"""`prodbreaker run`: the controller itself."""

from __future__ import annotations

import argparse
from pathlib import Path

from controller.cli import EXIT_DONE


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--manifests", type=Path, metavar="DIR", help="a folder of stack files, each NAME.yml a stack (default: manifests)"
    )
    parser.add_argument(
        "--journal",
        type=Path,
        metavar="FILE",
        help="the SQLite file of what was done and why (default: /var/lib/prodbreaker/journal.db)",
    )
    parser.add_argument("--listen", metavar="ADDRESS:PORT", help="where the HTTP interface listens (default: 127.0.0.1:8900)")
    parser.add_argument("--log-level", metavar="LEVEL", help="DEBUG, INFO, WARNING or ERROR (default: INFO)")
    parser.epilog = "Every option, and more, is also read from the environment: see docs/configuration.md."


def run(args: argparse.Namespace) -> int:
    from controller.runtime import run_controller
    from controller.settings import read_settings

    run_controller(read_settings(manifests=args.manifests, journal=args.journal, listen=args.listen, log_level=args.log_level))
    return EXIT_DONE
