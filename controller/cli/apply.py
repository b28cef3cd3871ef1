"""`prodbreaker apply`: make the Swarm match the stack files, and wait until it does."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Mapping, Sequence

from controller.cli import EXIT_DONE
from controller.cli.common import (
    add_auth_option,
    add_stack_options,
    add_write_options,
    connected,
    load_stacks,
    options_of,
    seconds,
)
from controller.cli.plan_text import action_line, plan_lines, summary
from controller.core.health import is_converged
from controller.engine.apply import Limits, apply_stack
from controller.engine.clock import SystemClock
from controller.engine.executor import ActionResult, Executor
from controller.engine.records import ActionOutcome
from controller.model.plan import Action, Plan
from controller.model.status import ServiceStatus

APPLY_CONCURRENCY = 16


def configure(parser: argparse.ArgumentParser) -> None:
    add_stack_options(parser)
    add_write_options(parser)
    add_auth_option(parser)
    parser.add_argument(
        "--timeout",
        type=seconds,
        default=600.0,
        metavar="SECONDS",
        help="per stack, for everything to run; then exit 3 (default: 600)",
    )
    parser.add_argument(
        "-d", "--detach", action="store_true", help="end once everything is written, without waiting for the tasks"
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="print problems only")


def run(args: argparse.Namespace) -> int:
    asyncio.run(_apply(args))
    return EXIT_DONE


async def _apply(args: argparse.Namespace) -> None:
    stacks = load_stacks(args)
    limits = Limits(timeout_seconds=args.timeout, wait=not args.detach)
    async with connected() as swarm:
        executor = Executor(swarm, SystemClock(), concurrency=APPLY_CONCURRENCY, with_registry_auth=args.with_registry_auth)
        for stack in stacks:
            progress = TextProgress(stack.name, quiet=args.quiet, live=sys.stdout.isatty())
            try:
                await apply_stack(swarm, executor, stack, options_of(args), limits, progress)
            finally:
                progress.clear()
            progress.finished()


class TextProgress:
    """Progress as lines; on a terminal the last line lives until something is said beneath it."""

    def __init__(self, stack: str, *, quiet: bool, live: bool) -> None:
        self._stack, self._quiet, self._live = stack, quiet, live and not quiet
        self._shown = ""
        self._errors: dict[str, str] = {}
        self._wrote = 0
        self._unready: frozenset[str] = frozenset()

    def planned(self, plan: Plan) -> None:
        if plan.is_empty and not plan.notices:
            return
        if len(plan.actions) > 50:
            self._say(f"{plan.stack}: {summary(plan)}")
        else:
            self._say("\n".join(plan_lines(plan)))

    def acted(self, result: ActionResult) -> None:
        if result.outcome is ActionOutcome.DONE:
            self._wrote += 1
            self._live_line(f"{self._stack}: {self._wrote} written")
        else:
            self._say(f"  {action_line(result.action)}: {result.outcome}: {result.message}")

    def waits(self, action: Action, unready: Sequence[str]) -> None:
        self._say(f"  {action.name} waits for {', '.join(unready)}")

    def waited_enough(self, action: Action, unready: Sequence[str]) -> None:
        self.clear()
        print(f"{action.name}: {', '.join(unready)} did not become healthy in time; created without", file=sys.stderr)

    def converging(self, statuses: Sequence[ServiceStatus], errors: Mapping[str, str]) -> None:
        for name, text in errors.items():
            if self._errors.get(name) != text:
                self._say(f"  {name}: {text}")
        self._errors |= errors
        unready = frozenset(status.name for status in statuses if not is_converged(status))
        for status in statuses:
            if status.name in self._unready - unready:
                self._say(f"  {status.name}: {status.running}/{status.desired} running")
        self._unready = unready
        waiting = [f"{status.name} {status.running}/{status.desired}" for status in statuses if status.name in unready]
        if waiting:
            self._live_line(f"{self._stack}: waiting for {', '.join(waiting[:4])}{' …' if len(waiting) > 4 else ''}")

    def finished(self) -> None:
        """The stack is as declared."""
        self._say(
            f"{self._stack}: {'done' if self._wrote else 'nothing to do'}" + (f", {self._wrote} written" if self._wrote else "")
        )

    def clear(self) -> None:
        """Take the living line away: what comes next, be it an error, begins on an empty one."""
        self._live_line("")

    def _say(self, text: str) -> None:
        if not self._quiet:
            self.clear()
            print(text, flush=True)

    def _live_line(self, text: str) -> None:
        if self._live and (text or self._shown):
            print(f"\r\x1b[K{text[:100]}", end="", flush=True)
            self._shown = text
