"""What several commands share: which stacks, which engine, and how results are printed."""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from controller.core.images import Resolve
from controller.core.planner import Options
from controller.errors import ProdBreakerError
from controller.model.spec import DesiredStack

if TYPE_CHECKING:
    from controller.adapters.swarm import DockerSwarm


def add_stack_options(parser: argparse.ArgumentParser, *, with_name: bool = True) -> None:
    """-c/--stack or --manifests: what is declared. Without --stack where the command line names the stack otherwise."""
    parser.add_argument(
        "-c", "--compose-file", dest="files", action="append", metavar="FILE",
        help="a stack file; several are merged as docker does, - is standard input",
    )  # fmt: skip
    if with_name:
        parser.add_argument(
            "--stack",
            metavar="NAME",
            help="the stack's name (default: that of the first file); with --manifests, only this stack",
        )
    parser.add_argument(
        "--manifests", type=Path, metavar="DIR", help="a folder of stack files, each NAME.yml a stack (default: manifests)"
    )


def add_write_options(parser: argparse.ArgumentParser) -> None:
    """What decides how a plan is made."""
    parser.add_argument(
        "--resolve-image", type=_resolve, default=Resolve.CHANGED, metavar="always|changed|never",
        help="when a registry is asked for an image's digest: changed means when the file names another image (default: changed)",
    )  # fmt: skip
    parser.add_argument(
        "--prune",
        action="store_true",
        help="remove what carries the stack's label and is not declared any more; else as x-prodbreaker.prune says",
    )


def _resolve(text: str) -> Resolve:
    try:
        return Resolve(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is none of {', '.join(Resolve)}") from None


def add_auth_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--with-registry-auth",
        action="store_true",
        help="send the credentials of docker's configuration along, for the nodes to pull with",
    )


def add_service_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "service",
        metavar="STACK/SERVICE",
        help="a service by its key in the stack file (shop/web), or by its real name (shop_web)",
    )


def seconds(text: str) -> float:
    """The type of an option that says how long to wait."""
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not 0 <= found < math.inf:  # no moment is later than nan
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds to wait")
    return found


def number(text: str) -> int:
    """The type of an option that names a revision."""
    if not (text.isascii() and text.isdecimal() and len(text) < 10 and int(text) > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of a revision")
    return int(text)


def split_service(target: str) -> tuple[str, str]:
    """`shop/web` in its two parts; of a real name the first one is empty. Raises ProdBreakerError."""
    stack, slash, service = target.rpartition("/")
    if not service or "/" in stack or (slash and not stack):
        raise ProdBreakerError(f"{target!r} is neither STACK/SERVICE nor the real name of a service")
    return stack, service


def real_name(target: str) -> str:
    stack, service = split_service(target)
    return f"{stack}_{service}" if stack else service


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """A table as lines; only the last column may be of any width."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    return ["  ".join((*map(str.ljust, row, widths), row[-1])).rstrip() for row in rows]


def plain(text: str) -> str:
    """One line, whatever an engine's message holds."""
    return "".join(character if character.isprintable() else " " for character in text)


def add_output_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-o", "--output", choices=("text", "json"), default="text", help="how to print (default: text)")


def options_of(args: argparse.Namespace) -> Options:
    return Options(resolve=args.resolve_image, prune=args.prune)


def load_stacks(args: argparse.Namespace) -> list[DesiredStack]:
    """Every stack that the command line names; warnings go to stderr. Raises ManifestError."""
    from controller.adapters.files import load_files
    from controller.sources.manifests import stack_files

    if args.files:
        if args.manifests:
            raise ProdBreakerError("give either --compose-file or --manifests")
        name = args.stack or _name_of(args.files[0])
        stacks = [load_files(args.files, stack=name)]
    else:
        directory = args.manifests or Path("manifests")
        try:
            found = stack_files(directory)
        except OSError as error:
            raise ProdBreakerError(f"{directory}: {error.strerror or error}") from error
        if args.stack and args.stack not in found:
            raise ProdBreakerError(f"{directory} holds no stack {args.stack}; it has: {', '.join(found) or 'none'}")
        if not found:
            raise ProdBreakerError(f"{directory} holds no stack file (NAME.yml)")
        stacks = [load_files([str(path)], stack=name) for name, path in found.items() if args.stack in (None, name)]
    for stack in stacks:
        for warning in stack.warnings:
            print(warning, file=sys.stderr)
    return stacks


def _name_of(file: str) -> str:
    if file == "-":
        raise ProdBreakerError("standard input has no name: give --stack NAME")
    return Path(file).stem


@asynccontextmanager
async def connected() -> AsyncIterator[DockerSwarm]:
    """The engine that docker's client would use, which must be a Swarm manager."""
    from controller.adapters.swarm import DockerSwarm, resolve_endpoint

    swarm = DockerSwarm(resolve_endpoint(os.environ))
    try:
        yield swarm
    finally:
        await swarm.close()


def print_json(value: Any) -> None:
    print(json.dumps(value, indent=2, sort_keys=True))
