"""Make the plan of one stack. Apart from carrying it out, which takes longer to import than a plan takes to make."""

from __future__ import annotations

from controller.core.planner import Options, ServicePlanner, make_plan
from controller.engine.memory import Memory
from controller.engine.observer import Observer
from controller.engine.ports import Swarm
from controller.model.observation import Snapshot
from controller.model.plan import Plan
from controller.model.spec import DesiredStack


async def plan_stack(
    swarm: Swarm, observer: Observer, memory: Memory, desired: DesiredStack, options: Options, *, since: float
) -> Plan:
    """Make the plan on a snapshot no older than loop time `since`, the registry asked where it has to be."""
    return (await look(swarm, observer, memory, desired, options, since))[1]


async def look(
    swarm: Swarm, observer: Observer, memory: Memory, desired: DesiredStack, options: Options, since: float
) -> tuple[Snapshot, Plan, ServicePlanner]:
    """As `plan_stack`, with what the plan rests on."""
    snapshot = await observer.snapshot(since=since, shared_since=since)
    planner = ServicePlanner(desired, snapshot, memory.knowledge(desired, snapshot), options)
    questions = {planner.image_to_ask(service) for service in desired.services.values()} - {None}
    if questions:
        await memory.ask(swarm, [image for image in questions if image is not None])
    return snapshot, make_plan(desired, snapshot, memory.knowledge(desired, snapshot), options), planner
