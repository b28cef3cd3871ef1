"""One module per command. A command parses, calls inward and prints; it decides nothing.

Modules are imported only when their command is called: `prodbreaker --version` must answer at once.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from typing import NoReturn

from controller import __version__
from controller.errors import NotConvergedError, ProdBreakerError

EXIT_DONE, EXIT_ERROR, EXIT_CHANGES, EXIT_NOT_CONVERGED = 0, 1, 2, 3

# Each module has `configure(parser)` and `run(args) -> exit code`.
COMMANDS = {
    "validate": "check stack files, with no engine at hand",
    "render": "print what docker's client would send",
    "plan": "show what apply would do",
    "apply": "make the Swarm match the stack files",
    "run": "run the controller",
    "status": "print sync and health of every service",
    "history": "list the revisions of a service",
    "rollback": "go back to an earlier revision of a service, and wait until it runs",
    "release": "let a refused revision go live again",
    "pause": "stop acting on a service or a stack",
    "resume": "act on it again",
    "incidents": "list what went wrong, or show how it went",
}


def run_command(argv: Sequence[str]) -> int:
    """Run one command line and return its exit code; errors end as one line on stderr, never as a traceback."""
    try:
        return _dispatch(argv)
    except NotConvergedError as error:
        print(f"prodbreaker: {error}", file=sys.stderr)
        return EXIT_NOT_CONVERGED
    except ProdBreakerError as error:
        print(f"prodbreaker: {error}", file=sys.stderr)
        return EXIT_ERROR
    except KeyboardInterrupt:
        print("prodbreaker: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        return EXIT_ERROR  # whoever read our output has gone; there is nobody to tell


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """End with 1: argparse's own 2 would be read as `plan --detailed-exitcode` having found changes."""
        self.exit(EXIT_ERROR, f"prodbreaker: {message} (see `{self.prog} --help`)\n")


def _dispatch(argv: Sequence[str]) -> int:
    overview = _Parser(
        prog="prodbreaker",
        description="A controller for Docker Swarm: declares, compares, heals, and says why.",
        epilog="`prodbreaker COMMAND --help` explains a command. Exit codes: 0 done, 1 error, 2 changes found, 3 not converged.",
    )
    overview.add_argument("--version", action="version", version=f"prodbreaker {__version__}")
    subparsers = overview.add_subparsers(dest="command", metavar="COMMAND", required=True)
    chosen = next((word for word in argv if not word.startswith("-")), None)
    for name, summary in COMMANDS.items():
        parser = subparsers.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")
        if name == chosen:
            module = importlib.import_module(f"controller.cli.{name}")
            module.configure(parser)
            parser.set_defaults(run=module.run)
    args = overview.parse_args(argv)
    code: int = args.run(args)
    return code
