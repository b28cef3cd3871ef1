"""The spec to write: the live one with what differs taken from the declared one.

Sections that mean the same are sent back exactly as the engine gave them: the same list in another order, or a default
spelled out, would restart tasks that need no restart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from controller.core.canonical import Section
from controller.model.spec import Json

# Stack-file path -> where its value stands inside its section. A final "*" marks a mapping or `K=V` list that is ignored by key.
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
    "dns": (Section.CONTAINER, "DNSConfig"),
    "dns_search": (Section.CONTAINER, "DNSConfig"),
    "cap_add": (Section.CONTAINER, "CapabilityAdd"),
    "cap_drop": (Section.CONTAINER, "CapabilityDrop"),
    "sysctls": (Section.CONTAINER, "Sysctls"),
    "ulimits": (Section.CONTAINER, "Ulimits"),
    "healthcheck": (Section.CONTAINER, "Healthcheck"),
    "volumes": (Section.CONTAINER, "Mounts"),
    "configs": (Section.CONTAINER, "Configs"),
    "secrets": (Section.CONTAINER, "Secrets"),
    "credential_spec": (Section.CONTAINER, "Privileges"),
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
        _keep_live(body, live, path)
    return body


def ignorable(path: str) -> bool:
    """Whether a path may stand under `x-prodbreaker.ignore`."""
    return path in _IGNORABLE or any(path.startswith(f"{name}.") and len(path) > len(name) + 1 for name in _BY_KEY)


def _take_task(task: dict[str, Any], desired: Json) -> None:
    known = {section.value[-1] for section in Section if section.value[0] == "TaskTemplate"} | {"ForceUpdate"}
    for key in task.keys() - known:
        del task[key]
    task |= {key: value for key, value in (desired.get("TaskTemplate") or {}).items() if key not in known}


def _put(body: dict[str, Any], section: Section, value: Any) -> None:
    target = body["TaskTemplate"] if section.value[0] == "TaskTemplate" else body
    if value is None:
        target.pop(section.value[-1], None)
    else:
        target[section.value[-1]] = value


def _keep_live(body: dict[str, Any], live: Json, path: str) -> None:
    name = path if path in _IGNORABLE else next(prefix for prefix in _BY_KEY if path.startswith(f"{prefix}."))
    section, field = _IGNORABLE[name]
    if name != path:
        _keep_key(body, live, section, field, path.removeprefix(f"{name}."))
    elif not field:
        _put(body, section, section.of(live))
    else:
        _put(body, section, _with(section.of(body), field, (section.of(live) or {}).get(field)))


def _keep_key(body: dict[str, Any], live: Json, section: Section, field: str, key: str) -> None:
    mine, theirs = section.of(body) or {}, section.of(live) or {}
    if not field:
        _put(body, section, _with(mine, key, theirs.get(key)))
    elif field == "Env":
        kept = [entry for entry in theirs.get(field) or () if entry.partition("=")[0] == key]
        rest = [entry for entry in mine.get(field) or () if entry.partition("=")[0] != key]
        _put(body, section, _with(mine, field, sorted(rest + kept)))
    else:
        labels = _with(mine.get(field) or {}, key, (theirs.get(field) or {}).get(key))
        _put(body, section, _with(mine, field, labels))


def _with(mapping: Json | None, key: str, value: Any) -> dict[str, Any]:
    changed = dict(mapping or {})
    if value is None:
        changed.pop(key, None)
    else:
        changed[key] = value
    return changed
