"""Swarm mode: a Swarm that is there is used, none is ever left or reset for another."""

from __future__ import annotations

import time
from enum import Enum
from typing import Any

from scripts import engine_api
from scripts.console import Progress, Refusal
from scripts.shell import attempt, run
from scripts.state import Made


class SwarmStep(Enum):
    USE = "use it"
    INIT = "make one"
    WAIT = "wait for it"


def decide(swarm: dict[str, Any]) -> SwarmStep:
    """What to do given the `Swarm` part of GET /info. Raises Refusal where make up has no business."""
    state = swarm.get("LocalNodeState", "inactive")
    if state == "inactive":
        return SwarmStep.INIT
    if state == "locked":
        raise Refusal("This node's Swarm is locked: run `docker swarm unlock`, then make up again.")
    if state == "active" and not swarm.get("ControlAvailable"):
        raise Refusal("This node is a worker of a Swarm: run make up on a manager.")
    if state != "active":
        return SwarmStep.WAIT
    if swarm.get("Nodes", 1) > 1:
        raise Refusal(
            f"This Swarm has {swarm['Nodes']} nodes, and the others could not reach images in a registry on this host's loopback:"
            " see docs/operations.md, On a real Swarm."
        )
    return SwarmStep.USE


def ensure(made: Made, progress: Progress, *, patience: float = 60.0) -> None:
    """End with this node as a manager of a Swarm. Raises Refusal when it cannot be; `patience` is in seconds."""
    end = time.monotonic() + patience
    while True:
        swarm = facts()
        step = decide(swarm)
        if step is SwarmStep.USE:
            progress.note(f"Swarm {cluster_id(swarm)}, {'made by make up' if made.swarm == cluster_id(swarm) else 'found'}")
            return
        if step is SwarmStep.INIT:
            progress.change("docker swarm init")
            # On loopback, so that it works without an address that stays and is offered to nobody.
            run("docker", "swarm", "init", "--advertise-addr", "127.0.0.1", "--listen-addr", "127.0.0.1:2377", timeout=60)
            made.swarm = cluster_id(facts())
            made.save()
        elif time.monotonic() > end:
            raise Refusal(
                f"This node's Swarm is in state {swarm.get('LocalNodeState')}: {swarm.get('Error') or 'no reason given'}."
            )
        else:
            time.sleep(0.5)


def leave(made: Made) -> None:
    """Dissolve the Swarm that make up made."""
    if made.swarm is not None and cluster_id(facts()) == made.swarm:
        run("docker", "swarm", "leave", "--force", timeout=60)
        attempt("docker", "network", "rm", "docker_gwbridge", timeout=30)
    made.swarm = None
    made.save()


def facts() -> dict[str, Any]:
    info = engine_api.get("/info")[1] or {}
    return dict(info.get("Swarm") or {})


def cluster_id(swarm: dict[str, Any]) -> str:
    return str((swarm.get("Cluster") or {}).get("ID", ""))
