"""`prodbreaker validate`: check stack files with no engine at hand."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import PurePath

from controller.adapters.files import load_files
from controller.cli import EXIT_DONE, EXIT_ERROR
from controller.errors import ManifestError
from controller.model.problem import Problem, Severity

_STACK = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_-]*")


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="*", metavar="FILE", help="a stack file, checked on its own; - is standard input")
    parser.add_argument(
        "-c",
        "--compose-file",
        action="append",
        default=[],
        metavar="FILE",
        help="one of several files that are merged as docker does and checked together",
    )
    parser.add_argument("--stack", metavar="NAME", help="the stack's name (default: that of the file)")
    parser.add_argument("--strict", action="store_true", help="exit 1 for warnings too")
    parser.add_argument("-o", "--output", choices=("text", "json"), default="text", help="how to print (default: text)")


def run(args: argparse.Namespace) -> int:
    """Print every problem; 1 where there is an error, or with --strict a warning."""
    sets = [[file] for file in args.files] + ([args.compose_file] if args.compose_file else [])
    if not sets:
        print("prodbreaker: name at least one stack file", file=sys.stderr)
        return EXIT_ERROR
    problems = [problem for files in sets for problem in _check(files, args.stack)]
    errors = sum(problem.severity is Severity.ERROR for problem in problems)
    if args.output == "json":
        print(json.dumps({"problems": [_as_json(problem) for problem in problems]}, indent=2))
    else:
        for problem in problems:
            print(problem)
        print(f"{len(sets)} checked: {errors} errors, {len(problems) - errors} warnings")
    return EXIT_ERROR if errors or (problems and args.strict) else EXIT_DONE


def _check(files: Sequence[str], stack: str | None) -> Iterator[Problem]:
    try:
        yield from load_files(files, stack=_name_of(files[0]) if stack is None else stack).warnings
    except ManifestError as error:
        yield from error.problems


def _name_of(file: str) -> str:
    """`manifests/NAME.yml` declares the stack NAME; what could not be a stack's name is none."""
    stem = PurePath(file).stem
    return stem if _STACK.fullmatch(stem) else "stack"


def _as_json(problem: Problem) -> dict[str, object]:
    return {
        "file": problem.file,
        "line": problem.line,
        "column": problem.column,
        "path": problem.path,
        "reason": problem.reason,
        "severity": problem.severity.value,
    }
