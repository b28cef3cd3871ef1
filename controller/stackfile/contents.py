"""Configs and secrets: their create calls, and how a service refers to them."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Any

from controller.model.spec import DesiredContent, Json, symbolic_id
from controller.stackfile.names import Namespace, content_name_fault
from controller.stackfile.networks import real_name
from controller.stackfile.problems import Findings, Path
from controller.stackfile.stack import Stack
from controller.stackfile.tree import Data

MAX_BYTES = {"configs": 1000 * 1024 - 1, "secrets": 500 * 1024 - 1}  # the manager asks for less than 1000 and 500 KiB
_KINDS = {"configs": "Config", "secrets": "Secret"}
_MODE = 0o444


def convert_contents(
    section: str, declared: Mapping[str, Data], stack: Stack, *, read: Callable[[str], bytes]
) -> dict[str, DesiredContent]:
    """All of a file's configs or secrets, used or not, by real name."""
    result = {}
    for key, definition in declared.items():
        if (section, key) in stack.broken:
            continue
        name = real_name(key, declared, stack.namespace)
        if definition.get("external", {}).get("external"):
            result[name] = DesiredContent(name=name, external=True)
            continue
        if reason := content_name_fault(name):
            stack.findings.error((section, key), reason, at_key=True)
        content = _read(section, key, definition, read, stack.findings)
        result[name] = DesiredContent(
            name=name, external=False, body=_create_body(name, definition, content, stack.namespace), content=content
        )
    return result


def _read(section: str, key: str, definition: Data, read: Callable[[str], bytes], findings: Findings) -> bytes:
    if definition.get("driver"):
        return b""
    path: Path = (section, key, "file")
    try:
        content = read(definition["file"])
    except OSError as error:
        findings.error(path, f"{definition['file']} cannot be read: {error.strerror or error}")
        return b""
    if not content:
        findings.error(path, f"{definition['file']} is empty; Swarm takes no empty {section}")
    elif len(content) > MAX_BYTES[section]:
        findings.error(path, f"{definition['file']} has {len(content)} bytes; Swarm takes {MAX_BYTES[section]} at most")
    return content


def _create_body(name: str, definition: Data, content: bytes, namespace: Namespace) -> Json:
    body: dict[str, Any] = {"Name": name, "Labels": namespace.label(definition.get("labels"))}
    if content:
        body["Data"] = base64.b64encode(content).decode()
    if definition.get("driver"):
        body["Driver"] = {"Name": definition["driver"]}
        if definition.get("driver_opts"):
            body["Driver"]["Options"] = definition["driver_opts"]
    if definition.get("template_driver"):
        body["Templating"] = {"Name": definition["template_driver"]}
    return body


def refer(section: str, service: Data, path: Path, stack: Stack) -> list[Json]:
    """A service's references, sorted by name and then target: docker leaves the order of equal names to chance."""
    kind = _KINDS[section]
    declared = stack.configs if section == "configs" else stack.secrets
    targets: set[str] = set()
    result = []
    for index, reference in enumerate(service.get(section, ())):
        source = reference.get("source", "")
        if source not in declared:
            place = (*path, section, stack.item(index, source), "source")
            stack.findings.error(place, f"there is no {kind.lower()} {source!r} in this stack")
            continue
        target = reference.get("target") or source
        if target in targets:
            stack.findings.error((*path, section, stack.item(index, target)), f"the target {target!r} is taken twice")
        targets.add(target)
        name = real_name(source, declared, stack.namespace)
        file = {"Name": target, "UID": reference.get("uid") or "0", "GID": reference.get("gid") or "0"}
        file["Mode"] = reference.get("mode", _MODE)
        result.append({f"{kind}ID": symbolic_id(name), f"{kind}Name": name, "File": file})
    return sorted(result, key=lambda entry: (entry[f"{kind}Name"], entry["File"]["Name"]))
