"""Nodes and tasks as the API shows them; what a test does not name has the plainest value."""

from __future__ import annotations

from typing import Any

from controller.model.spec import Json

GIB = 1 << 30


def node(name: str = "node1", **parts: Any) -> Json:
    """A ready worker with 4 cores and 8 GiB; `labels` are the node's, `engine` its engine's."""
    description: dict[str, Any] = {
        "Hostname": name,
        "Platform": parts.pop("platform", {"Architecture": "x86_64", "OS": "linux"}),
        "Resources": parts.pop("resources", {"NanoCPUs": 4_000_000_000, "MemoryBytes": 8 * GIB}),
        "Engine": {"Labels": parts.pop("engine", {}), "Plugins": parts.pop("plugins", [])},
    }
    if "generic" in parts:
        description["Resources"] = {**description["Resources"], "GenericResources": parts.pop("generic")}
    role = parts.pop("role", "worker")
    shown: dict[str, Any] = {
        "ID": parts.pop("ident", f"id-of-{name}"),
        "Spec": {"Labels": parts.pop("labels", {}), "Role": role, "Availability": parts.pop("availability", "active")},
        "Description": description,
        "Status": {"State": parts.pop("state", "ready"), "Addr": parts.pop("address", "192.0.2.1")},
    }
    if role == "manager":
        shown["ManagerStatus"] = {"Reachability": parts.pop("reachability", "reachable")}
    return shown | parts


def nodes(count: int, **parts: Any) -> list[Json]:
    return [node(f"node{number}", **parts) for number in range(1, count + 1)]


def task(place: str, *, state: str = "running", desired: str = "running") -> Json:
    return {"NodeID": f"id-of-{place}" if place else "", "Status": {"State": state}, "DesiredState": desired}
