"""Going back and releasing by hand: read, decide, write labels against the versions that were read.

A running controller carries out what the labels say. Where none runs, whoever ordered it does (`carry_out`).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import TypeVar

from controller.core import by_hand
from controller.core.by_hand import Release, Rollback
from controller.core.canonical import Section
from controller.core.diff import difference
from controller.core.planner import Options, ServicePlanner
from controller.core.revisions import digest_of
from controller.core.state import freed
from controller.engine.convergence import Progress, converge
from controller.engine.executor import ActionResult, Executor, Report
from controller.engine.memory import Memory
from controller.engine.observer import Observer, full_snapshot
from controller.engine.ports import Swarm
from controller.engine.records import ActionOutcome
from controller.engine.stating import edit_state
from controller.errors import NotFoundError, OutOfSequenceError, ProdBreakerError
from controller.model.observation import Snapshot
from controller.model.plan import Plan, Reason
from controller.model.revision import Revision
from controller.model.spec import STACK_LABEL, DesiredService, DesiredStack, Json

_ATTEMPTS = 8

_Order = TypeVar("_Order", Rollback, Release)


def declared_by(memory: Memory, desired: DesiredStack, service: DesiredService, options: Options) -> Callable[[Snapshot], str]:
    """The digest of a declaration, which depends on the versions of contents that a snapshot has."""
    return lambda snapshot: ServicePlanner(desired, snapshot, memory.knowledge(desired, snapshot), options).revision(service)


async def roll_back(
    swarm: Swarm, memory: Memory, desired: DesiredStack, service: DesiredService, options: Options, *, to: int | None = None
) -> Rollback:
    """Write down that the declared revision is refused and `to` takes its place; also frees the service if it is held.

    Raises SwarmError, or ProdBreakerError where there is nothing to go back to or others keep writing.
    """

    def decide(snapshot: Snapshot) -> Rollback:
        planner = ServicePlanner(desired, snapshot, memory.knowledge(desired, snapshot), options)
        live = snapshot.services.get(service.name)

        def is_same(revision: Revision) -> bool:
            if live is None:
                return False
            found = difference(revision.body, live["Spec"], planner.context, ignore=service.policy.ignore)
            return found.sections <= {Section.MODE}

        ways = by_hand.Ways(planner.lost, is_same)
        return by_hand.roll_back(service.name, snapshot, ways, declared=planner.revision(service), to=to)

    order, _ = await _written(swarm, service.name, decide)
    await _free(swarm, f"{desired.name}/{service.key}")
    return order


async def release(
    swarm: Swarm, service: str, *, declared: Callable[[Snapshot], str] = lambda _: "", number: int | None = None
) -> Release:
    """Write down that a refused revision may go live again; also frees the service if it is held.

    It is that of the number or of the digest that is `declared`, else the newest that is refused. Raises as `roll_back`.
    """

    def decide(snapshot: Snapshot) -> Release:
        return by_hand.release(service, snapshot, declared=declared(snapshot), number=number)

    order, snapshot = await _written(swarm, service, decide)
    stack = _stack_of(snapshot.services.get(service))
    if order.revision is not None and stack:
        await _free(swarm, f"{stack}/{service.removeprefix(f'{stack}_')}")
    return order


async def carry_out(
    swarm: Swarm,
    executor: Executor,
    desired: DesiredStack,
    service: DesiredService,
    options: Options,
    *,
    target: Revision,
    timeout_seconds: float,
    progress: Progress,
) -> None:
    """Write what a way back asks for, unless a controller was faster, and wait until its replicas run.

    Raises NotConvergedError at the timeout or when the update ends badly, ProdBreakerError where it may not be written.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout_seconds
    observer, memory = Observer(swarm), Memory()
    for attempt in range(_ATTEMPTS):
        now = loop.time()
        snapshot = await observer.snapshot(since=now, shared_since=now)
        planner = ServicePlanner(desired, snapshot, memory.knowledge(desired, snapshot), options)
        action, notice = planner.plan(service)
        if action is None:
            live = snapshot.services.get(service.name)
            if digest_of(live) != target.digest or (notice and notice.reason not in (Reason.QUARANTINED, Reason.UPDATE_RUNNING)):
                raise ProdBreakerError(f"{service.name}: {notice.message if notice else 'somebody else changed it'}")
            break
        plan = Plan(desired.name, (action,))
        progress.planned(plan)
        (result,) = await executor.execute(plan, snapshot, _reporting(progress))
        if result.outcome is ActionOutcome.REFUSED:
            raise ProdBreakerError(f"{action.verb} {action.kind} {action.name}: {result.message}")
        await asyncio.sleep(random.uniform(0.05, 0.2) * attempt)  # noqa: S311 - keeps two writers apart, guards nothing
    else:
        raise ProdBreakerError(f"{service.name}: given up after {_ATTEMPTS} attempts: {result.message}")
    tasks_of = {"service": [snapshot.services[service.name]["ID"]]}
    written = frozenset({service.name})
    await converge(swarm, observer, [service], tasks_of, written=written, deadline=deadline, progress=progress)


async def _written(swarm: Swarm, service: str, decide: Callable[[Snapshot], _Order]) -> tuple[_Order, Snapshot]:
    """Decide on what is there, write it, and decide again where somebody else was faster."""
    for attempt in range(_ATTEMPTS):
        snapshot = await full_snapshot(swarm)
        order = decide(snapshot)
        try:
            for action in order.actions:
                await swarm.update(action.kind, action.object_id, action.version, action.body)
        except (OutOfSequenceError, NotFoundError):
            await asyncio.sleep(random.uniform(0.01, 0.1) * (attempt + 1))  # noqa: S311 - keeps two writers apart, guards nothing
        else:
            return order, snapshot
    raise ProdBreakerError(f"{service}: others kept writing its revisions; try again")


async def _free(swarm: Swarm, target: str) -> None:
    """Whoever gives an order has looked: nothing is held or counted any more."""
    await edit_state(swarm, lambda spec: freed(spec, target), what=target)


def _reporting(progress: Progress) -> Report:
    async def report(result: ActionResult) -> None:
        progress.acted(result)

    return report


def _stack_of(live: Json | None) -> str:
    label: str = ((live or {"Spec": {}})["Spec"].get("Labels") or {}).get(STACK_LABEL, "")
    return label
