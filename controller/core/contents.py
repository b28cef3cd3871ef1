"""Which version of a config or a secret a stack needs: Swarm keeps their data for ever, so new content is a new object.

The first version has the name that docker gives it, so that a stack which docker deployed is taken over without a write.
Later versions are called `NAME-<hash8>`. A label holds the content's hash; for a secret it is keyed, because a short
password could be guessed from a plain hash.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from typing import Any

from controller.core.state import STATE_NAME, new_state
from controller.model.observation import Knowledge, Snapshot
from controller.model.plan import Action, Notice, ObjectKind, Reason, Verb
from controller.model.spec import BOOKKEEPING_PREFIX, STACK_LABEL, DesiredContent, Json

CONTENT_LABEL = f"{BOOKKEEPING_PREFIX}content"  # hash of the content
BASE_LABEL = f"{BOOKKEEPING_PREFIX}base"  # the name of the first version
NAME_LIMIT = 64  # of the daemon, for configs and secrets


@dataclass(frozen=True, slots=True)
class Versions:
    """What became of one stack's configs and secrets."""

    names: Mapping[tuple[ObjectKind, str], str]  # (kind, declared name) -> name of the version to use
    actions: tuple[Action, ...] = ()
    notices: tuple[Notice, ...] = ()
    missing: frozenset[tuple[ObjectKind, str]] = frozenset()  # declared names that no service can use yet


def choose_versions(
    stack: str, contents: Iterable[tuple[ObjectKind, DesiredContent]], snapshot: Snapshot, knowledge: Knowledge
) -> Versions:
    """For each config and secret the version that holds its content, or the action that creates one."""
    names: dict[tuple[ObjectKind, str], str] = {}
    actions: list[Action] = []
    notices: list[Notice] = []
    missing: set[tuple[ObjectKind, str]] = set()
    needs_key = False
    for kind, wanted in contents:
        names[kind, wanted.name], action, notice = _choose(stack, kind, wanted, snapshot, knowledge)
        actions += [action] if action else []
        notices += [notice] if notice else []
        if notice and notice.reason is not Reason.UNKNOWN_CONTENT:
            missing.add((kind, wanted.name))
            needs_key |= kind is ObjectKind.SECRET and not wanted.external and knowledge.content_key is None
    if needs_key:
        actions.insert(0, Action(Verb.CREATE, ObjectKind.CONFIG, STATE_NAME, Reason.MISSING, body=new_state(b"")))
    return Versions(names, tuple(actions), tuple(notices), frozenset(missing))


def live_contents(snapshot: Snapshot, kind: ObjectKind) -> Mapping[str, Json]:
    return snapshot.configs if kind is ObjectKind.CONFIG else snapshot.secrets


def fingerprint(wanted: DesiredContent, *, key: bytes | None = None) -> str:
    """The hash of a content with its driver and template settings, keyed if there is a key; hexadecimal."""
    settings = {name: wanted.body[name] for name in ("Driver", "Templating") if wanted.body.get(name)}
    material = wanted.content + (json.dumps(settings, sort_keys=True).encode() if settings else b"")
    return hmac.new(key, material, hashlib.sha256).hexdigest() if key else hashlib.sha256(material).hexdigest()


def sealed(kind: ObjectKind, wanted: DesiredContent, name: str, key: bytes | None) -> dict[str, Any]:
    """The body that creates a version under a name, labelled with the hash of its content."""
    keyed = key if kind is ObjectKind.SECRET else None
    labels = {**wanted.body.get("Labels", {}), CONTENT_LABEL: fingerprint(wanted, key=keyed), BASE_LABEL: wanted.name}
    return {**wanted.body, "Name": name, "Labels": labels}


def _choose(
    stack: str, kind: ObjectKind, wanted: DesiredContent, snapshot: Snapshot, knowledge: Knowledge
) -> tuple[str, Action | None, Notice | None]:
    live = live_contents(snapshot, kind)
    if wanted.external:
        absent = Notice(kind, wanted.name, Reason.WAITS, "is declared as external and does not exist")
        return wanted.name, None, None if wanted.name in live else absent
    later = version_name(wanted, kind, knowledge.content_key)
    for name in (wanted.name, later):
        found = live.get(name)
        if found is not None and _holds(kind, wanted, found, knowledge):
            return name, _relabel(stack, kind, wanted, found), _doubt(kind, found, knowledge)
    if kind is ObjectKind.SECRET and knowledge.content_key is None:
        return wanted.name, None, Notice(kind, wanted.name, Reason.WAITS, "is made once the cluster has its key")
    if wanted.name not in live:
        body = sealed(kind, wanted, wanted.name, knowledge.content_key)
        return wanted.name, Action(Verb.CREATE, kind, wanted.name, Reason.MISSING, body=body), None
    if later in live:
        return later, None, Notice(kind, later, Reason.FOREIGN, "this name is taken by other content")
    body = sealed(kind, wanted, later, knowledge.content_key)
    return later, Action(Verb.CREATE, kind, later, Reason.EDITED, body=body), None


def version_name(wanted: DesiredContent, kind: ObjectKind, key: bytes | None) -> str:
    digest = fingerprint(wanted, key=key if kind is ObjectKind.SECRET else None)[:8]
    return f"{wanted.name[: NAME_LIMIT - 9]}-{digest}"


def _holds(kind: ObjectKind, wanted: DesiredContent, found: Json, knowledge: Knowledge) -> bool:
    spec = found["Spec"]
    label = (spec.get("Labels") or {}).get(CONTENT_LABEL)
    if kind is ObjectKind.CONFIG:
        same_template = (spec.get("Templating") or None) == (wanted.body.get("Templating") or None)
        return same_template and base64.b64decode(spec.get("Data") or "") == wanted.content
    if label is None or knowledge.content_key is None:
        return found["ID"] not in knowledge.changed_secrets
    return bool(label == fingerprint(wanted, key=knowledge.content_key))


def _doubt(kind: ObjectKind, found: Json, knowledge: Knowledge) -> Notice | None:
    """A secret that we did not make cannot be compared: Swarm never gives its data."""
    if (
        kind is ObjectKind.CONFIG
        or CONTENT_LABEL in (found["Spec"].get("Labels") or {})
        or found["ID"] in knowledge.noted_secrets
    ):
        return None
    message = "made by docker, so its content cannot be read back; it is taken to be what the file holds"
    return Notice(kind, found["Spec"]["Name"], Reason.UNKNOWN_CONTENT, message)


def _relabel(stack: str, kind: ObjectKind, wanted: DesiredContent, found: Json) -> Action | None:
    """Labels may change in place; ours are kept."""
    labels: Mapping[str, str] = found["Spec"].get("Labels") or {}
    ours = {key: text for key, text in labels.items() if key.startswith(BOOKKEEPING_PREFIX)}
    declared = {**wanted.body.get("Labels", {}), **ours}
    if labels == declared or labels.get(STACK_LABEL) != stack:  # somebody else's object is used as it is, never written
        return None
    body = {**found["Spec"], "Labels": declared}
    return Action(
        Verb.UPDATE,
        kind,
        found["Spec"]["Name"],
        Reason.DRIFT,
        object_id=found["ID"],
        version=found["Version"]["Index"],
        body=body,
    )


Kept = Set[tuple[ObjectKind, str]]  # by kind and name, what a kept revision would need again


def unused_versions(stack: str, versions: Versions, snapshot: Snapshot, kept: Kept = frozenset()) -> list[Action]:
    """Versions of declared contents that no service needs, now or for going back."""
    used = _references(snapshot)
    actions = []
    for (kind, base), chosen in versions.names.items():
        for name, found in live_contents(snapshot, kind).items():
            labels = found["Spec"].get("Labels") or {}
            ours = labels.get(STACK_LABEL) == stack and (name == base or labels.get(BASE_LABEL) == base)
            needed = found["ID"] in used or (kind, name) in kept
            if ours and name != chosen and not needed and chosen in live_contents(snapshot, kind):
                actions.append(_removal(kind, found, Reason.UNUSED_VERSION))
    return actions


def undeclared(stack: str, versions: Versions, snapshot: Snapshot, kept: Kept = frozenset()) -> list[Action]:
    """Configs and secrets of the stack that no file declares and no service needs."""
    used = _references(snapshot)
    actions = []
    for kind in (ObjectKind.CONFIG, ObjectKind.SECRET):
        bases = {base for of_kind, base in versions.names if of_kind is kind}
        for name, found in live_contents(snapshot, kind).items():
            labels = found["Spec"].get("Labels") or {}
            declared = name in bases or labels.get(BASE_LABEL) in bases
            needed = found["ID"] in used or (kind, name) in kept
            if labels.get(STACK_LABEL) == stack and not declared and not needed and name != STATE_NAME:
                actions.append(_removal(kind, found, Reason.NOT_DECLARED))
    return actions


def _removal(kind: ObjectKind, found: Json, reason: Reason) -> Action:
    return Action(Verb.REMOVE, kind, found["Spec"]["Name"], reason, object_id=found["ID"])


def _references(snapshot: Snapshot) -> frozenset[str]:
    """Ids of every config and secret that a service uses, or would use again after Swarm's own rollback."""
    used: set[str] = set()
    for service in snapshot.services.values():
        for spec in (service.get("Spec"), service.get("PreviousSpec")):
            container = ((spec or {}).get("TaskTemplate") or {}).get("ContainerSpec") or {}
            used |= {reference["SecretID"] for reference in container.get("Secrets") or ()}
            used |= {reference["ConfigID"] for reference in container.get("Configs") or ()}
    return frozenset(used)
