"""What a conversion sees: the merged sections of all files."""

from __future__ import annotations

from dataclasses import dataclass

from controller.stackfile.names import Namespace
from controller.stackfile.problems import Findings
from controller.stackfile.tree import Data


@dataclass(frozen=True, slots=True)
class Stack:
    namespace: Namespace
    services: dict[str, Data]
    networks: dict[str, Data]
    volumes: dict[str, Data]
    configs: dict[str, Data]
    secrets: dict[str, Data]
    extension: Data  # the top level's x-prodbreaker
    broken: frozenset[tuple[str, str]]  # section and key of what has problems already: known by name, not converted
    findings: Findings

    def item(self, index: int, name: str) -> int | str:
        """How to find an item of a list again: by index, or where merging has moved it by what it names."""
        return index if len(self.findings.sources) == 1 else name
