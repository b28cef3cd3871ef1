"""One stack file: from its bytes to checked sections in their long form, with every problem that is in it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from controller.stackfile import schema
from controller.stackfile.environment import fold_environment
from controller.stackfile.interpolation import interpolate
from controller.stackfile.objects import complete_object
from controller.stackfile.paths import Folders
from controller.stackfile.policy import EXTENSION, ServiceExtension, StackExtension
from controller.stackfile.problems import Findings, Path, Source
from controller.stackfile.reader import decode, fault
from controller.stackfile.sound import read_sound
from controller.stackfile.traps import warn_of_raw
from controller.stackfile.tree import Data, read_nodes
from controller.stackfile.validation import validate
from controller.stackfile.versions import check_version, read_version

_KINDS = {
    "services": schema.Service,
    "networks": schema.Network,
    "volumes": schema.Volume,
    "configs": schema.Config,
    "secrets": schema.Secret,
}
_MAY_BE_NULL = frozenset(("networks", "volumes"))  # an entry without a value means all defaults
_NAME = re.compile(r"[a-zA-Z0-9._-]+")
_FORBIDDEN = {
    "extends": "is not read by docker stack; use several -c files",
    "volume_driver": "is not read by docker stack; set the driver under the top-level volumes",
    "volumes_from": "is not read by docker stack; use a named volume",
    "cpu_quota": "is not read by docker stack; use deploy.resources.limits.cpus",
    "cpu_shares": "is not read by docker stack; use deploy.resources",
    "cpuset": "is not read by docker stack; use deploy.resources",
    "mem_limit": "is not read by docker stack; use deploy.resources.limits.memory",
    "memswap_limit": "is not read by docker stack; use deploy.resources.limits.memory",
}
_X_AT_TOP, _X_IN_ENTRIES = 4, 7  # the minor versions from which `x-` keys are allowed there


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a stack file may draw on besides its own text."""

    environment: Mapping[str, str]
    read: Callable[[str], bytes]  # an absolute path, or `-`; raises OSError
    folders: Folders


@dataclass(slots=True)
class Document:
    """A file's sections in their long form; entries with problems are named in `broken` and otherwise not to be relied on."""

    source: Source
    findings: Findings
    version: int = 0
    sections: dict[str, dict[str, Data]] = field(default_factory=lambda: {name: {} for name in _KINDS})
    broken: set[tuple[str, str]] = field(default_factory=set)
    extension: Data = field(default_factory=dict)  # the top level's x-prodbreaker


def load_document(file: str, path: str, inputs: Inputs) -> Document:
    """Read one file; raises ManifestError where nothing of it can be read."""
    try:
        data = inputs.read(path)
    except OSError as error:
        raise fault(file, 1, 1, f"cannot be read: {error.strerror or error}") from None
    text = decode(data, file=file)
    source = Source(file, text)
    document = Document(source=source, findings=Findings([source]))
    findings = document.findings
    reading = read_sound(text) or read_nodes(source, findings)
    if reading.has_more:
        findings.warn((), "only the first YAML document is read")
    tree = reading.tree
    document.version = read_version(tree, findings)
    interpolate(reading.templates, inputs.environment, findings)
    check_version(tree, document.version, findings)
    for key, value in tree.items():
        _load_top(key, value, document, inputs)
    return document


def _load_top(key: str, value: Any, document: Document, inputs: Inputs) -> None:
    findings = document.findings
    if key in _KINDS:
        if isinstance(value, dict):
            for name, raw in value.items():
                _load_entry(key, name, raw, document, inputs)
        else:
            findings.error((key,), "must be a mapping")
    elif key == EXTENSION:
        document.extension = validate(StackExtension, value, (key,), findings) or {}
    if key.startswith("x-"):
        if document.version < _X_AT_TOP:
            findings.error((key,), f"x- keys came with version 3.{_X_AT_TOP}", at_key=True)
    elif key not in _KINDS and key != "version":
        findings.error((key,), "is not a key that docker stack knows here", at_key=True)


def _load_entry(section: str, name: str, raw: Any, document: Document, inputs: Inputs) -> None:
    findings, path = document.findings, (section, name)
    errors = len(findings.errors)
    if section != "networks" and not _NAME.fullmatch(name):
        findings.error(path, "a name holds only letters, digits, and . _ -", at_key=True)
    if raw is None and section in _MAY_BE_NULL:
        raw = {}
    checked: Data = {}
    if isinstance(raw, dict):
        checked = _check_entry(section, raw, path, document) or {}
    else:
        findings.error(path, "must be a mapping" if raw is not None else "must be a mapping; it has no value")
    if len(findings.errors) == errors:
        checked = _complete(section, checked, path, inputs, findings)
    if len(findings.errors) > errors or findings.has_error_in(path):
        document.broken.add(path)
    document.sections[section][name] = checked


def _check_entry(section: str, raw: Data, path: Path, document: Document) -> Data | None:
    findings = document.findings
    extension: Data | None = None
    extra = [key for key in raw if key.startswith("x-")]
    if extra:
        if document.version < _X_IN_ENTRIES:
            findings.error((*path, extra[0]), f"x- keys came here with version 3.{_X_IN_ENTRIES}", at_key=True)
        if section == "services" and EXTENSION in raw:
            extension = validate(ServiceExtension, raw[EXTENSION], (*path, EXTENSION), findings)
        raw = {key: value for key, value in raw.items() if not key.startswith("x-")}
    if section == "services":
        for key in _FORBIDDEN.keys() & raw.keys():
            findings.error((*path, key), _FORBIDDEN[key], at_key=True)
    checked = validate(_KINDS[section], raw, path, findings)
    if checked is not None and section == "services":
        warn_of_raw(raw, path, findings)
        if extension:
            checked[EXTENSION] = extension
    return checked


def _complete(section: str, entry: Data, path: Path, inputs: Inputs, findings: Findings) -> Data:
    if section != "services":
        return complete_object(section, entry, path, inputs.folders, findings)

    def read(file: str) -> bytes:
        return inputs.read(inputs.folders.absolute(file))

    environment = fold_environment(entry, path, environment=inputs.environment, read=read, findings=findings)
    if environment is not None:
        entry["environment"] = environment
    for index, mount in enumerate(entry.get("volumes", ())):
        if mount["type"] == "bind":
            if mount.get("source"):
                mount["source"] = inputs.folders.on_host(mount["source"])
            else:
                findings.error((*path, "volumes", index), "a mount of type bind needs a source")
    return entry
