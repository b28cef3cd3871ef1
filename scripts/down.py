"""`make down`: takes away what `make up` made, and nothing else."""

from __future__ import annotations

import sys

from scripts import engine, engine_api, host, images, registry, stacks, swarm
from scripts.console import Progress, guarded
from scripts.shell import STATE
from scripts.state import Made, load


def main() -> int:
    host.elevate("scripts.down")
    take_away(load())
    return 0


def take_away(made: Made) -> None:
    """Undo, newest first; what others have come to use stays."""
    progress = Progress(4, idle="nothing to do")
    reachable = engine_api.answers()
    with progress.step("Stacks"):
        if reachable:
            if made.stacks or made.secrets:
                progress.change(f"removing {', '.join(made.stacks)}")
            stacks.remove(made)
    with progress.step("Images and registry"):
        if reachable:
            if made.images:
                progress.change(f"removing {len(made.images)} images")
            images.remove(made)
        engine.forget_mirror(made)
        if made.registry is not None:
            progress.change("stopping the registry")
        registry.stop(made)
    others = strangers() if reachable else []
    with progress.step("Swarm"):
        if made.swarm is not None and others:
            progress.note(f"stays, for others use it: {', '.join(others)}")
        elif made.swarm is not None and reachable:
            progress.change("dissolving the Swarm that make up made")
            swarm.leave(made)
    with progress.step("Docker Engine"):
        if made.engine_is_ours and others:
            progress.note(f"stays, for others use it: {', '.join(others)}")
        elif made.engine_is_ours:
            progress.change("stopping the engine that make up started")
            engine.stop(made)
    print("\n" + ("Down." if progress.changes else "Nothing to do: make up has made nothing that is still here."))
    print("  Kept: the data volumes of the stacks (docker volume ls), " + kept(made))


def strangers() -> list[str]:
    """What runs in the engine besides our stacks, which have gone by now."""
    found = [f"service {service['Spec']['Name']}" for service in engine_api.get("/services")[1] or [] if "Spec" in service]
    return found or [
        f"container {container['Names'][0].lstrip('/')}" for container in engine_api.get("/containers/json")[1] or []
    ]


def kept(made: Made) -> str:
    packages = f", the packages {' '.join(made.packages)}" if made.packages else ""
    return f".venv and {STATE.name}/{packages}."


if __name__ == "__main__":
    sys.exit(guarded("make down", main))
