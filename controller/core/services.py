"""One service: create it, update it, or leave it alone for a stated reason."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from controller.core.bind import renamed
from controller.core.canonical import Section
from controller.core.compose import composed
from controller.core.contents import Versions
from controller.core.diff import Difference, difference
from controller.core.images import REFERENCE_LABEL, Choice, Resolve, choose_image
from controller.core.values import Context
from controller.model.observation import Knowledge, Snapshot
from controller.model.plan import Action, Notice, ObjectKind, Reason, Restart, Verb
from controller.model.policy import DriftMode
from controller.model.spec import BOOKKEEPING_PREFIX, IMAGE_LABEL, STACK_LABEL, DesiredService, DesiredStack, Json

REVISION_LABEL = f"{BOOKKEEPING_PREFIX}revision"  # hash of the declaration that was written last
UPDATING = frozenset({"updating", "rollback_started"})
ROLLED_BACK = frozenset({"rollback_started", "rollback_paused", "rollback_completed"})

Verdict = tuple[Action | None, Notice | None]


@dataclass(frozen=True, slots=True)
class Ground:
    """Everything that the plans of a stack's services rest on."""

    desired: DesiredStack
    snapshot: Snapshot
    knowledge: Knowledge
    resolve: Resolve
    context: Context
    versions: Versions
    missing_networks: frozenset[str]
    paused: frozenset[str]
    own_stack: str


def plan_service(wanted: DesiredService, ground: Ground) -> Verdict:
    """At most one action, or the reason why there is none although something differs."""
    live = ground.snapshot.services.get(wanted.name)
    if live is not None and (live["Spec"].get("Labels") or {}).get(STACK_LABEL) != ground.desired.name:
        return None, _notice(wanted, Reason.FOREIGN, "exists and does not belong to this stack")
    choice = choose_image(wanted, live, ground.knowledge, ground.resolve)
    body = declared_body(wanted, ground.versions, choice)
    if live is None:
        return _create(wanted, body, choice, ground)
    found = difference(body, live["Spec"], ground.context, ignore=wanted.policy.ignore)
    if not found.sections:
        return None, None
    return _update(wanted, body, choice, live, found, ground)


def declared_body(wanted: DesiredService, versions: Versions, choice: Choice) -> dict[str, Any]:
    """What docker's client would send, with the chosen image and the versions of contents that are current."""
    body = renamed(wanted.body, versions.names)
    task = dict(body["TaskTemplate"])
    task["ContainerSpec"] = {**task["ContainerSpec"], "Image": choice.image}
    if choice.platforms:
        task["Placement"] = {**(task.get("Placement") or {}), "Platforms": list(choice.platforms)}
    return {**body, "TaskTemplate": task}


def revision(wanted: DesiredService, versions: Versions) -> str:
    """A hash of what is declared, the versions of its contents included: 16 hexadecimal digits."""
    text = json.dumps(renamed(wanted.body, versions.names), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _create(wanted: DesiredService, body: dict[str, Any], choice: Choice, ground: Ground) -> Verdict:
    blocked = _blocked(wanted, choice, ground)
    if blocked:
        return None, blocked
    body["Labels"] = {**body["Labels"], **_bookkeeping(wanted, body, ground)}
    return (
        Action(
            Verb.CREATE,
            ObjectKind.SERVICE,
            wanted.name,
            Reason.MISSING,
            restart=Restart.START,
            after=tuple(ground.desired.services[key].name for key in wanted.depends_on),
            needs=_needs(wanted, ground.versions),
            body=body,
        ),
        None,
    )


def _update(
    wanted: DesiredService, body: dict[str, Any], choice: Choice, live: Json, found: Difference, ground: Ground
) -> Verdict:
    if any(change.field == "deploy.mode" for change in found.changes):
        message = "the mode of a service cannot be changed in place; remove the service to have it made anew"
        return None, _notice(wanted, Reason.IMMUTABLE, message, found)
    reason = _reason(wanted, live, ground)
    held = _held(wanted, reason, live, found, ground) or _blocked(wanted, choice, ground, found)
    if held:
        return None, held
    written = composed(body, live["Spec"], found.sections, ignore=wanted.policy.ignore)
    if choice.platforms and Section.CONTAINER in found.sections:
        task = written["TaskTemplate"]
        task["Placement"] = {**(task.get("Placement") or {}), "Platforms": list(choice.platforms)}
    names = {key: body["Labels"][key] for key in (STACK_LABEL, IMAGE_LABEL)}  # even where labels are ignored: they tell an edit
    written["Labels"] = {**(written.get("Labels") or {}), **names, **_bookkeeping(wanted, written, ground)}
    return (
        Action(
            Verb.UPDATE,
            ObjectKind.SERVICE,
            wanted.name,
            reason,
            changes=found.changes,
            restart=found.restart,
            needs=_needs(wanted, ground.versions),
            object_id=live["ID"],
            version=live["Version"]["Index"],
            body=written,
        ),
        None,
    )


def _reason(wanted: DesiredService, live: Json, ground: Ground) -> Reason:
    """Drift if this very declaration was in force before; an edit if another one was; unknown counts as drift."""
    before = (live["Spec"].get("Labels") or {}).get(REVISION_LABEL) or ground.knowledge.applied.get(wanted.name)
    return Reason.DRIFT if before in (None, revision(wanted, ground.versions)) else Reason.EDITED


def _held(wanted: DesiredService, reason: Reason, live: Json, found: Difference, ground: Ground) -> Notice | None:
    """Why a service that differs is left as it is, in the order in which the reasons outrank each other."""
    status = (live.get("UpdateStatus") or {}).get("State", "")
    if status in ROLLED_BACK and ground.knowledge.rejected.get(wanted.name) == revision(wanted, ground.versions):
        return _notice(
            wanted, Reason.QUARANTINED, "Swarm rolled this declaration back; it is not tried again until it changes", found
        )
    if reason is Reason.DRIFT and wanted.policy.drift is DriftMode.IGNORE:
        return _notice(wanted, Reason.DRIFT_IGNORED, "differs, and its drift is ignored", found)
    if reason is Reason.DRIFT and wanted.policy.drift is DriftMode.REPORT:
        return _notice(wanted, Reason.DRIFT_REPORTED, "differs, and its drift is only reported", found)
    if reason is Reason.DRIFT and status in UPDATING:
        return _notice(wanted, Reason.UPDATE_RUNNING, "Swarm's updater is at work on it", found)
    return None


def _blocked(wanted: DesiredService, choice: Choice, ground: Ground, found: Difference | None = None) -> Notice | None:
    """What stands against any write of the service."""
    desired, paused = ground.desired, ground.paused
    if desired.name == ground.own_stack:
        return _notice(wanted, Reason.OWN_STACK, "belongs to this controller, which never writes itself", found)
    if desired.policy.paused or desired.name in paused or f"{desired.name}/{wanted.key}" in paused:
        return _notice(wanted, Reason.PAUSED, "is paused", found)
    if choice.must_ask:
        why = ground.knowledge.unresolved.get(choice.image, "the registry was not asked")
        return _notice(wanted, Reason.UNRESOLVED_IMAGE, f"{choice.image} cannot be pinned to a digest: {why}", found)
    outside = {(ObjectKind.NETWORK, name) for name in ground.missing_networks} | ground.versions.missing
    lacking = sorted(name for kind, name in _needs(wanted, None) if (kind, name) in outside)
    if lacking:
        return _notice(wanted, Reason.WAITS, f"needs {', '.join(lacking)}", found)
    return None


def _needs(wanted: DesiredService, versions: Versions | None) -> tuple[tuple[ObjectKind, str], ...]:
    """Objects that the service refers to: their declared names, or with `versions` those of the current versions."""
    task = wanted.body["TaskTemplate"]
    container = task["ContainerSpec"]
    declared = [(ObjectKind.NETWORK, item["Target"]) for item in task.get("Networks") or ()]
    declared += [(ObjectKind.CONFIG, item["ConfigName"]) for item in container.get("Configs") or ()]
    declared += [(ObjectKind.SECRET, item["SecretName"]) for item in container.get("Secrets") or ()]
    return tuple((kind, versions.names.get((kind, name), name) if versions else name) for kind, name in declared)


def _bookkeeping(wanted: DesiredService, body: Json, ground: Ground) -> Mapping[str, str]:
    """Labels on the service, never on its containers: those would restart every task."""
    image: str = body["TaskTemplate"]["ContainerSpec"]["Image"]
    reference = {REFERENCE_LABEL: image} if "@" in image else {}
    return {REVISION_LABEL: revision(wanted, ground.versions), **reference}


def _notice(wanted: DesiredService, reason: Reason, message: str, found: Difference | None = None) -> Notice:
    return Notice(ObjectKind.SERVICE, wanted.name, reason, message, found.changes if found else ())
