"""`prodbreaker release`: a revision that was found bad may go live again."""

from __future__ import annotations

import argparse
import asyncio

from controller.cli import EXIT_DONE
from controller.cli.common import add_service_argument, connected, number, real_name
from controller.core.by_hand import Release
from controller.engine.by_hand import release


def configure(parser: argparse.ArgumentParser) -> None:
    add_service_argument(parser)
    parser.add_argument(
        "--revision", type=number, metavar="N", help="the revision to release (default: the newest that is refused)"
    )


def run(args: argparse.Namespace) -> int:
    name = real_name(args.service)
    released = asyncio.run(_release(name, args.revision)).revision
    what = f"revision {args.revision} is not refused" if args.revision else "no revision is refused"
    print(f"{name}: {f'revision {released.number} is released' if released else what}")
    return EXIT_DONE


async def _release(name: str, chosen: int | None) -> Release:
    async with connected() as swarm:
        return await release(swarm, name, number=chosen)
