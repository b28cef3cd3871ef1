"""The engine, the files and the commands that the rows share."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.support.controller import ROOT, Controller
from tests.support.engine import PrivateEngine
from tests.support.proxy import Proxy
from tests.support.sweep import remove_everything

MANY = 1000
STACK = "big"
PRODBREAKER = str(Path(sys.executable).with_name("prodbreaker"))


class CommandFailedError(Exception):
    """A measured command failed: its time would mean nothing."""


class Scene:
    """A private engine with a clean Swarm, and a folder."""

    def __init__(self, engine: PrivateEngine, folder: Path, *, pairs: int) -> None:
        self.engine, self.folder, self.pairs = engine, folder, pairs
        self.manifests = folder / "manifests"
        self.manifests.mkdir(parents=True)

    def clean(self) -> None:
        remove_everything(self.engine)
        for manifest in self.manifests.iterdir():
            manifest.unlink()

    def many_services(self) -> Path:
        """A stack of 1,000 services without tasks, as wordy as real ones are."""
        path = self.manifests / f"{STACK}.yml"
        path.write_text(
            "version: '3.8'\nservices:\n" + "".join(_service(number) for number in range(MANY)) + "networks: {inner: }\n"
        )
        return path

    def timed(self, command: Sequence[str], *, accept: Sequence[int] = (0,)) -> float:
        """Seconds from start to end of a command. Raises CommandFailedError."""
        begin = time.monotonic()
        self.run(command, accept=accept)
        return time.monotonic() - begin

    def run(self, command: Sequence[str], *, accept: Sequence[int] = (0,), host: str | None = None) -> None:
        environment = self.environment() | ({"DOCKER_HOST": host} if host else {})
        done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment, cwd=ROOT, timeout=300)
        if done.returncode not in accept:
            said = (done.stderr or done.stdout).strip()[-500:]
            raise CommandFailedError(f"{Path(command[0]).name} {command[1]} ended with {done.returncode}: {said}")

    def environment(self) -> dict[str, str]:
        return self.engine.client_environment()

    def requests_of(self, act: Callable[[str], None]) -> str:
        """What `act(docker host)` asks of the engine; counted apart from the timing, which the counting would disturb."""
        proxy = Proxy(self.engine.socket, self.engine.folder / "count.sock")
        proxy.start()
        try:
            act(proxy.host)
        finally:
            proxy.stop()
        return f"{len(proxy.calls)} requests, {len(proxy.writes())} of them writes"

    def controller(self, host: str | None = None, **settings: str) -> Controller:
        """`settings` as the controller has them: `resolve_image="never"`."""
        given = {f"PRODBREAKER_{name.upper()}": text for name, text in settings.items()}
        environment = {**self.environment(), "DOCKER_HOST": host or self.engine.host, **given}
        return Controller(environment, self.manifests, self.folder / f"state-{time.monotonic_ns()}")


def _service(number: int) -> str:
    return f"""\
  s{number:04}:
    image: registry.example/team/service-{number % 50}:1.{number % 7}
    command: [serve, --port, "8080", --shard, "{number}"]
    environment: {{LOG_LEVEL: info, SHARD: "{number}", DATABASE_HOST: database, CACHE_HOST: cache}}
    networks: [inner]
    healthcheck: {{test: [CMD, check], interval: 10s, timeout: 3s, retries: 3}}
    deploy:
      replicas: 0
      labels: {{team: t{number % 10}, tier: inner}}
      resources: {{limits: {{cpus: "0.5", memory: 128M}}}}
      update_config: {{order: start-first, failure_action: rollback}}
"""
