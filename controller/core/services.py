"""One service: create it, update it, or leave it alone for a stated reason."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from controller.core.bind import renamed
from controller.core.canonical import Section
from controller.core.compose import composed
from controller.core.contents import Versions
from controller.core.diff import Difference, difference
from controller.core.images import REFERENCE_LABEL, Choice, Resolve, choose_image
from controller.core.preflight import objection
from controller.core.replicas import GOING_BACK, TAKEN_BACK, UPDATING
from controller.core.revisions import REVISION_LABEL, digest_of
from controller.core.rollout import Standing, is_undone, standing
from controller.core.values import Context
from controller.model.observation import Knowledge, Snapshot
from controller.model.plan import Action, Notice, ObjectKind, Reason, Restart, Verb
from controller.model.policy import DriftMode
from controller.model.revision import Revision, RevisionState
from controller.model.spec import IMAGE_LABEL, STACK_LABEL, DesiredService, DesiredStack, Json

_NO_VERSIONS = Versions({})  # a kept spec names the versions that it means

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
    histories: Mapping[str, Sequence[Revision]]
    may_interrupt: bool = False  # drift does not wait for Swarm's updater


@dataclass(frozen=True, slots=True)
class Wish:
    """What a service is to run: what is declared or, where that was found bad, an earlier revision."""

    service: DesiredService  # with the body that is meant
    choice: Choice
    versions: Versions
    instead: Revision | None = None  # the earlier revision

    @property
    def digest(self) -> str:
        return self.instead.digest if self.instead else revision(self.service, self.versions)


def plan_service(wanted: DesiredService, ground: Ground) -> Verdict:
    """At most one action, and the reason why there is none, or why it is not the one that is declared."""
    live = ground.snapshot.services.get(wanted.name)
    if live is not None and (live["Spec"].get("Labels") or {}).get(STACK_LABEL) != ground.desired.name:
        return None, _notice(wanted, Reason.FOREIGN, "exists and does not belong to this stack")
    stands = _standing(wanted, live, ground)
    if stands.refused is None:
        choice = choose_image(wanted, live, ground.knowledge, ground.resolve)
        return _plan(Wish(wanted, choice, ground.versions), live, ground)
    refusal = _refusal(wanted, stands)
    if stands.target is None or is_undone(stands.refused, live):
        return None, refusal
    action, notice = _plan(_instead(wanted, stands.target), live, ground)
    return action, notice or refusal


def image_to_ask(wanted: DesiredService, ground: Ground) -> str | None:
    """The image that the registry must be asked for before the service can be planned; a refused declaration's never."""
    live = ground.snapshot.services.get(wanted.name)
    choice = choose_image(wanted, live, ground.knowledge, ground.resolve)
    return choice.image if choice.must_ask and _standing(wanted, live, ground).refused is None else None


def _standing(wanted: DesiredService, live: Json | None, ground: Ground) -> Standing:
    history = ground.histories.get(wanted.name)
    return standing(history, revision(wanted, ground.versions), live) if history else Standing()


def _plan(wish: Wish, live: Json | None, ground: Ground) -> Verdict:
    body = declared_body(wish.service, wish.versions, wish.choice)
    if live is None:
        return _create(wish, body, ground)
    found = difference(body, live["Spec"], ground.context, ignore=wish.service.policy.ignore)
    if not found.sections:
        return None, None
    return _update(wish, body, live, found, ground)


def _instead(wanted: DesiredService, target: Revision) -> Wish:
    """A kept revision in the declared one's place, with the number of replicas that is declared now."""
    body = dict(target.body)
    if set(body.get("Mode") or ()) == set(wanted.body.get("Mode") or ()):
        body["Mode"] = wanted.body["Mode"]
    task = body["TaskTemplate"]
    choice = Choice(task["ContainerSpec"]["Image"], platforms=tuple((task.get("Placement") or {}).get("Platforms") or ()))
    return Wish(replace(wanted, body=body), choice, _NO_VERSIONS, target)


def _refusal(wanted: DesiredService, stands: Standing) -> Notice:
    refused, target = stands.refused, stands.target
    assert refused is not None  # noqa: S101 - only asked of a refused one
    if target is None:
        instead = "nothing earlier was stable, so what runs is left as it is"
    else:
        verb = "runs in" if refused.state is RevisionState.QUARANTINED else "takes"
        instead = f"revision {target.number} {verb} its place"
    return _notice(wanted, Reason.QUARANTINED, f"revision {refused.number} is bad ({refused.why}); {instead}")


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


def _create(wish: Wish, body: dict[str, Any], ground: Ground) -> Verdict:
    blocked = _blocked(wish, ground)
    if blocked:
        return None, blocked
    body["Labels"] = {**body["Labels"], **_bookkeeping(wish, body)}
    return (
        Action(
            Verb.CREATE,
            ObjectKind.SERVICE,
            wish.service.name,
            Reason.MISSING,
            restart=Restart.START,
            after=tuple(ground.desired.services[key].name for key in wish.service.depends_on),
            needs=_needs(wish.service, wish.versions),
            body=body,
        ),
        None,
    )


def _update(wish: Wish, body: dict[str, Any], live: Json, found: Difference, ground: Ground) -> Verdict:
    wanted, choice = wish.service, wish.choice
    if any(change.field == "deploy.mode" for change in found.changes):
        message = "the mode of a service cannot be changed in place; remove the service to have it made anew"
        return None, _notice(wanted, Reason.IMMUTABLE, message, found)
    reason = _reason(wish, live, ground)
    held = _held(wanted, reason, live, found, may_interrupt=ground.may_interrupt) or _blocked(wish, ground, found)
    if held:
        return None, held
    written = composed(body, live["Spec"], found.sections, ignore=wanted.policy.ignore)
    # What is kept has its image's platforms, or none; a declaration whose image nobody resolved leaves them alone.
    if (choice.platforms or wish.instead) and Section.CONTAINER in found.sections:
        task = written["TaskTemplate"]
        task["Placement"] = {**(task.get("Placement") or {}), "Platforms": list(choice.platforms or ())}
    # Even where labels are ignored: these tell an edit.
    names = {key: body["Labels"][key] for key in (STACK_LABEL, IMAGE_LABEL) if key in body["Labels"]}
    written["Labels"] = {**(written.get("Labels") or {}), **names, **_bookkeeping(wish, written)}
    action = Action(
        Verb.UPDATE,
        ObjectKind.SERVICE,
        wanted.name,
        reason,
        changes=found.changes,
        restart=found.restart,
        needs=_needs(wanted, wish.versions),
        object_id=live["ID"],
        version=live["Version"]["Index"],
        body=written,
    )
    fault = objection(action, ground.snapshot)
    if fault:
        return None, _notice(wanted, Reason.IMPOSSIBLE, fault, found)
    return action, None


def _reason(wish: Wish, live: Json, ground: Ground) -> Reason:
    """Drift if this very declaration was in force before; an edit if another one was; unknown counts as drift."""
    if wish.instead:  # without a label: docker's, and so what Swarm itself went back to
        return Reason.DRIFT if digest_of(live) in ("", wish.digest) else Reason.ROLLBACK
    before = digest_of(live) or ground.knowledge.applied.get(wish.service.name)
    latest = next(reversed(ground.histories.get(wish.service.name, ())), None)
    # The last revision that went live, once proven, is undone by hand alone, whatever label an older spec has brought back.
    was_there = latest is not None and latest.digest == wish.digest and latest.state is RevisionState.STABLE
    return Reason.DRIFT if was_there or before in (None, wish.digest) else Reason.EDITED


def _held(wanted: DesiredService, reason: Reason, live: Json, found: Difference, *, may_interrupt: bool) -> Notice | None:
    """Why a service that differs is left as it is, in the order in which the reasons outrank each other."""
    if reason is Reason.DRIFT and wanted.policy.drift is DriftMode.IGNORE:
        return _notice(wanted, Reason.DRIFT_IGNORED, "differs, and its drift is ignored", found)
    if reason is Reason.DRIFT and wanted.policy.drift is DriftMode.REPORT:
        return _notice(wanted, Reason.DRIFT_REPORTED, "differs, and its drift is only reported", found)
    status = live.get("UpdateStatus") or {}
    state = status.get("State", "")
    # What Swarm found bad itself, it would take back again, once in every deadline for ever.
    if reason is Reason.DRIFT and state == GOING_BACK and status.get("Message", "").startswith(TAKEN_BACK):
        return _notice(wanted, Reason.UPDATE_RUNNING, "Swarm's updater goes back from it", found)
    # What goes back by itself, or by somebody's hand, is looked at when it has: it may be what would be written.
    is_left_to_swarm = (reason is Reason.DRIFT and state in UPDATING) or (reason is Reason.ROLLBACK and state == GOING_BACK)
    if is_left_to_swarm and not may_interrupt:
        return _notice(wanted, Reason.UPDATE_RUNNING, "Swarm's updater is at work on it", found)
    return None


def _blocked(wish: Wish, ground: Ground, found: Difference | None = None) -> Notice | None:
    """What stands against any write of the service."""
    desired, paused, wanted, choice = ground.desired, ground.paused, wish.service, wish.choice
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


def _bookkeeping(wish: Wish, body: Json) -> Mapping[str, str]:
    """Labels on the service, never on its containers: those would restart every task."""
    image: str = body["TaskTemplate"]["ContainerSpec"]["Image"]
    reference = {REFERENCE_LABEL: image} if "@" in image else {}
    return {REVISION_LABEL: wish.digest, **reference}


def _notice(wanted: DesiredService, reason: Reason, message: str, found: Difference | None = None) -> Notice:
    return Notice(ObjectKind.SERVICE, wanted.name, reason, message, found.changes if found else ())
