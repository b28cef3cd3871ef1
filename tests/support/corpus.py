"""The corpus of real stack files beside the checkout, with what docker's client sent for each."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

CORPUS = Path(__file__).resolve().parents[3] / "shared/parity"


@dataclass(frozen=True)
class Case:
    """One stack: its files in the order of `-c`, and the environment that was set, nothing else."""

    folder: Path
    stack: str
    files: tuple[Path, ...]
    env: Mapping[str, str]

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def is_refused(self) -> bool:
        """Whether docker's client refuses the files."""
        return (self.folder / "error.txt").exists()

    def expected(self) -> dict[str, dict[str, Any]]:
        """The bodies of the create calls by collection and name; absolute paths as on the machine where they are deployed."""
        text = (self.folder / "expected.json").read_text()
        bodies: dict[str, dict[str, Any]] = json.loads(
            text.replace("@DIR@", str(self.folder)).replace("@HOME@", str(Path.home()))
        )
        return bodies

    def externals(self) -> dict[str, set[str]]:
        """Names that the stack uses and does not make, by collection."""
        bodies = self.expected()
        used: dict[str, set[str]] = {"networks": set(), "configs": set(), "secrets": set()}
        for service in bodies["services"].values():
            task = service["TaskTemplate"]
            used["networks"] |= {network["Target"] for network in task.get("Networks") or ()}
            used["configs"] |= {reference["ConfigName"] for reference in task["ContainerSpec"].get("Configs") or ()}
            used["secrets"] |= {reference["SecretName"] for reference in task["ContainerSpec"].get("Secrets") or ()}
        return {kind: names - bodies[kind].keys() for kind, names in used.items()}


@cache
def cases() -> tuple[Case, ...]:
    """All cases in the order of their names; none where the corpus is absent."""
    return tuple(_read(path) for path in sorted(CORPUS.glob("*/case.json")))


def _read(path: Path) -> Case:
    said = json.loads(path.read_text())
    return Case(path.parent, said["stack"], tuple(path.parent / file for file in said["files"]), said["env"])
