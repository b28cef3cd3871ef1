"""What a command keeps of revisions when it writes edits itself, as the loop does it: before the write, and once it runs."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime

from controller.core.planner import ServicePlanner
from controller.core.revisions import digest_of, histories
from controller.core.rollout import Turn, is_job, newest
from controller.core.signals import Answers, noise_of
from controller.core.succession import Edit, is_proven, outgoing, relabelled, succession
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
    leaving = {action.name: _leaving(action.name, snapshot, planner) for action in actions}
    if any(_may_be_proven(declared[name], revision) for name, revision in leaving.items()):
        snapshot = await look_at_tasks(swarm, snapshot, tasks_of)
    group, now = planner.generation(), datetime.fromtimestamp(wall, UTC)
    kept: list[Action] = []
    for action in actions:
        service, before = declared[action.name], leaving[action.name]
        edit = Edit(
            action,
            planner.revision(service),
            group,
            _stamp(now),
            noise=noise_of(service.policy, _UNASKED),
            is_proven=_is_stable(before) or (_may_be_proven(service, before) and _is_proven(service, snapshot, now)),
        )
        history = planner.histories.get(action.name, ())
        kept += succession(edit, history, snapshot, planner.context, keep=service.policy.rollback.keep)
    return kept


def proofs(services: Collection[DesiredService], snapshot: Snapshot, *, wall: float) -> list[Action]:
    """The writes by which those that were written and have run in full for `min_healthy` are stable from now on."""
    found, now = histories(snapshot), datetime.fromtimestamp(wall, UTC)
    actions = []
    for service in services:
        revision = newest(found.get(service.name, ()), digest_of(snapshot.services.get(service.name)))
        is_new = revision is not None and revision.state is RevisionState.PROGRESSING
        if revision and is_new and _may_be_proven(service, revision) and _is_proven(service, snapshot, now):
            seconds = service.policy.rollback.min_healthy.total_seconds()
            actions.append(relabelled(revision, Turn.PROVEN, f"all replicas up for {seconds:g} s", snapshot=snapshot))
    return actions


def _leaving(name: str, snapshot: Snapshot, planner: ServicePlanner) -> Revision | None:
    return outgoing(planner.histories.get(name, ()), snapshot.services[name], planner.context)


def _is_stable(revision: Revision | None) -> bool:
    return revision is not None and revision.state is RevisionState.STABLE


def _may_be_proven(service: DesiredService, revision: Revision | None) -> bool:
    """Whether tasks alone can prove it: not where measurements have a say, which nobody asks here."""
    is_measured = bool(service.policy.rollback.conditions or service.policy.alerts)
    return not _is_stable(revision) and not (revision and is_measured and revision.state is RevisionState.PROGRESSING)


def _is_proven(service: DesiredService, snapshot: Snapshot, now: datetime) -> bool:
    live = snapshot.services[service.name]
    started_before = _stamp(now - service.policy.rollback.min_healthy)
    tasks = (snapshot.tasks or {}).get(live["ID"], ())
    return is_proven(live, tasks, snapshot.nodes, started_before=started_before)


def _stamp(moment: datetime) -> str:
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
