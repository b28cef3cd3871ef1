"""Which version of the dialect a file names, and the keys that came after it."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

from controller.stackfile.problems import Findings, Path
from controller.stackfile.tree import Data

NEWEST = 13

# The minor version that brought each key; what 3.0 had is not listed. `*` stands for any name or index.
_SINCE = {
    "secrets": 1,
    "configs": 3,
    "services.*.secrets": 1,
    "services.*.configs": 3,
    "services.*.credential_spec": 3,
    "services.*.credential_spec.config": 8,
    "services.*.isolation": 5,
    "services.*.init": 7,
    "services.*.cgroupns_mode": 9,
    "services.*.oom_score_adj": 13,
    "services.*.build.cache_from": 2,
    "services.*.build.labels": 3,
    "services.*.build.network": 4,
    "services.*.build.target": 4,
    "services.*.build.shm_size": 5,
    "services.*.build.extra_hosts": 9,
    "services.*.healthcheck.start_period": 4,
    "services.*.healthcheck.start_interval": 12,
    "services.*.networks.*.driver_opts": 13,
    "services.*.volumes.*.tmpfs": 6,
    "services.*.ports.*.target": 2,  # the long form, as for volumes
    "services.*.volumes.*.type": 2,
    "services.*.deploy.endpoint_mode": 2,
    "services.*.deploy.rollback_config": 7,
    "services.*.deploy.update_config.order": 4,
    "services.*.deploy.placement.preferences": 3,
    "services.*.deploy.placement.max_replicas_per_node": 8,
    "services.*.deploy.resources.limits.pids": 9,
    "services.*.deploy.resources.reservations.generic_resources": 5,
    "networks.*.name": 5,
    "networks.*.attachable": 2,
    "volumes.*.name": 4,
    "secrets.*.name": 5,
    "secrets.*.driver": 8,
    "secrets.*.driver_opts": 8,
    "secrets.*.template_driver": 8,
    "configs.*.name": 5,
    "configs.*.template_driver": 8,
}


def _as_tree(table: dict[str, int]) -> Data:
    tree: Data = {}
    for path, minor in table.items():
        node = tree
        for part in path.split("."):
            node = node.setdefault(part, {})
        node[""] = minor
    return tree


@cache
def _keys_after(minor: int) -> Data:
    return _as_tree({path: since for path, since in _SINCE.items() if since > minor})


def read_version(data: Data, findings: Findings) -> int:
    """The minor version of a file; the newest where it names none or just `3`."""
    version = data.get("version", "3")
    if not isinstance(version, str):
        findings.error(("version",), "must be a string; quote it")
        return NEWEST
    if version == "3":
        return NEWEST
    major, _, minor = version.partition(".")
    if major == "3" and minor in map(str, range(NEWEST + 1)):
        return int(minor)
    findings.error(("version",), f"{version!r} is not a version that docker stack reads; it reads 3.0 to 3.{NEWEST}")
    return NEWEST


def check_version(data: Data, minor: int, findings: Findings) -> None:
    """Report every key that the file's version does not have yet."""
    if minor < NEWEST:
        _check(data, _keys_after(minor), minor, (), findings)


def _check(value: Any, tree: Data, minor: int, path: Path, findings: Findings) -> None:
    everything = tree.get("*")
    keys: Iterable[str | int] = ()
    if isinstance(value, dict):
        keys = value if everything else [key for key in value if key in tree]
    elif isinstance(value, list) and everything:
        keys = range(len(value))
    for key in keys:
        branch = everything or tree[str(key)]
        if "" in branch:
            findings.error((*path, key), f"came with version 3.{branch['']}; this file says 3.{minor}", at_key=True)
        else:
            _check(value[key], branch, minor, (*path, key), findings)
