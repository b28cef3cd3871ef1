"""A host that exists only in the test: what commands were run and what the engine is asked is recorded, nothing is touched."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from scripts import engine_api, shell
from scripts.console import Progress
from scripts.state import Made

MODULES = ("debian", "engine", "images", "packages", "python_env", "stacks", "swarm")


@dataclass
class FakeHost:
    """Answers of commands by the words they begin with, and of the engine by path; what is not listed succeeds, or is 404."""

    ran: list[str] = field(default_factory=list)
    failing: dict[str, str] = field(default_factory=dict)
    printing: dict[str, str] = field(default_factory=dict)
    api: dict[str, Any] = field(default_factory=dict)
    on_run: Callable[[str], None] = lambda _: None

    def attempt(
        self, *argv: str, timeout: float, env: Mapping[str, str] | None = None, stdin: bytes | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        command = " ".join(argv)
        self.ran.append(command)
        self.on_run(command)
        reason = next((text for words, text in self.failing.items() if command.startswith(words)), None)
        output = next((text for words, text in self.printing.items() if command.startswith(words)), "")
        return subprocess.CompletedProcess(argv, int(reason is not None), output.encode(), (reason or "").encode())

    def get(self, path: str, *, timeout: float = 20.0) -> tuple[int, Any]:
        found = self.api.get(path.partition("?")[0])
        return (404, None) if found is None else (200, found() if callable(found) else found)


@pytest.fixture
def fake_host(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeHost:
    fake = FakeHost()
    monkeypatch.setattr(engine_api, "get", fake.get)
    monkeypatch.setattr(shell, "attempt", fake.attempt)
    monkeypatch.setattr(shell, "LOG", tmp_path / "up.log")
    for name in MODULES:
        module = __import__(f"scripts.{name}", fromlist=[name])
        if hasattr(module, "attempt"):
            monkeypatch.setattr(module, "attempt", fake.attempt)
    return fake


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return Made(path=tmp_path / "up.json")


@pytest.fixture
def progress() -> Progress:
    return Progress(1, write=lambda _: None)
