"""The spec to write: the live one with what differs taken from the declared one.

Sections that mean the same are sent back exactly as the engine gave them: the same list in another order, or a default
spelled out, would restart tasks that need no restart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from controller.core.canonical import Section
from controller.model.spec import Json

# Stack-file path -> its section and where in that its value stands; with no place the whole section is the value.
_IGNORABLE: Mapping[str, tuple[Section, str]] = {
    "image": (Section.CONTAINER, "Image"),
    "command": (Section.CONTAINER, "Args"),
    "entrypoint": (Section.CONTAINER, "Command"),
    "environment": (Section.CONTAINER, "Env"),
    "labels": (Section.CONTAINER, "Labels"),
    "hostname": (Section.CONTAINER, "Hostname"),
    "working_dir": (Section.CONTAINER, "Dir"),
    "user": (Section.CONTAINER, "User"),
    "stop_signal": (Section.CONTAINER, "StopSignal"),
    "stop_grace_period": (Section.CONTAINER, "StopGracePeriod"),
    "tty": (Section.CONTAINER, "TTY"),
    "stdin_open": (Section.CONTAINER, "OpenStdin"),
    "read_only": (Section.CONTAINER, "ReadOnly"),
    "init": (Section.CONTAINER, "Init"),
    "isolation": (Section.CONTAINER, "Isolation"),
    "extra_hosts": (Section.CONTAINER, "Hosts"),
    "dns": (Section.CONTAINER, "DNSConfig.Nameservers"),
    "dns_search": (Section.CONTAINER, "DNSConfig.Search"),
    "cap_add": (Section.CONTAINER, "CapabilityAdd"),
    "cap_drop": (Section.CONTAINER, "CapabilityDrop"),
    "sysctls": (Section.CONTAINER, "Sysctls"),
    "ulimits": (Section.CONTAINER, "Ulimits"),
    "healthcheck": (Section.CONTAINER, "Healthcheck"),
    "volumes": (Section.CONTAINER, "Mounts"),
    "configs": (Section.CONTAINER, "Configs"),
    "secrets": (Section.CONTAINER, "Secrets"),
    "credential_spec": (Section.CONTAINER, "Privileges.CredentialSpec"),
    "deploy.labels": (Section.LABELS, ""),
    "deploy.replicas": (Section.MODE, ""),
    "deploy.update_config": (Section.UPDATE, ""),
    "deploy.rollback_config": (Section.ROLLBACK, ""),
    "deploy.endpoint_mode": (Section.ENDPOINT, "Mode"),
    "ports": (Section.ENDPOINT, "Ports"),
    "deploy.resources": (Section.RESOURCES, ""),
    "deploy.resources.limits": (Section.RESOURCES, "Limits"),
    "deploy.resources.reservations": (Section.RESOURCES, "Reservations"),
    "deploy.restart_policy": (Section.RESTART, ""),
    "deploy.placement": (Section.PLACEMENT, ""),
    "deploy.placement.constraints": (Section.PLACEMENT, "Constraints"),
    "deploy.placement.preferences": (Section.PLACEMENT, "Preferences"),
    "networks": (Section.NETWORKS, ""),
    "logging": (Section.LOGGING, ""),
}
_BY_KEY = ("environment", "labels", "sysctls", "deploy.labels")  # a single key of these may be ignored


def composed(desired: Json, live: Json, sections: frozenset[Section], *, ignore: Sequence[str] = ()) -> dict[str, Any]:
    """The body of an update that changes `sections` and leaves everything else, ForceUpdate too, as it is."""
    body = dict(live)
    body["TaskTemplate"] = dict(live.get("TaskTemplate") or {})
    for section in sections:
        if section is Section.TASK:
            _take_task(body["TaskTemplate"], desired)
        else:
            _put(body, section, section.of(desired))
    for path in ignore:
        name = _field_of(path)
        section, place = _IGNORABLE[name]
        if section not in sections:  # is live's as it stands
            continue
        if name != path:
            _keep_key(body, live, section, place, path.removeprefix(f"{name}."))
        else:
            _put(body, section, _with(section.of(body), place.split("."), _at(section.of(live), place.split("."))))
    return body


def ignorable(path: str) -> bool:
    """Whether a path may stand under `x-prodbreaker.ignore`."""
    return _field_of(path) in _IGNORABLE


def is_covered(field: str, paths: Sequence[str]) -> bool:
    """Whether a field is one of the paths or lies below one; of a keyed field's path it must be that very key."""
    return any(field == path or (path in _IGNORABLE and field.startswith(f"{path}.")) for path in paths)


def _field_of(path: str) -> str:
    return next((name for name in _BY_KEY if path.startswith(f"{name}.") and path != f"{name}."), path)


def _take_task(task: dict[str, Any], desired: Json) -> None:
    known = {section.key for section in Section if section.is_in_task} | {"ForceUpdate"}
    for key in task.keys() - known:
        del task[key]
    task |= {key: value for key, value in (desired.get("TaskTemplate") or {}).items() if key not in known}


def _put(body: dict[str, Any], section: Section, value: Any) -> None:
    target = body["TaskTemplate"] if section.is_in_task else body
    if value is None:
        target.pop(section.key, None)
    else:
        target[section.key] = value


def _keep_key(body: dict[str, Any], live: Json, section: Section, place: str, key: str) -> None:
    mine, theirs = section.of(body) or {}, section.of(live) or {}
    if place == "Env":
        kept = [entry for entry in theirs.get(place) or () if entry.partition("=")[0] == key]
        rest = [entry for entry in mine.get(place) or () if entry.partition("=")[0] != key]
        # Sorted by name only: of two entries of one name the last one counts.
        _put(body, section, _with(mine, [place], sorted(rest + kept, key=lambda entry: entry.partition("=")[0])))
    else:
        way = [*([place] if place else []), key]
        _put(body, section, _with(mine, way, _at(theirs, way)))


def _at(value: Any, way: Sequence[str]) -> Any:
    for key in filter(None, way):
        value = (value or {}).get(key)
    return value


def _with(mapping: Any, way: Sequence[str], value: Any) -> Any:
    """A copy of the mapping with another value at the end of the way, or with None nothing there; no way: the value itself."""
    key, *rest = way
    if not key:
        return value
    changed = dict(mapping or {})
    inner = _with(changed.get(key), rest, value) if rest else value
    if inner is None:
        changed.pop(key, None)
    else:
        changed[key] = inner
    return changed
