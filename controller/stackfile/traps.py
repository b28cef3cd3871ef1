"""Warnings: what docker takes without a word, or with a word that nobody reads, and what probably was not meant."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from controller.stackfile.ports import expand_port
from controller.stackfile.problems import Findings, Path
from controller.stackfile.tree import Data
from controller.stackfile.volumes import is_drive

_ISOLATION = {"cgroup_parent", "cgroupns_mode", "devices", "ipc", "pid", "privileged", "security_opt", "shm_size", "userns_mode"}
_NAMING = {"container_name", "domainname", "expose", "external_links", "links", "mac_address", "network_mode"}
_IGNORED = frozenset(_ISOLATION | _NAMING | {"build", "oom_score_adj", "tmpfs"})


def warn_of_raw(service: Mapping[str, Any], path: Path, findings: Findings) -> None:
    """Warn of what can only be seen before short forms are expanded."""
    for name in service:
        if name in _IGNORED:
            findings.warn((*path, name), "is ignored by Swarm", at_key=True)
    for index, volume in enumerate(service.get("volumes", ())):
        if isinstance(volume, str) and is_drive(volume):
            findings.warn((*path, "volumes", index), f"{volume!r} is read as a path on a Windows drive, not as a volume")
    for index, port in enumerate(service.get("ports", ())):
        address = expand_port(port)[1] if isinstance(port, str) and port.count(":") > 1 else None
        if address:
            findings.warn((*path, "ports", index), f"the address {address} is ignored: Swarm publishes on every address")


def warn_of_service(key: str, service: Data, findings: Findings) -> None:
    """Warn of what a merged service says and Swarm cannot do."""
    path: Path = ("services", key)
    for name, attachment in (service.get("networks") or {}).items():
        for field in ("ipv4_address", "ipv6_address"):
            if attachment and attachment.get(field):
                findings.warn((*path, "networks", name, field), "is ignored by Swarm", at_key=True)
    deploy = service.get("deploy") or {}
    if "restart" in service and "restart_policy" in deploy:
        findings.warn((*path, "restart"), "is ignored beside deploy.restart_policy", at_key=True)
    host_ports = [port for port in service.get("ports", ()) if port.get("mode") == "host" and port.get("published")]
    for name in ("update_config", "rollback_config"):
        if host_ports and deploy.get(name, {}).get("order") == "start-first":
            published = host_ports[0]["published"]
            findings.warn(
                (*path, "deploy", name, "order"),
                f"start-first cannot work on one node: the old task holds the host port {published}",
            )
