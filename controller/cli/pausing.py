"""What `pause` and `resume` share."""

from __future__ import annotations

import argparse
import asyncio

from controller.cli import EXIT_DONE
from controller.cli.common import connected
from controller.engine.clock import SystemClock
from controller.engine.pausing import set_paused
from controller.errors import ProdBreakerError


def configure_target(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "target", metavar="STACK[/SERVICE]", help="a stack, or one service by its key in the stack file (shop/web, not shop_web)"
    )


def set_target(args: argparse.Namespace, *, paused: bool) -> int:
    stack, _, service = args.target.partition("/")
    if not stack or "/" in service or (not service and "/" in args.target):
        raise ProdBreakerError(f"{args.target!r} is neither STACK nor STACK/SERVICE")
    held = asyncio.run(_set(args.target, paused=paused))
    resumed = f"resumed (was held: {held})" if held else "resumed"
    print(f"{args.target}: {'paused; nothing is written until it is resumed' if paused else resumed}")
    return EXIT_DONE


async def _set(target: str, *, paused: bool) -> str:
    async with connected() as swarm:
        return await set_paused(swarm, SystemClock(), target, paused=paused)
