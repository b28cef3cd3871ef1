"""`make up`: from a fresh host to a healthy application and its controller; where all of it runs, nothing is done."""

from __future__ import annotations

import sys
import time

from scripts import engine, host, images, python_env, registry, stacks, swarm
from scripts.console import Progress, guarded
from scripts.state import load

STEPS = 6


def main() -> int:
    started = time.monotonic()
    progress = _up()
    seconds = time.monotonic() - started
    if progress.changes:
        print(f"\nUp in {seconds:.0f} s.")
    else:
        print(f"\nNothing to do: everything runs already ({seconds:.1f} s).")
    print(
        "  application  http://127.0.0.1:8080\n"
        f"  controller   http://127.0.0.1:8900  (token: {stacks.TOKEN_FILE})\n\n"
        "See it heal:\n"
        "  docker service rm shop_web\n"
        "  docker service ls              # the three replicas come back\n"
        "  docker service logs prodbreaker_controller"
    )
    return 0


def _up() -> Progress:
    progress = Progress(STEPS)
    host.check()
    if host.ELEVATED not in sys.argv:
        with progress.step("Python environment"):
            python_env.ensure(progress)
        host.elevate("scripts.up")
    else:
        progress.skip()
    made = load()
    with progress.step("Docker Engine"):
        engine.ensure(made, progress)
    with progress.step("Swarm"):
        swarm.ensure(made, progress)
    with progress.step("Registry on loopback"):
        at = registry.ensure(made, progress)
    with progress.step("Images"):
        names = images.ensure_ours(made, images.ensure_bases(made, at, progress), at, progress)
    with progress.step("Stacks"):
        stacks.ensure_secrets(made, names.postgres, progress)
        stacks.ensure(made, stacks.variables(names.variables()), progress)
    return progress


if __name__ == "__main__":
    sys.exit(guarded("make up", main))
