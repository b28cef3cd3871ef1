"""`depends_on`: docker ignores it for Swarm; here it orders creation, so it must be possible to follow."""

from __future__ import annotations

from collections.abc import Mapping

from controller.stackfile.stack import Stack
from controller.stackfile.tree import Data

_MAX_CYCLES = 100


def check_dependencies(services: Mapping[str, Data], stack: Stack) -> None:
    """Report what is no service of the stack, and every cycle once."""
    graph: dict[str, list[str]] = {}
    for key, service in services.items():
        wanted = service.get("depends_on", ())
        graph[key] = [name for name in wanted if name in services]
        for index, name in enumerate(wanted):
            if name not in stack.services:
                place = ("services", key, "depends_on", stack.item(index, name))
                stack.findings.error(place, f"there is no service {name!r} in this stack")
    for cycle in find_cycles(graph):
        stack.findings.error(("services", cycle[0], "depends_on", cycle[1]), f"goes in a circle: {' -> '.join(cycle)}")


def find_cycles(graph: Mapping[str, list[str]]) -> list[list[str]]:
    """Ways back that a depth-first walk meets, as `[a, b, a]`; the first hundred, and none for a graph without cycles."""
    cycles: list[list[str]] = []
    done: set[str] = set()
    for start in graph:
        trail: dict[str, None] = {}  # the way from `start`, in order
        pending = [(start, False)]
        while pending:
            name, is_leaving = pending.pop()
            if is_leaving:
                del trail[name]
                done.add(name)
            elif name in trail:
                if len(cycles) < _MAX_CYCLES:
                    way = list(trail)
                    cycles.append([*way[way.index(name) :], name])
            elif name not in done:
                trail[name] = None
                pending.append((name, True))
                pending.extend((step, False) for step in reversed(graph[name]))
    return cycles
