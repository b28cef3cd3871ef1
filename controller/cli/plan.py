"""`prodbreaker plan`: exactly what apply and the controller would write, and why."""

from __future__ import annotations

import argparse
import asyncio
import sys

from controller.cli import EXIT_CHANGES, EXIT_DONE
from controller.cli.common import (
    add_output_option,
    add_stack_options,
    add_write_options,
    connected,
    load_stacks,
    options_of,
    print_json,
)
from controller.cli.plan_text import plan_lines
from controller.engine.memory import Memory
from controller.engine.observer import Observer
from controller.engine.planning import plan_stack
from controller.model.forms import plan_form
from controller.model.plan import Plan

_SWITCH_SECONDS = 0.0005  # files are read on a thread while the loop takes the engine's answers: neither waits 5 ms each time


def configure(parser: argparse.ArgumentParser) -> None:
    add_stack_options(parser)
    add_write_options(parser)
    add_output_option(parser)
    parser.add_argument("--detailed-exitcode", action="store_true", help="exit 2 instead of 0 when there is something to write")


def run(args: argparse.Namespace) -> int:
    plans = asyncio.run(_plans(args))
    if args.output == "json":
        print_json([plan_form(plan) for plan in plans])
    else:
        for plan in plans:
            print("\n".join(plan_lines(plan)))
    return EXIT_CHANGES if args.detailed_exitcode and any(not plan.is_empty for plan in plans) else EXIT_DONE


async def _plans(args: argparse.Namespace) -> list[Plan]:
    async with connected() as swarm:
        observer, memory, now = Observer(swarm), Memory(), asyncio.get_running_loop().time()
        sys.setswitchinterval(_SWITCH_SECONDS)
        looking = asyncio.create_task(observer.snapshot(since=now))  # the engine writes its lists while the files are read
        try:
            stacks = await asyncio.to_thread(load_stacks, args)
        finally:
            await asyncio.gather(looking, return_exceptions=True)  # what went wrong with it is told by the next look
        return [await plan_stack(swarm, observer, memory, stack, options_of(args), since=now) for stack in stacks]
