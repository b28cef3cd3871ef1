"""What a command keeps of revisions when it writes edits itself, as the loop does it: before the write, and once it runs."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime

from controller.core.planner import ServicePlanner
from controller.core.revisions import digest_of, histories
from controller.core.rollout import Turn, is_job, newest
from controller.core.signals import Answers, noise_of
from controller.core.succession import Edit, is_proven, relabelled, succession
from controller.engine.convergence import look_at_tasks
from controller.engine.ports import Swarm
from controller.model.observation import Snapshot
from controller.model.plan import Action, ObjectKind, Reason
from controller.model.revision import Revision, RevisionState
from controller.model.spec import DesiredService, DesiredStack

_UNASKED = Answers({}, None)  # nobody asked Prometheus before the edit: nothing that it says can count after it


def edits(actions: Sequence[Action], snapshot: Snapshot) -> list[Action]:
    """Updates of which something is to be kept. A creation keeps nothing, nor does a job."""
    return [
        action
        for action in actions
        if action.kind is ObjectKind.SERVICE
        and action.reason is Reason.EDITED
        and action.name in snapshot.services
        and not is_job(action.body)
    ]


async def before_edits(
    swarm: Swarm,
    desired: DesiredStack,
    planner: ServicePlanner,
    snapshot: Snapshot,
    actions: Sequence[Action],
    *,
    tasks_of: Mapping[str, Sequence[str]],
    wall: float,
) -> list[Action]:
    """The writes that keep what goes and what comes; where that says whether the former was stable, tasks are listed once.

    `wall` is now, in seconds since 1970. Raises SwarmError.
    """
    declared = {service.name: service for service in desired.services.values()}
    outgoing = {action.name: _running(action.name, snapshot, planner.histories) for action in actions}
    if not all(_is_stable(revision) for revision in outgoing.values()):
        snapshot = await look_at_tasks(swarm, snapshot, tasks_of)
    group, now = planner.generation(), datetime.fromtimestamp(wall, UTC)
    kept: list[Action] = []
    for action in actions:
        service = declared[action.name]
        edit = Edit(
            action,
            planner.revision(service),
            group,
            _stamp(now),
            noise=noise_of(service.policy, _UNASKED),
            is_proven=_is_stable(outgoing[action.name]) or _is_proven(service, snapshot, now),
        )
        history = planner.histories.get(action.name, ())
        kept += succession(edit, history, snapshot, planner.context, keep=service.policy.rollback.keep)
    return kept


def proofs(services: Collection[DesiredService], snapshot: Snapshot, *, wall: float) -> list[Action]:
    """The writes by which those that were written and have run in full for `min_healthy` are stable from now on."""
    found, now = histories(snapshot), datetime.fromtimestamp(wall, UTC)
    actions = []
    for service in services:
        revision = _running(service.name, snapshot, found)
        if revision and revision.state is RevisionState.PROGRESSING and _is_proven(service, snapshot, now):
            seconds = service.policy.rollback.min_healthy.total_seconds()
            actions.append(relabelled(revision, Turn.PROVEN, f"all replicas up for {seconds:g} s", snapshot=snapshot))
    return actions


def _running(name: str, snapshot: Snapshot, found: Mapping[str, Sequence[Revision]]) -> Revision | None:
    return newest(found.get(name, ()), digest_of(snapshot.services.get(name)))


def _is_stable(revision: Revision | None) -> bool:
    return revision is not None and revision.state is RevisionState.STABLE


def _is_proven(service: DesiredService, snapshot: Snapshot, now: datetime) -> bool:
    live = snapshot.services[service.name]
    started_before = _stamp(now - service.policy.rollback.min_healthy)
    tasks = (snapshot.tasks or {}).get(live["ID"], ())
    return is_proven(live, tasks, snapshot.nodes, started_before=started_before)


def _stamp(moment: datetime) -> str:
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
