"""The Swarm as the planner wants to see it, read by the tests' own means."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from controller.model.observation import Snapshot
from tests.support.engine import PrivateEngine


def snapshot_of(engine: PrivateEngine) -> Snapshot:
    """One list per collection, by name; networks of the node alone are left out."""
    version = engine.api("GET", "/version")["ApiVersion"].split(".")
    networks = [entry for entry in engine.api("GET", "/networks") if entry["Scope"] == "swarm"]
    # Swarm's own entries for a node's networks are in no list; services that are attached to the host's refer to them.
    networks += [engine.api("GET", f"/networks/{name}?scope=swarm") for name in ("host", "bridge")]
    return Snapshot(
        api_version=(int(version[0]), int(version[1])),
        services=_by_name(engine.api("GET", "/services?status=true")),
        networks={entry["Name"]: entry for entry in networks},
        configs=_by_name(engine.api("GET", "/configs")),
        secrets=_by_name(engine.api("GET", "/secrets")),
        nodes=engine.api("GET", "/nodes"),
    )


def _by_name(entries: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {entry["Spec"]["Name"]: entry for entry in entries}
