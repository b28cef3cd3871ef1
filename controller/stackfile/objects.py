"""Networks, volumes, configs and secrets of one file: external names filled in, files made absolute."""

from __future__ import annotations

from controller.stackfile.paths import Folders
from controller.stackfile.problems import Findings, Path
from controller.stackfile.tree import Data

_SINGULAR = {"networks": "network", "volumes": "volume", "configs": "config", "secrets": "secret"}


def complete_object(section: str, entry: Data, path: Path, folders: Folders, findings: Findings) -> Data:
    """Return the entry with its real name if it is external, and with an absolute file if it has one."""
    external = entry.get("external", {})
    if external.get("external"):
        return _complete_external(section, entry, path, findings)
    if section in ("configs", "secrets"):
        return _complete_content(section, entry, path, folders, findings)
    return entry


def _complete_external(section: str, entry: Data, path: Path, findings: Findings) -> Data:
    if section == "volumes":
        for key in ("driver", "driver_opts", "labels"):
            if entry.get(key):
                findings.error((*path, key), "contradicts external: an external volume is not created here", at_key=True)
    old_name = entry["external"].get("name")
    if old_name and entry.get("name"):
        findings.error((*path, "external", "name"), "contradicts the name beside external; use only that one", at_key=True)
    elif old_name:
        findings.warn((*path, "external", "name"), "is deprecated; write name: beside external: true")
    return {**entry, "name": old_name or entry.get("name") or path[1]}


def _complete_content(section: str, entry: Data, path: Path, folders: Folders, findings: Findings) -> Data:
    if entry.get("driver"):
        if entry.get("file"):
            findings.error((*path, "file"), "contradicts the driver beside it", at_key=True)
        return entry
    if not entry.get("file"):
        findings.error(path, f"a {_SINGULAR[section]} needs a file, or must be external", at_key=True)
        return entry
    return {**entry, "file": folders.absolute(entry["file"])}
