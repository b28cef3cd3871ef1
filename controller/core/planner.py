"""The plan for one stack: what to write so that the Swarm becomes what is declared, and what is left alone and why."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace

from controller.core import contents, networks, services
from controller.core.images import Resolve
from controller.core.revisions import histories, kept_objects, needed_by, removal
from controller.core.state import paused_targets
from controller.core.values import Context
from controller.model.observation import Knowledge, Snapshot
from controller.model.plan import Action, Notice, ObjectKind, Plan, Reason, Restart, Verb
from controller.model.revision import Revision
from controller.model.spec import STACK_LABEL, DesiredService, DesiredStack, Json


@dataclass(frozen=True, slots=True)
class Options:
    resolve: Resolve = Resolve.CHANGED
    prune: bool = False  # beside what the stack's own policy says
    own_stack: str = ""  # the stack that this very process belongs to: it never writes itself


def make_plan(desired: DesiredStack, snapshot: Snapshot, knowledge: Knowledge, options: Options) -> Plan:
    """The whole plan of a stack: shared objects first, then services in the order of depends_on, removals last."""
    shared = plan_shared(desired, snapshot, knowledge, options)
    actions: list[Action] = [action for action in shared.actions if action.verb is not Verb.REMOVE]
    notices: list[Notice] = list(shared.notices)
    planner = ServicePlanner(desired, snapshot, knowledge, options)
    for service in in_dependency_order(desired):
        action, notice = planner.plan(service)
        actions += [action] if action else []
        notices += [notice] if notice else []
    actions += [action for action in shared.actions if action.verb is Verb.REMOVE]
    return Plan(desired.name, tuple(actions), tuple(notices))


def plan_shared(desired: DesiredStack, snapshot: Snapshot, knowledge: Knowledge, options: Options) -> Plan:
    """Networks, configs and secrets to create, and everything of the stack that may be removed."""
    versions = _versions(desired, snapshot, knowledge)
    made, seen = networks.plan_networks(desired, snapshot)
    notices = [*seen, *versions.notices]
    actions = [*made, *versions.actions]
    held = _held(desired, snapshot, options)
    if held:
        reasons = [Notice(action.kind, action.name, held, f"would {action.verb} it") for action in actions]
        return Plan(desired.name, (), (*notices, *reasons))
    revisions = histories(snapshot)
    kept = kept_objects(revisions.values())
    removals, refusals = _removals(desired, snapshot, versions, options, revisions)
    actions += [*contents.unused_versions(desired.name, versions, snapshot, kept), *removals]
    return Plan(desired.name, tuple(actions), (*notices, *refusals))


class ServicePlanner:
    """What all services of one stack share while their plans are made: names behind ids, versions, what is paused."""

    def __init__(self, desired: DesiredStack, snapshot: Snapshot, knowledge: Knowledge, options: Options) -> None:
        network_names = {network["Id"]: name for name, network in snapshot.networks.items()}
        config_names = {config["ID"]: name for name, config in snapshot.configs.items()}
        self._ground = services.Ground(
            desired=desired,
            snapshot=snapshot,
            knowledge=knowledge,
            resolve=options.resolve,
            context=Context(network_names, config_names, snapshot.api_version),
            versions=_versions(desired, snapshot, knowledge),
            missing_networks=networks.missing_networks(desired, snapshot),
            paused=paused_targets(snapshot),
            own_stack=options.own_stack,
            histories=histories(snapshot),
        )

    def plan(self, service: DesiredService, *, may_interrupt: bool = False) -> tuple[Action | None, Notice | None]:
        """At most one action, or the reason why there is none although something differs.

        Drift waits until Swarm's updater has done its work, unless that may be interrupted.
        """
        ground = replace(self._ground, may_interrupt=True) if may_interrupt else self._ground
        return services.plan_service(service, ground)

    def image_to_ask(self, service: DesiredService) -> str | None:
        """The image that the registry must be asked for before this service can be planned."""
        return services.image_to_ask(service, self._ground)

    def revision(self, service: DesiredService) -> str:
        """The hash of what is declared for a service, contents included."""
        return services.revision(service, self._ground.versions)

    def lost(self, revision: Revision) -> list[str]:
        """What a kept revision needs, and neither the Swarm nor the stack's file has any more: there is no going back to it."""
        ground = self._ground
        there = {(kind, name) for (kind, _), name in ground.versions.names.items()}
        there |= {(ObjectKind.NETWORK, name) for name in (*ground.desired.networks, *ground.snapshot.networks)}
        there |= {(ObjectKind.CONFIG, name) for name in ground.snapshot.configs}
        there |= {(ObjectKind.SECRET, name) for name in ground.snapshot.secrets}
        gone = needed_by(revision.body) - there
        return sorted(f"{kind} {name}" for kind, name in gone if not networks.is_predefined(kind, name))

    def generation(self) -> str:
        """The same for all that one edit of the stack brings: a hash of everything that is declared in it."""
        digests = [self.revision(service) for _, service in sorted(self._ground.desired.services.items())]
        return hashlib.sha256("".join(digests).encode()).hexdigest()[:16]

    @property
    def histories(self) -> Mapping[str, Sequence[Revision]]:
        """By service's real name, the kept revisions of all stacks."""
        return self._ground.histories

    @property
    def context(self) -> Context:
        return self._ground.context


def in_dependency_order(desired: DesiredStack) -> list[DesiredService]:
    """Services after all that they depend on; otherwise by key. The loader has refused cycles."""
    ordered: dict[str, DesiredService] = {}

    def visit(key: str) -> None:
        if key not in ordered:
            for before in sorted(desired.services[key].depends_on):
                visit(before)
            ordered[key] = desired.services[key]

    for key in sorted(desired.services):
        visit(key)
    return list(ordered.values())


def _held(desired: DesiredStack, snapshot: Snapshot, options: Options) -> Reason | None:
    """Why nothing of the stack's shared objects may be written."""
    if desired.name == options.own_stack:
        return Reason.OWN_STACK
    return Reason.PAUSED if desired.name in paused_targets(snapshot) or desired.policy.paused else None


def _versions(desired: DesiredStack, snapshot: Snapshot, knowledge: Knowledge) -> contents.Versions:
    declared = [(ObjectKind.CONFIG, config) for config in desired.configs.values()]
    declared += [(ObjectKind.SECRET, secret) for secret in desired.secrets.values()]
    return contents.choose_versions(desired.name, declared, snapshot, knowledge)


def _removals(
    desired: DesiredStack,
    snapshot: Snapshot,
    versions: contents.Versions,
    options: Options,
    revisions: Mapping[str, Sequence[Revision]],
) -> tuple[list[Action], list[Notice]]:
    """What carries the stack's label and is not declared. Refused altogether when nothing declared would be left."""
    declared = {service.name for service in desired.services.values()}
    live = {
        name: item
        for name, item in sorted(snapshot.services.items())
        if (item["Spec"].get("Labels") or {}).get(STACK_LABEL) == desired.name
    }
    surplus = [item for name, item in live.items() if name not in declared]
    refusal = ""
    if not (options.prune or desired.policy.prune):
        refusal = "is not declared any more; prune is off, so it stays"
    elif surplus and not declared & live.keys():
        refusal = "is not declared any more, but to remove it would leave nothing of the stack; refused"
    if refusal:
        return [], [Notice(ObjectKind.SERVICE, item["Spec"]["Name"], Reason.NOT_DECLARED, refusal) for item in surplus]
    held = [item for item in surplus if _paused_key(item, desired.name) in paused_targets(snapshot)]
    notices = [Notice(ObjectKind.SERVICE, item["Spec"]["Name"], Reason.PAUSED, "would be removed") for item in held]
    actions = [_stop(item) for item in surplus if item not in held]
    if not surplus:  # what those services used can go only after them
        kept = kept_objects(revisions.values())
        actions += networks.undeclared(desired, snapshot, kept)
        actions += contents.undeclared(desired.name, versions, snapshot, kept)
        actions += _forgotten(desired.name, declared | snapshot.services.keys(), revisions)
    return actions, notices


def _forgotten(stack: str, known: Set[str], revisions: Mapping[str, Sequence[Revision]]) -> list[Action]:
    """Revisions of the stack's services that are neither declared nor there any more; what they need goes after them."""
    return [
        removal(revision)
        for service, history in sorted(revisions.items())
        if service not in known and (history[-1].body.get("Labels") or {}).get(STACK_LABEL) == stack
        for revision in history
    ]


def _paused_key(service: Json, stack: str) -> str:
    return f"{stack}/{service['Spec']['Name'].removeprefix(f'{stack}_')}"


def _stop(service: Json) -> Action:
    name = service["Spec"]["Name"]
    return Action(Verb.REMOVE, ObjectKind.SERVICE, name, Reason.NOT_DECLARED, restart=Restart.STOP, object_id=service["ID"])
