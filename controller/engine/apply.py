"""Make the Swarm match one stack, once, and wait until it does."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, replace

from controller.core.health import may_be_depended_on
from controller.core.planner import Options, ServicePlanner
from controller.engine import convergence
from controller.engine.convergence import Progress, converge
from controller.engine.executor import ActionResult, Executor, Report
from controller.engine.keeping import before_edits, edits, proofs
from controller.engine.memory import Memory
from controller.engine.observer import Observer
from controller.engine.planning import look
from controller.engine.ports import Swarm
from controller.engine.records import ActionOutcome
from controller.errors import NotConvergedError, ProdBreakerError
from controller.model.observation import Snapshot
from controller.model.plan import Action, ObjectKind, Plan, Reason, Verb
from controller.model.spec import STACK_LABEL, DesiredStack

_BLOCKING = frozenset(
    {
        Reason.FOREIGN,
        Reason.UNRESOLVED_IMAGE,
        Reason.WAITS,
        Reason.PAUSED,
        Reason.DRIFT_REPORTED,
        Reason.IMPOSSIBLE,
        Reason.QUARANTINED,
    }
)
_ATTEMPTS = 8  # against other writers, before they are reported


@dataclass(frozen=True, slots=True)
class Limits:
    timeout_seconds: float = 600.0
    wait: bool = True


async def apply_stack(
    swarm: Swarm, executor: Executor, desired: DesiredStack, options: Options, limits: Limits, progress: Progress
) -> None:
    """Carry out the plan until nothing is left of it, then wait for the tasks.

    Raises NotConvergedError at the timeout or when an update ends badly, ProdBreakerError with every refusal.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + limits.timeout_seconds
    observer, memory = Observer(swarm), Memory()
    waiting: dict[str, float] = {}
    written: set[str] = set()
    conflicts = 0
    snapshot, plan, planner = await look(swarm, observer, memory, desired, options, loop.time())
    progress.planned(plan)
    while True:
        ready, deferred = _gate(plan, desired, snapshot, waiting, progress)
        results = await _keep_before(swarm, executor, desired, planner, snapshot, ready, observer)
        if all(result.outcome is ActionOutcome.DONE for result in results):
            results = await _execute(executor, ready, snapshot, observer, progress)
        written |= {result.action.name for result in results if result.action.kind is ObjectKind.SERVICE}
        undone = [result for result in results if result.outcome is not ActionOutcome.DONE]
        conflicts = conflicts + 1 if undone else 0
        if conflicts == _ATTEMPTS:
            raise ProdBreakerError(f"{undone[0].action.name}: given up after {conflicts} attempts: {undone[0].message}")
        waits = _waits(plan, deferred)
        if not (undone or waits or (results and _may_go_on(plan))):
            break
        if waits and loop.time() > deadline:
            raise NotConvergedError("; ".join(waits))
        if undone:
            await asyncio.sleep(random.uniform(0.05, 0.2) * conflicts)  # noqa: S311 - keeps two writers apart, guards nothing
        elif not results:
            await asyncio.sleep(convergence.POLL_SECONDS)
        snapshot, plan, planner = await look(swarm, observer, memory, desired, options, loop.time())
    _refuse_blocked(plan)
    if limits.wait:
        await _settle(swarm, executor, observer, desired, frozenset(written), deadline, progress)


async def _settle(
    swarm: Swarm,
    executor: Executor,
    observer: Observer,
    desired: DesiredStack,
    written: frozenset[str],
    deadline: float,
    progress: Progress,
) -> None:
    """Wait until everything runs; what has done so for long enough by then is proven."""
    services = tuple(desired.services.values())
    seen = await converge(swarm, observer, services, _tasks_of(desired), written=written, deadline=deadline, progress=progress)
    proven = proofs([service for service in services if service.name in written], seen, wall=executor.clock.wall())
    await _keep(executor, Plan(desired.name, tuple(proven)), seen, observer)


def _tasks_of(desired: DesiredStack) -> dict[str, list[str]]:
    return {"label": [f"{STACK_LABEL}={desired.name}"]}


def _gate(
    plan: Plan, desired: DesiredStack, snapshot: Snapshot, waiting: dict[str, float], progress: Progress
) -> tuple[Plan, list[Action]]:
    """The part of the plan that may go on now, and the services that wait for others. Removals come when nothing waits."""
    now = asyncio.get_running_loop().time()
    is_ready = {service.name: may_be_depended_on(service, snapshot) for service in desired.services.values()}
    ready: list[Action] = []
    deferred: list[Action] = []
    deadlines = {service.name: service.policy.rollback.deadline.total_seconds() for service in desired.services.values()}
    for action in plan.actions:
        names = [name for name in action.after if not is_ready[name]]
        if not names:
            ready.append(action)
            continue
        if action.name not in waiting:
            waiting[action.name] = now
            progress.waits(action, names)
        if now - waiting[action.name] > deadlines[action.name]:
            progress.waited_enough(action, names)
            ready.append(action)
        else:
            deferred.append(action)
    if deferred:
        ready = [action for action in ready if action.verb is not Verb.REMOVE]
    return replace(plan, actions=tuple(ready)), deferred


def _waits(plan: Plan, deferred: list[Action]) -> list[str]:
    return [f"{action.name} still waits for what it depends on" for action in deferred] + [
        f"{notice.name}: {notice.message}" for notice in plan.notices if notice.reason is Reason.UPDATE_RUNNING
    ]


def _may_go_on(plan: Plan) -> bool:
    """Whether a further look may find more to do: secrets that wait for the key, or things to remove after their users."""
    return any(notice.reason is Reason.WAITS for notice in plan.notices) or any(
        action.verb is Verb.REMOVE or action.reason is Reason.EDITED for action in plan.actions
    )


async def _execute(
    executor: Executor, plan: Plan, snapshot: Snapshot, observer: Observer, progress: Progress
) -> list[ActionResult]:
    async def report(result: ActionResult) -> None:
        progress.acted(result)

    return await _written(executor, plan, snapshot, observer, report)


async def _keep_before(
    swarm: Swarm,
    executor: Executor,
    desired: DesiredStack,
    planner: ServicePlanner,
    snapshot: Snapshot,
    plan: Plan,
    observer: Observer,
) -> list[ActionResult]:
    """Keep what the plan's edits replace, and what they bring: none of them is written where that fails."""
    changed = edits(desired, planner, plan.actions)
    if not changed:
        return []
    wall = executor.clock.wall()
    kept = await before_edits(swarm, desired, planner, snapshot, changed, tasks_of=_tasks_of(desired), wall=wall)
    return await _keep(executor, Plan(desired.name, tuple(kept)), snapshot, observer)


async def _keep(executor: Executor, plan: Plan, snapshot: Snapshot, observer: Observer) -> list[ActionResult]:
    """Write what is kept of revisions, which is no part of the plan that people see."""

    async def report(_: ActionResult) -> None:
        pass

    return await _written(executor, plan, snapshot, observer, report)


async def _written(executor: Executor, plan: Plan, snapshot: Snapshot, observer: Observer, report: Report) -> list[ActionResult]:
    """Raises ProdBreakerError with everything that was refused."""
    results = await executor.execute(plan, snapshot, report)
    for kind in {result.action.kind for result in results}:
        observer.invalidate(kind)
    refused = [result for result in results if result.outcome is ActionOutcome.REFUSED]
    if refused:
        raise ProdBreakerError(
            "\n".join(f"{item.action.verb} {item.action.kind} {item.action.name}: {item.message}" for item in refused)
        )
    return results


def _refuse_blocked(plan: Plan) -> None:
    blocked = [notice for notice in plan.notices if notice.reason in _BLOCKING]
    blocked += [notice for notice in plan.notices if notice.reason is Reason.IMMUTABLE and notice.kind is ObjectKind.SERVICE]
    if blocked:
        raise ProdBreakerError("\n".join(f"{notice.kind} {notice.name}: {notice.message}" for notice in blocked))
