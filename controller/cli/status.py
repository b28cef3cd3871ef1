"""`prodbreaker status`: sync and health of every declared service, read from the Swarm itself."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Sequence

from controller.cli import EXIT_DONE
from controller.cli.common import add_output_option, add_stack_options, aligned, connected, load_stacks, print_json
from controller.core.health import service_status
from controller.core.images import Resolve
from controller.core.planner import Options, ServicePlanner
from controller.core.state import paused_targets
from controller.engine.memory import Memory
from controller.engine.observer import full_snapshot
from controller.model.forms import status_form
from controller.model.spec import DesiredStack
from controller.model.status import ServiceStatus


def configure(parser: argparse.ArgumentParser) -> None:
    add_stack_options(parser)
    add_output_option(parser)


def run(args: argparse.Namespace) -> int:
    statuses = asyncio.run(_statuses(load_stacks(args)))
    if args.output == "json":
        print_json([status_form(status) for status in statuses])
    else:
        print("\n".join(_table(statuses)))
    return EXIT_DONE


async def _statuses(stacks: Sequence[DesiredStack]) -> list[ServiceStatus]:
    async with connected() as swarm:
        snapshot = await full_snapshot(swarm)
    paused = paused_targets(snapshot)
    memory = Memory()
    statuses = []
    for stack in stacks:
        planner = ServicePlanner(stack, snapshot, memory.knowledge(stack, snapshot), Options(resolve=Resolve.NEVER))
        for key, service in sorted(stack.services.items()):
            held = stack.policy.paused or bool({stack.name, f"{stack.name}/{key}"} & paused)
            statuses.append(service_status(service, snapshot, *planner.plan(service), paused=held))
    return statuses


def _table(statuses: Sequence[ServiceStatus]) -> list[str]:
    rows = [("SERVICE", "SYNC", "HEALTH", "REPLICAS", "")]
    rows += [(item.name, item.sync.value, item.health.value, f"{item.running}/{item.desired}", item.message) for item in statuses]
    return aligned(rows)
