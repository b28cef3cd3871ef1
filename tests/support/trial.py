"""Services that answer through nginx on a real Swarm, edited under a real controller while clients ask on."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.support import processes, tiny_image
from tests.support.controller import ROOT, Controller
from tests.support.engine import PrivateEngine
from tests.support.load import Load, Reply
from tests.support.proxy import Call, Proxy

STACK = "trial"
EDGE = "edge"
PORT = 8080
REPLICAS = 2
RESYNC_SECONDS = 1.0
PROVEN_SECONDS = 4.0  # how long it takes here until a revision is worth going back to
REVISION = "prodbreaker.rev."  # labels of the config that keeps one
FAST = {"parallelism": 1, "delay": "2s", "order": "start-first", "monitor": "2s"}
POLICY = {"rollback": {"deadline": "30s", "min_healthy": f"{PROVEN_SECONDS:g}s"}}

Service = Mapping[str, Any]


class Trial:
    """A stack of services made by `page`, nginx before them, and a controller whose every write `proxy` sees."""

    def __init__(self, engine: PrivateEngine, folder: Path, *, environment: Mapping[str, str] | None = None) -> None:
        self.engine, self.folder = engine, folder
        self.manifests = folder / "manifests"
        self.manifests.mkdir(parents=True)
        self.image = f"{engine.registry()}/trial/page:1"
        self.proxy = Proxy(engine.socket, engine.folder / "trial.sock")
        given = {"DOCKER_HOST": self.proxy.host, "PRODBREAKER_RESYNC_SECONDS": str(RESYNC_SECONDS), **(environment or {})}
        self.controller = Controller({**engine.client_environment(), **given}, self.manifests, folder / "state")
        self.load: Load | None = None
        self._files: dict[str, str] = {}

    def open(self, services: Mapping[str, Service], *, configs: Mapping[str, str] | None = None) -> None:
        """Deploy, wait until clients get the first pages, and let them ask on."""
        self.engine.push_tiny_image("trial/page", "1")
        (self.manifests / "nginx.conf").write_text(_nginx_configuration())
        self.proxy.start()
        self.declare(services, configs=configs)
        self.controller.start()
        self.wait(lambda: all(self.is_complete(name) for name in services), "the first deployment")
        self.load = Load(self.engine.address, PORT, list(services))
        self.load.start()
        self.wait(lambda: all(self.pages(name) == {_version(services[name])} for name in services), "the first pages")
        time.sleep(PROVEN_SECONDS)

    def close(self) -> None:
        if self.load is not None:
            self.load.stop()
        self.controller.kill()
        self.proxy.stop()

    def page(self, version: str, *, image: str | None = None, update: Service | None = None, **more: Any) -> Service:
        """A service of two replicas that says its version; `more` joins its environment where the name is in capitals."""
        environment = {"VERSION": version, **{name: text for name, text in more.items() if name.isupper()}}
        plain = {name: value for name, value in more.items() if not name.isupper()}
        deploy: dict[str, Any] = {
            "replicas": REPLICAS,
            "endpoint_mode": "dnsrr",
            "update_config": {**FAST, **(update or {})},
            "restart_policy": {"condition": "any", "delay": "500ms"},
            **plain.pop("deploy", {}),
        }
        return {
            "image": image or self.image,
            "command": [tiny_image.SERVE],
            "environment": environment,
            "networks": ["front"],
            "stop_grace_period": "1s",
            "deploy": deploy,
            "x-prodbreaker": POLICY,
            **plain,
        }

    def declare(self, services: Mapping[str, Service], *, configs: Mapping[str, str] | None = None) -> None:
        """Put the manifest in place in one step; a config's content goes into the file itself under its hash."""
        for name, text in (configs or {}).items():
            (self.manifests / name).write_text(text)
        named = {name: {"file": name} for name in ("nginx.conf", *(configs or {}))}
        document = {
            "version": "3.8",
            "services": {**services, EDGE: _edge(self.engine.push_nginx_image())},
            "networks": {"front": {}},
            "configs": named,
        }
        draft = self.manifests / f".{STACK}.draft"
        draft.write_text(json.dumps(document))
        draft.rename(self.manifests / f"{STACK}.yml")

    # What is seen from outside.

    def pages(self, name: str) -> set[str]:
        """What clients got lately; empty where nobody asks."""
        return self.load.seen(name) if self.load is not None else set()

    def failed(self, name: str, moment: float) -> list[Reply]:
        """Requests since `moment` (monotonic) that got no page."""
        return self.load.failed(name, moment) if self.load is not None else []

    def service(self, name: str) -> dict[str, Any]:
        found = self.engine.api("GET", f"/services?status=true&filters={_filter(f'{STACK}_{name}')}")
        return next((entry for entry in found if entry["Spec"]["Name"] == f"{STACK}_{name}"), {})

    def version(self, name: str) -> str:
        """The version that the live spec asks for."""
        environment = self.service(name)["Spec"]["TaskTemplate"]["ContainerSpec"].get("Env") or ()
        return next((text.removeprefix("VERSION=") for text in environment if text.startswith("VERSION=")), "")

    def is_complete(self, name: str) -> bool:
        """Every replica runs, nothing else does, and Swarm's updater is at rest."""
        entry = self.service(name)
        if not entry or (entry.get("UpdateStatus") or {}).get("State") in {"updating", "rollback_started"}:
            return False
        counts = entry["ServiceStatus"]
        return bool(counts["RunningTasks"] == counts["DesiredTasks"] == REPLICAS or (name == EDGE and counts["RunningTasks"]))

    def revisions(self, name: str) -> list[dict[str, str]]:
        """The kept revisions' labels without their prefix, from the oldest."""
        found = [
            {key.removeprefix(REVISION): text for key, text in (entry["Spec"].get("Labels") or {}).items()}
            for entry in self.engine.api("GET", "/configs")
        ]
        own = [labels for labels in found if labels.get("service") == f"{STACK}_{name}"]
        return sorted(own, key=lambda labels: int(labels["number"]))

    def states(self, name: str) -> list[str]:
        return [labels["state"] for labels in self.revisions(name)]

    def writes(self) -> list[str]:
        """The controller's writes since the last `proxy.clear()`: `update trial_web`, `revision 2 of trial_web failed`."""
        return [_in_words(call) for call in self.proxy.writes()]

    def wait(self, condition: Callable[[], bool], what: str, *, seconds: float = 60.0, hold: float = 0.0) -> None:
        if not processes.wait_until(condition, seconds=seconds, pause=0.1, hold=hold):
            told = [line for line in self.controller.lines() if line.get("event") != "pass"][-12:]
            raise AssertionError(f"not within {seconds} s: {what}; writes: {self.writes()}; log: {told}")

    def quiet(self, seconds: float) -> Sequence[str]:
        """What the controller writes within so long."""
        before = len(self.proxy.writes())
        time.sleep(seconds)
        return self.writes()[before:]


def _edge(image: str) -> Service:
    return {
        "image": image,
        "command": ["nginx", "-c", "/etc/nginx.conf", "-g", "daemon off;"],
        "user": "65534:65534",
        "networks": ["front"],
        "ports": [{"target": PORT, "published": PORT, "protocol": "tcp", "mode": "host"}],
        "configs": [{"source": "nginx.conf", "target": "/etc/nginx.conf"}],
        "stop_grace_period": "1s",
        "deploy": {"endpoint_mode": "dnsrr", "restart_policy": {"delay": "200ms"}},
    }


def _nginx_configuration() -> str:
    """The project's own, that asks the service which the Host header names in place of `web`."""
    text = (ROOT / "nginx/shop.conf").read_text()
    assert "set $web web;" in text
    return text.replace("set $web web;", "set $web $host;")


def _version(service: Service) -> str:
    version: str = service["environment"]["VERSION"]
    return version


def _filter(name: str) -> str:
    return "%7B%22name%22%3A%5B%22" + name + "%22%5D%7D"


def _in_words(call: Call) -> str:
    kind, _, rest = call.path.lstrip("/").partition("/")
    verb = "remove" if call.method == "DELETE" else "create" if rest == "create" else rest.partition("/")[2] or rest
    try:
        body = json.loads(call.body)
    except ValueError:
        body = {}
    failed = "" if call.status is not None and call.status < 300 else f" ({call.status})"
    labels = body.get("Labels") or {}
    if REVISION + "number" in labels:
        words = f"revision {labels[REVISION + 'number']} of {labels[REVISION + 'service']} {labels[REVISION + 'state']}"
    else:
        words = f"{verb} {'' if kind == 'services' else kind.rstrip('s') + ' '}{body.get('Name', rest)}"
    return words + failed
