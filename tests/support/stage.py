"""A declared stack on a real Swarm under a real controller, and what can be seen of it from outside."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support import processes
from tests.support.controller import Controller
from tests.support.engine import PrivateEngine
from tests.support.proxy import Call, Proxy

STACK = "shop"
CONVERGE_SECONDS = 90.0  # a limit for hosts that stand still; how fast it is, `make bench` measures
HOLD_SECONDS = 1.5  # how long nothing more may happen after everything looks well
OWN_LABELS = "prodbreaker."
_REFUSALS = 3

MANIFEST = """\
version: "3.8"
x-fast: &fast
  labels: {{tier: outer}}
  update_config: {{parallelism: 0, monitor: 100ms}}
  restart_policy: {{delay: 100ms}}
# One test after another breaks the same services; what an old revision needs stays for as long as the revision.
x-often: &often {{budget: {{actions: 1000, per: 1s}}, rollback: {{keep: 2}}}}
services:
  web:
    image: {registry}/shop/web:1
    environment: {{LOG_LEVEL: info, GREETING: hello}}
    networks: [front]
    configs: [site]
    deploy: {{<<: *fast, replicas: 2}}
    x-prodbreaker: *often
  api:
    image: {registry}/shop/api:1
    networks: [front, back]
    secrets: [token]
    deploy: {{<<: *fast, replicas: 1}}
    x-prodbreaker: *often
networks: {{front: , back: }}
configs: {{site: {{file: site.conf}}}}
secrets: {{token: {{file: token.txt}}}}
"""


class Stage:
    """The controller reaches the engine through `proxy`; tests act on `engine` directly, so only its writes are counted."""

    def __init__(self, engine: PrivateEngine, folder: Path) -> None:
        self.engine, self.folder = engine, folder
        self.manifests = folder / "manifests"
        self.manifests.mkdir()
        self.proxy = Proxy(engine.socket, engine.folder / "stage.sock")
        environment = {**engine.client_environment(), "DOCKER_HOST": self.proxy.host}
        self.controller = Controller(environment, self.manifests, folder / "state")
        self.manifest = MANIFEST.format(registry=engine.registry())
        self._images = ("shop/web:1", "shop/web:2", "shop/api:1")

    def open(self) -> None:
        """Serve the images and write the first manifest; the controller is not started yet."""
        self.proxy.start()
        for image in self._images:
            name, _, tag = image.partition(":")
            self.engine.push_tiny_image(name, tag)
        (self.manifests / "site.conf").write_text("greeting = hello\n")
        (self.manifests / "token.txt").write_text("first token")
        self.declare(self.manifest)

    def close(self) -> None:
        self.controller.kill()
        self.proxy.stop()

    def declare(self, text: str, stack: str = STACK) -> None:
        """Put a manifest in place in one step, as an editor or git does."""
        self.write_file(f"{stack}.yml", text)

    def write_file(self, name: str, text: str) -> None:
        draft = self.manifests / f".{name}.draft"
        draft.write_text(text)
        draft.rename(self.manifests / name)

    def services(self) -> dict[str, dict[str, Any]]:
        """The stack's live services by the key in the file."""
        found = self.engine.api("GET", "/services?status=true")
        return {entry["Spec"]["Name"].removeprefix(f"{STACK}_"): entry for entry in found}

    def tasks(self, service: str, *, running: bool = True) -> frozenset[str]:
        """Ids of a service's tasks: those that run and shall, or all that Swarm remembers."""
        entry = self.services().get(service)
        return frozenset(
            task["ID"] for task in self._tasks() if entry and task["ServiceID"] == entry["ID"] and (_runs(task) or not running)
        )

    def declared_state(self) -> dict[str, Any]:
        """What was asked of Swarm, without what another object of the same name may differ in: ids and our own labels."""
        networks = {entry["Id"]: entry["Name"] for entry in self.engine.api("GET", "/networks")}
        return {
            "services": {key: _portable(entry["Spec"], networks) for key, entry in self.services().items()},
            "networks": sorted(name for name in networks.values() if name.startswith(f"{STACK}_")),
            **{
                kind: sorted(
                    entry["Spec"]["Name"]
                    for entry in self.engine.api("GET", f"/{kind}")
                    if entry["Spec"]["Name"].startswith(f"{STACK}_")
                )
                for kind in ("configs", "secrets")
            },
        }

    def is_running(self) -> bool:
        """Every replica runs and shall go on, nothing that shall stop runs still, and Swarm's updater is at rest.

        Swarm's own count does not do: it takes a task that has yet to obey its order to stop for one that runs.
        """
        tasks, running = self._tasks(), Counter[str]()
        for task in tasks:
            running[task["ServiceID"]] += _runs(task)
            if task["Status"]["State"] == "running" and not _runs(task):
                return False
        return all(
            running[entry["ID"]] == entry["ServiceStatus"]["DesiredTasks"]
            and (entry.get("UpdateStatus") or {}).get("State") not in {"updating", "rollback_started"}
            for entry in self.services().values()
        )

    def _tasks(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.engine.api("GET", "/tasks")
        return found

    def wait(self, condition: Callable[[], bool], what: str, *, hold: float = 0.0) -> None:
        """Raises AssertionError that says what did not come true, or did not stay so for `hold` seconds."""
        reached = processes.wait_until(condition, seconds=CONVERGE_SECONDS, pause=0.05, hold=hold)
        assert reached, f"not within {CONVERGE_SECONDS} s: {what}; writes: {self.writes()}; log: {self.controller.lines()[-8:]}"

    def wait_for(self, state: dict[str, Any], *, hold: float = HOLD_SECONDS) -> None:
        """Until the declared state is this one again, all of it runs, and both have held for `hold` seconds."""
        try:
            self.wait(lambda: self.declared_state() == state and self.is_running(), "the declared state", hold=hold)
        except AssertionError:
            assert self.declared_state() == state  # without words of its own, pytest shows what differs
            raise

    def wait_until_running(self, condition: Callable[[], bool], what: str) -> None:
        """Until the condition holds, everything runs, and both have held for a while."""
        self.wait(lambda: condition() and self.is_running(), what, hold=HOLD_SECONDS)

    def stays_quiet(self, *, seconds: float = HOLD_SECONDS) -> bool:
        """Whether the controller writes nothing for so long."""
        before = len(self.proxy.writes())
        time.sleep(seconds)
        return len(self.proxy.writes()) == before

    def writes(self) -> list[str]:
        """What the controller changed since the last `proxy.clear()`, in words: `update service shop_web`.

        Kept revisions are left out, and a few refusals: somebody was faster, or a list still had a network that was gone.
        """
        calls = self.proxy.writes()
        refused = [call for call in calls if call.status is not None and call.status >= 400]
        assert len(refused) <= _REFUSALS, f"refused again and again: {[(str(call), call.answer) for call in refused]}"
        words = [_in_words(call) for call in calls if call not in refused]
        return [text for text in words if " config prodbreaker_rev_" not in text]

    @contextmanager
    def untouched(self, *services: str) -> Iterator[None]:
        """Fails when a task of these services was replaced meanwhile."""
        before = {service: self.tasks(service, running=False) for service in services}
        yield
        after = {service: self.tasks(service, running=False) for service in services}
        assert after == before, "tasks were restarted that did not need it"


def _runs(task: dict[str, Any]) -> bool:
    return bool(task["Status"]["State"] == "running" and task["DesiredState"] == "running")


def _in_words(call: Call) -> str:
    kind, _, rest = call.path.lstrip("/").partition("/")
    verb = "remove" if call.method == "DELETE" else "create" if rest == "create" else rest.partition("/")[2] or rest
    try:
        name = json.loads(call.body).get("Name", "")
    except ValueError:
        name = ""
    failed = "" if call.status is not None and call.status < 300 else f" ({call.status})"
    return f"{verb} {kind.rstrip('s')} {name}".rstrip() + failed


def _portable(spec: dict[str, Any], networks: dict[str, str]) -> dict[str, Any]:
    copy: dict[str, Any] = json.loads(json.dumps(spec))
    copy["Labels"] = {key: text for key, text in (copy.get("Labels") or {}).items() if not key.startswith(OWN_LABELS)}
    task = copy["TaskTemplate"]
    for network in task.get("Networks") or ():
        network["Target"] = networks.get(network["Target"], network["Target"])
    container = task["ContainerSpec"]
    for reference in [*(container.get("Configs") or ()), *(container.get("Secrets") or ())]:
        reference.pop("ConfigID", None)
        reference.pop("SecretID", None)
    task.pop("ForceUpdate", None)
    (task.get("Placement") or {}).pop("Platforms", None)  # the registry's, not the file's
    for empty in [key for key, value in task.items() if value in ({}, [], None)]:
        task.pop(empty)
    return copy


def die_at(stage: Stage, number: int, *, applied: bool) -> None:
    """SIGKILL the controller at its write of this number; `applied`: the engine still gets the write, nobody its answer."""
    seen = [0]

    def strike(call: Call) -> None:
        if not call.is_write:
            return
        seen[0] += 1
        if seen[0] == number:
            os.kill(stage.controller.pid, 9)
            if not applied:
                raise ConnectionResetError("the controller died before this write left it")

    stage.proxy.before = strike
