"""What a command keeps of revisions when it writes edits itself, as the loop does it: before the write, and once it runs."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime

from controller.core.planner import ServicePlanner
from controller.core.revisions import digest_of, histories
from controller.core.rollout import Turn, newest
from controller.core.signals import Answers, noise_of
from controller.core.succession import Edit, is_kept, is_proven, outgoing, relabelled, succession
from controller.engine.convergence import look_at_tasks
from controller.engine.ports import Swarm
from controller.model.observation import Snapshot
from controller.model.plan import Action, ObjectKind, Reason, Verb
from controller.model.revision import Revision, RevisionState
from controller.model.spec import DesiredService, DesiredStack

_UNASKED = Answers({}, None)  # nobody asked Prometheus before the edit: nothing that it says can count after it


def edits(desired: DesiredStack, planner: ServicePlanner, actions: Sequence[Action]) -> list[Action]:
    """Writes of which something is to be kept."""
    declared = {service.name: service for service in desired.services.values()}
    return [
        action
        for action in actions
        if action.kind is ObjectKind.SERVICE
        and (action.reason is Reason.EDITED or (action.verb is Verb.CREATE and action.name in planner.histories))
        and is_kept(action, planner.revision(declared[action.name]), planner.histories.get(action.name, ()))
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
    live = snapshot.services
    if any(name in live and _may_be_proven(declared[name], revision) for name, revision in leaving.items()):
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
    live = snapshot.services.get(name)
    return outgoing(planner.histories.get(name, ()), live, planner.context) if live else None


def _is_stable(revision: Revision | None) -> bool:
    return revision is not None and revision.state is RevisionState.STABLE


def _may_be_proven(service: DesiredService, revision: Revision | None) -> bool:
    """Whether tasks alone can prove it: not where measurements have a say, which nobody asks here."""
    is_measured = bool(service.policy.rollback.conditions or service.policy.alerts)
    return not _is_stable(revision) and not (revision and is_measured and revision.state is RevisionState.PROGRESSING)


def _is_proven(service: DesiredService, snapshot: Snapshot, now: datetime) -> bool:
    live = snapshot.services.get(service.name)
    if live is None:
        return False
    started_before = _stamp(now - service.policy.rollback.min_healthy)
    tasks = (snapshot.tasks or {}).get(live["ID"], ())
    return is_proven(live, tasks, snapshot.nodes, started_before=started_before)


def _stamp(moment: datetime) -> str:
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
