"""Revisions as configs: how they are written into the Swarm and read out of it.

Data cannot change and holds what never does: the spec, and what it changed. Labels can, by compare-and-swap, and hold what
became of it. A revision carries no stack label: `docker stack rm` must not take away the memory that one is bad.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from controller.core.values import Context
from controller.model.observation import Snapshot
from controller.model.plan import Action, Change, ObjectKind, Reason, Verb
from controller.model.revision import Revision, RevisionState
from controller.model.spec import BOOKKEEPING_PREFIX, Json, symbolic_id

REVISION_LABEL = f"{BOOKKEEPING_PREFIX}revision"  # on a service: digest of the declaration that was written last
_NAME = "prodbreaker_rev_"
_PREFIX = f"{BOOKKEEPING_PREFIX}rev."
_SERVICE = f"{_PREFIX}service"
_CONTENTS = ((ObjectKind.CONFIG, "Configs", "ConfigName", "ConfigID"), (ObjectKind.SECRET, "Secrets", "SecretName", "SecretID"))


def histories(snapshot: Snapshot) -> Mapping[str, Sequence[Revision]]:
    """By service, its revisions from the oldest to the newest; a config that cannot be read as one is passed over."""
    found: dict[str, list[Revision]] = {}
    for config in snapshot.configs.values():
        labels = config["Spec"].get("Labels") or {}
        if _SERVICE in labels:
            try:
                revision = _read(config, labels)
            except (KeyError, ValueError, TypeError):
                continue  # written by hand or by another version; it must not stop what is readable
            found.setdefault(revision.service, []).append(revision)
    return {service: sorted(revisions, key=lambda item: item.number) for service, revisions in found.items()}


def digest_of(live: Json | None) -> str:
    """The digest of the declaration that a live service was last written from; empty when it is not known."""
    label: str = ((live or {"Spec": {}})["Spec"].get("Labels") or {}).get(REVISION_LABEL, "")
    return label


def config_name(service: str, number: int) -> str:
    return f"{_NAME}{service_tag(service)}_{number}"


def service_tag(service: str) -> str:
    """What stands for a service in the names of the configs that keep its revisions."""
    return hashlib.sha256(service.encode()).hexdigest()[:8]


def tag_in(config: str) -> str:
    """The tag of the service whose revision a config of this name keeps; empty for every other config."""
    return config.removeprefix(_NAME).rpartition("_")[0] if config.startswith(_NAME) else ""


def creation(revision: Revision) -> Action:
    """The write that keeps a new revision. That the name is taken means: somebody else counted to the same number."""
    data = {"changes": [[item.field, item.old, item.new] for item in revision.changes], "spec": revision.body}
    name = config_name(revision.service, revision.number)
    packed = base64.b64encode(json.dumps(data, sort_keys=True, separators=(",", ":")).encode()).decode()
    body = {"Name": name, "Labels": _labels(revision), "Data": packed}
    return Action(Verb.CREATE, ObjectKind.CONFIG, name, Reason.REVISION, body=body)


def relabelling(revision: Revision, snapshot: Snapshot) -> Action:
    """The write that tells what became of a kept revision. Raises KeyError when its config is gone."""
    name = config_name(revision.service, revision.number)
    spec = snapshot.configs[name]["Spec"]
    others = {key: text for key, text in (spec.get("Labels") or {}).items() if not key.startswith(_PREFIX)}
    return Action(
        Verb.UPDATE,
        ObjectKind.CONFIG,
        name,
        Reason.REVISION,
        object_id=revision.config_id,
        version=revision.version,
        body={**spec, "Labels": others | _labels(revision)},
    )


def removal(revision: Revision) -> Action:
    name = config_name(revision.service, revision.number)
    return Action(Verb.REMOVE, ObjectKind.CONFIG, name, Reason.REVISION, object_id=revision.config_id)


def by_name(spec: Json, context: Context) -> dict[str, Any]:
    """A live spec as a declared one is: names for the ids of what it refers to, and none of our own labels."""
    task = spec.get("TaskTemplate") or {}
    container = dict(task.get("ContainerSpec") or {})
    for _, key, name_key, id_key in _CONTENTS:
        if container.get(key):
            container[key] = [{**item, id_key: symbolic_id(item[name_key])} for item in container[key]]
    credential = (container.get("Privileges") or {}).get("CredentialSpec") or {}
    if credential.get("Config") in context.configs:
        named = {**credential, "Config": symbolic_id(context.configs[credential["Config"]])}
        container["Privileges"] = {**container["Privileges"], "CredentialSpec": named}
    template = {**task, "ContainerSpec": container}
    if task.get("Networks"):
        names = context.networks
        template["Networks"] = [{**item, "Target": names.get(item["Target"], item["Target"])} for item in task["Networks"]]
    labels = {key: text for key, text in (spec.get("Labels") or {}).items() if not key.startswith(BOOKKEEPING_PREFIX)}
    return {**spec, "Labels": labels, "TaskTemplate": template}


def contents(body: Json) -> frozenset[tuple[ObjectKind, str]]:
    """The versions of configs and secrets that a spec uses, by kind and name."""
    container = (body.get("TaskTemplate") or {}).get("ContainerSpec") or {}
    used = {(kind, item[name_key]) for kind, key, name_key, _ in _CONTENTS for item in container.get(key) or ()}
    config = ((container.get("Privileges") or {}).get("CredentialSpec") or {}).get("Config", "")
    return frozenset(used | ({(ObjectKind.CONFIG, config.removeprefix("id:"))} if config.startswith("id:") else set()))


def needed_by(body: Json) -> frozenset[tuple[ObjectKind, str]]:
    """The configs, secrets and networks that a kept spec uses, by kind and name."""
    attached = (body.get("TaskTemplate") or {}).get("Networks") or ()
    return contents(body) | {(ObjectKind.NETWORK, item["Target"]) for item in attached}


def kept_objects(kept: Iterable[Sequence[Revision]]) -> frozenset[tuple[ObjectKind, str]]:
    """Everything that going back to any kept revision would need again."""
    return frozenset().union(*(needed_by(revision.body) for revisions in kept for revision in revisions))


def surplus(revisions: Sequence[Revision], *, keep: int, live: str) -> list[Revision]:
    """Revisions beyond the newest `keep`, but never the live one, the newest stable one, nor what one is on its way back to."""
    needed = {item.target for item in revisions if item.state is RevisionState.FAILED}
    needed.update([item.number for item in revisions if item.state is RevisionState.STABLE][-1:])
    needed.update([item.number for item in revisions if item.digest == live][-1:])
    return [item for item in revisions[:-keep] if item.number not in needed]


@dataclass(frozen=True, slots=True)
class _Data:
    spec: Json
    changes: tuple[Change, ...]


@lru_cache(maxsize=4096)  # a scan of more than that finds nothing in it
def _unpacked(data: str) -> _Data:
    found = json.loads(base64.b64decode(data))
    str(found["spec"]["TaskTemplate"]["ContainerSpec"]["Image"])  # or it is no spec that one could go back to
    return _Data(found["spec"], tuple(Change(*change) for change in found["changes"]))


def _read(config: Json, labels: Mapping[str, str]) -> Revision:
    """Raises KeyError, ValueError or TypeError for what is no revision, or is not kept under its own name."""
    data = _unpacked(config["Spec"].get("Data") or "")
    if config["Spec"]["Name"] != config_name(labels[_SERVICE], int(labels[f"{_PREFIX}number"])):
        raise ValueError("kept under another's name")
    target = labels.get(f"{_PREFIX}target", "")
    return Revision(
        service=labels[_SERVICE],
        number=int(labels[f"{_PREFIX}number"]),
        digest=labels[f"{_PREFIX}digest"],
        state=RevisionState(labels[f"{_PREFIX}state"]),
        since=labels.get(f"{_PREFIX}since", ""),
        why=labels.get(f"{_PREFIX}why", ""),
        group=labels.get(f"{_PREFIX}group", ""),
        target=int(target) if target else None,
        is_back=labels.get(f"{_PREFIX}back") == "true",
        over=int(labels.get(f"{_PREFIX}over", "0")),
        noise=tuple(labels.get(f"{_PREFIX}noise", "").split()),
        kept=config.get("CreatedAt", ""),
        changed=config.get("UpdatedAt", ""),
        changes=data.changes,
        body=data.spec,
        config_id=config["ID"],
        version=config["Version"]["Index"],
    )


def _labels(revision: Revision) -> dict[str, str]:
    words = {
        "service": revision.service,
        "number": str(revision.number),
        "digest": revision.digest,
        "state": revision.state.value,
        "since": revision.since,
        "why": revision.why,
        "group": revision.group,
        "target": "" if revision.target is None else str(revision.target),
        "back": "true" if revision.is_back else "",
        "over": str(revision.over or ""),
        "noise": " ".join(revision.noise),
    }
    return {f"{_PREFIX}{name}": text for name, text in words.items() if text}
