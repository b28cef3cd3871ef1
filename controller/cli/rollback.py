"""`prodbreaker rollback`: an earlier revision in the place of the declared one, by hand."""

from __future__ import annotations

import argparse
import asyncio
import sys

from controller.cli import EXIT_DONE
from controller.cli.apply import TextProgress
from controller.cli.common import (
    add_auth_option,
    add_service_argument,
    add_stack_options,
    connected,
    load_stacks,
    number,
    seconds,
    split_service,
)
from controller.core.planner import Options
from controller.engine.by_hand import carry_out, roll_back
from controller.engine.clock import SystemClock
from controller.engine.executor import Executor
from controller.engine.memory import Memory
from controller.errors import ProdBreakerError
from controller.model.spec import DesiredService, DesiredStack


def configure(parser: argparse.ArgumentParser) -> None:
    add_service_argument(parser)
    add_stack_options(parser, with_name=False)
    parser.add_argument(
        "--to", type=number, metavar="N", help="the revision to go back to (default: the newest stable one that does not run)"
    )
    add_auth_option(parser)
    parser.add_argument(
        "--timeout",
        type=seconds,
        default=600.0,
        metavar="SECONDS",
        help="for its replicas to run; then exit 3 (default: 600)",
    )


def run(args: argparse.Namespace) -> int:
    asyncio.run(_roll_back(args))
    return EXIT_DONE


async def _roll_back(args: argparse.Namespace) -> None:
    stack, service = _declared(args)
    options = Options()
    async with connected() as swarm:
        order = await roll_back(swarm, Memory(), stack, service, options, to=args.to)
        known = "" if order.actions else " already"
        print(
            f"{service.name}: revision {order.refused.number} is refused{known}; revision {order.target.number} takes its place"
        )
        executor = Executor(swarm, SystemClock(), with_registry_auth=args.with_registry_auth)
        progress = TextProgress(stack.name, quiet=False, live=sys.stdout.isatty())
        try:
            await carry_out(
                swarm, executor, stack, service, options,
                target=order.target, timeout_seconds=args.timeout, progress=progress,
            )  # fmt: skip
        finally:
            progress.clear()
    print(f"{service.name}: revision {order.target.number} runs")


def _declared(args: argparse.Namespace) -> tuple[DesiredStack, DesiredService]:
    """The service that the command line means, as it is declared: that is what is gone back from."""
    name, key = split_service(args.service)
    args.stack = name or None
    found = [
        (stack, service)
        for stack in load_stacks(args)
        for service in stack.services.values()
        if (service.key == key if name else service.name == key)
    ]
    if not found:
        raise ProdBreakerError(f"no service {args.service} is declared")
    if len(found) > 1:
        choices = " and ".join(f"{stack.name}/{service.key}" for stack, service in found)
        raise ProdBreakerError(f"{args.service} is declared twice: {choices}")
    return found[0]
