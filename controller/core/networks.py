"""Networks of a stack: created when missing, never changed (Swarm cannot), removed only by prune."""

from __future__ import annotations

from collections.abc import Set

from controller.core.values import pruned
from controller.model.observation import Snapshot
from controller.model.plan import Action, Change, Notice, ObjectKind, Reason, Verb
from controller.model.spec import STACK_LABEL, DesiredNetwork, DesiredStack, Json

_PREDEFINED = frozenset({"bridge", "host", "none", "default"})  # every node has its own

_SETTINGS = (("Driver", "driver", "overlay"), ("Internal", "internal", False), ("Attachable", "attachable", False))


def is_predefined(kind: ObjectKind, name: str) -> bool:
    """Whether every node has this object by itself, so that no list needs to show it."""
    return kind is ObjectKind.NETWORK and name in _PREDEFINED


def plan_networks(desired: DesiredStack, snapshot: Snapshot) -> tuple[list[Action], list[Notice]]:
    """What to create, and what is there but not as declared."""
    actions: list[Action] = []
    notices: list[Notice] = []
    for name, wanted in sorted(desired.networks.items()):
        found = snapshot.networks.get(name)
        if wanted.external:
            notice = _external(wanted, found)
            notices += [notice] if notice else []
        elif found is None:
            actions.append(Action(Verb.CREATE, ObjectKind.NETWORK, name, Reason.MISSING, body=wanted.body))
        elif (found.get("Labels") or {}).get(STACK_LABEL) != desired.name:
            notices.append(Notice(ObjectKind.NETWORK, name, Reason.FOREIGN, "exists and does not belong to this stack"))
        else:
            changes = _changes(wanted.body, found)
            if changes:
                message = "a network cannot be changed in place; remove it with its services to have it made anew"
                notices.append(Notice(ObjectKind.NETWORK, name, Reason.IMMUTABLE, message, changes))
    return actions, notices


def missing_networks(desired: DesiredStack, snapshot: Snapshot) -> frozenset[str]:
    """Names of external networks that somebody else has yet to make, as Swarm's."""
    return frozenset(
        name
        for name, wanted in desired.networks.items()
        if wanted.external and _external(wanted, snapshot.networks.get(name)) is not None
    )


def undeclared(desired: DesiredStack, snapshot: Snapshot, kept: Set[tuple[ObjectKind, str]] = frozenset()) -> list[Action]:
    """Networks of the stack that no file declares and no service uses, nor one that is `kept` to go back to."""
    used = {
        item["Target"]
        for service in snapshot.services.values()
        for item in ((service["Spec"].get("TaskTemplate") or {}).get("Networks") or ())
    }
    return [
        Action(Verb.REMOVE, ObjectKind.NETWORK, name, Reason.NOT_DECLARED, object_id=found["Id"])
        for name, found in sorted(snapshot.networks.items())
        if (found.get("Labels") or {}).get(STACK_LABEL) == desired.name
        and name not in desired.networks
        and found["Id"] not in used
        and (ObjectKind.NETWORK, name) not in kept
    ]


def _external(wanted: DesiredNetwork, found: Json | None) -> Notice | None:
    if wanted.name in _PREDEFINED:
        return None
    if found is None:
        return Notice(ObjectKind.NETWORK, wanted.name, Reason.WAITS, "is declared as external and does not exist")
    if found.get("Scope") != "swarm":
        return Notice(ObjectKind.NETWORK, wanted.name, Reason.FOREIGN, "is declared as external and is not a Swarm network")
    return None


def _changes(wanted: Json, found: Json) -> tuple[Change, ...]:
    """Only what the file says: the engine adds options and addresses of its own."""
    changes = []
    for key, name, default in _SETTINGS:
        mine, theirs = wanted.get(key) or default, found.get(key) or default
        if mine != theirs:
            changes.append(Change(name, str(theirs), str(mine)))
    options = found.get("Options") or {}
    for key, text in sorted((wanted.get("Options") or {}).items()):
        if options.get(key) != text:
            changes.append(Change(f"driver_opts.{key}", options.get(key), text))
    subnets = [item.get("Subnet") for item in pruned((wanted.get("IPAM") or {}).get("Config") or [])]
    live = [item.get("Subnet") for item in (found.get("IPAM") or {}).get("Config") or ()]
    if subnets and sorted(map(str, subnets)) != sorted(map(str, live)):
        changes.append(Change("ipam", ", ".join(map(str, live)), ", ".join(map(str, subnets))))
    return tuple(changes)
