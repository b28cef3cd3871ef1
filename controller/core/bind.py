"""References between objects: which version of a config or secret a spec names, and under which id."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from controller.model.plan import ObjectKind
from controller.model.spec import Json, symbolic_id

_REFERENCES = (
    (ObjectKind.CONFIG, "Configs", "ConfigName", "ConfigID"),
    (ObjectKind.SECRET, "Secrets", "SecretName", "SecretID"),
)


def renamed(body: Json, names: Mapping[tuple[ObjectKind, str], str]) -> dict[str, Any]:
    """The body with every config and secret replaced by the version that stands for it; ids stay symbolic."""
    container = body["TaskTemplate"]["ContainerSpec"]
    changed: dict[str, Any] = {}
    for kind, key, name_key, id_key in _REFERENCES:
        if container.get(key):
            changed[key] = [_renamed(item, names.get((kind, item[name_key])), name_key, id_key) for item in container[key]]
    config = ((container.get("Privileges") or {}).get("CredentialSpec") or {}).get("Config")
    if config:
        current = names.get((ObjectKind.CONFIG, config.removeprefix("id:")), config.removeprefix("id:"))
        changed["Privileges"] = _with_credential(container["Privileges"], symbolic_id(current))
    if not changed:
        return dict(body)
    return {**body, "TaskTemplate": {**body["TaskTemplate"], "ContainerSpec": {**container, **changed}}}


def bound(body: Json, ids: Mapping[tuple[ObjectKind, str], str]) -> dict[str, Any]:
    """The body with symbolic ids replaced by real ones, found by kind and name; raises KeyError where one is unknown."""
    container = body["TaskTemplate"]["ContainerSpec"]
    changed: dict[str, Any] = {}
    for kind, key, name_key, id_key in _REFERENCES:
        if container.get(key):
            changed[key] = [{**item, id_key: _real(item[id_key], kind, item[name_key], ids)} for item in container[key]]
    config = ((container.get("Privileges") or {}).get("CredentialSpec") or {}).get("Config")
    if config:
        real = _real(config, ObjectKind.CONFIG, config.removeprefix("id:"), ids)
        changed["Privileges"] = _with_credential(container["Privileges"], real)
    if not changed:
        return dict(body)
    return {**body, "TaskTemplate": {**body["TaskTemplate"], "ContainerSpec": {**container, **changed}}}


def _renamed(item: Json, name: str | None, name_key: str, id_key: str) -> Json:
    return item if name is None else {**item, name_key: name, id_key: symbolic_id(name)}


def _real(identity: str, kind: ObjectKind, name: str, ids: Mapping[tuple[ObjectKind, str], str]) -> str:
    return ids[kind, name] if identity.startswith("id:") else identity


def _with_credential(privileges: Json, config: str) -> dict[str, Any]:
    return {**privileges, "CredentialSpec": {**privileges["CredentialSpec"], "Config": config}}
