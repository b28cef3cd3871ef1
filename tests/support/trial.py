"""Services that answer through nginx on a real Swarm, edited under a real controller while clients ask on."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping, MutableMapping, Sequence
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


class Sight:
    """The Swarm at one moment."""

    def __init__(self, services: Sequence[dict[str, Any]], configs: Sequence[dict[str, Any]]) -> None:
        self._services = {entry["Spec"]["Name"].removeprefix(f"{STACK}_"): entry for entry in services}
        self._configs = configs

    def is_complete(self, *names: str) -> bool:
        """Every replica runs, and Swarm's updater is at rest.

        More than that may run, for ever: what fails between two steps of an update that starts the new task first is restarted
        by Swarm in the new version, and replaced once more by the updater, which knew the slot as it was before.
        """
        return all(name in self._services and _is_complete(self._services[name]) for name in names)

    def revisions(self, name: str) -> list[dict[str, str]]:
        """The kept revisions' labels without their prefix, from the oldest."""
        labels = [entry["Spec"].get("Labels") or {} for entry in self._configs]
        own = [found for found in labels if found.get(f"{REVISION}service") == f"{STACK}_{name}"]
        short = [{key.removeprefix(REVISION): text for key, text in found.items()} for found in own]
        return sorted(short, key=lambda found: int(found["number"]))

    def states(self, name: str) -> list[str]:
        return [found["state"] for found in self.revisions(name)]


class Trial:
    """A stack of services made by `page`, nginx before them, and a controller whose every write `proxy` sees."""

    def __init__(
        self,
        engine: PrivateEngine,
        folder: Path,
        *,
        environment: Mapping[str, str] | None = None,
        counts: MutableMapping[str, float] | None = None,
        stretch: int = 1,
    ) -> None:
        """`environment` is the controller's, beside what it needs here; `counts` takes metrics of failed requests.

        `stretch` multiplies every duration of a manifest and the patience of clients, who ask as much more rarely, for a host
        that stands still now and then.
        """
        self.engine, self.folder, self._counts, self._stretch = engine, folder, counts, stretch
        self.proven_seconds = PROVEN_SECONDS * stretch
        self.manifests = folder / "manifests"
        self.manifests.mkdir(parents=True)
        self.image = engine.push_nginx_image()
        self.proxy = Proxy(engine.socket, engine.folder / "trial.sock")
        given = {"DOCKER_HOST": self.proxy.host, "PRODBREAKER_RESYNC_SECONDS": str(RESYNC_SECONDS), **(environment or {})}
        self.controller = Controller({**engine.client_environment(), **given}, self.manifests, folder / "state")
        self.load: Load | None = None

    def open(self, services: Mapping[str, Service], *, configs: Mapping[str, str] | None = None) -> None:
        """Deploy, wait until clients get the first pages, and let them ask on."""
        (self.manifests / "nginx.conf").write_text(_nginx(self._stretch))
        self.proxy.start()
        self.declare(services, configs=configs)
        self.controller.start()
        self.wait(lambda: self.sight().is_complete(EDGE, *services), "the first deployment")
        self.load = Load(self.engine.address, PORT, list(services), counts=self._counts, stretch=self._stretch)
        self.load.start()
        self.wait(lambda: all(self.pages(name) == {_version(services[name])} for name in services), "the first pages")
        time.sleep(self.proven_seconds)

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
        """Put the manifest in place in one step, the files of its configs first."""
        for name, text in (configs or {}).items():
            (self.manifests / name).write_text(text)
        named = {name: {"file": name} for name in ("nginx.conf", *(configs or {}))}
        document = {
            "version": "3.8",
            "services": {**_stretched(services, self._stretch), EDGE: _edge(self.image)},
            "networks": {"front": {}},
            "configs": named,
        }
        draft = self.manifests / f".{STACK}.draft"
        draft.write_text(json.dumps(document))
        draft.rename(self.manifests / f"{STACK}.yml")

    # What is seen from outside.

    def pages(self, name: str, *, seconds: float = 0.5) -> set[str]:
        """What clients got lately; empty where nobody asks."""
        return self.load.seen(name, seconds=seconds) if self.load is not None else set()

    def failed(self, name: str, moment: float) -> list[Reply]:
        """Requests since `moment` (monotonic) that got no page."""
        return self.load.failed(name, moment) if self.load is not None else []

    def last_other(self, name: str, moment: float, version: str) -> float:
        """Seconds from `moment` (monotonic) to the last request that got anything but this version's page; 0 if none did."""
        others = [reply.at for reply in self.load.since(name, moment) if reply.text != version] if self.load is not None else []
        return max(others, default=moment) - moment

    def sight(self) -> Sight:
        return Sight(self.engine.api("GET", "/services?status=true"), self.engine.api("GET", "/configs"))

    def tasks(self, name: str) -> frozenset[str]:
        """Ids of all tasks that Swarm remembers of a service."""
        service = self.engine.api("GET", f"/services/{STACK}_{name}")["ID"]
        return frozenset(task["ID"] for task in self.engine.api("GET", "/tasks") if task["ServiceID"] == service)

    def calls(self) -> list[tuple[Call, str]]:
        """The controller's writes since the last `proxy.clear()`: `update trial_web`, `revision 2 of trial_web failed`."""
        return [(call, _in_words(call)) for call in self.proxy.writes()]

    def writes(self) -> list[str]:
        return [text for _, text in self.calls()]

    def wait(self, condition: Callable[[], bool], what: str, *, seconds: float = 120.0, hold: float = 0.0) -> None:
        if not processes.wait_until(condition, seconds=seconds, pause=0.2, hold=hold):
            told = [line for line in self.controller.lines() if line.get("event") != "pass"][-12:]
            raise AssertionError(f"not within {seconds} s: {what}; writes: {self.writes()}; log: {told}")

    def is_told(self, text: str) -> bool:
        """Whether the controller's log says why it leaves something alone, or what it decided, in these words."""
        return any(text in f"{line.get('message')} {line.get('reason')}" for line in self.controller.lines())

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


def _nginx(stretch: int) -> str:
    def longer(found: re.Match[str]) -> str:
        return f"_timeout {int(found[1]) * stretch}{found[2]};"

    return re.sub(r"_timeout (\d+)(ms|s);", longer, (ROOT / "tests/support/trial_nginx.conf").read_text())


def _stretched(value: Any, factor: int) -> Any:
    """`value` with every duration in it, such as `2s`, so many times as long."""
    if isinstance(value, Mapping):
        return {key: _stretched(part, factor) for key, part in value.items()}
    if isinstance(value, list):
        return [_stretched(part, factor) for part in value]
    found = re.fullmatch(r"([0-9.]+)(ms|s)", value) if isinstance(value, str) else None
    return f"{float(found[1]) * factor:g}{found[2]}" if found else value


def _version(service: Service) -> str:
    version: str = service["environment"]["VERSION"]
    return version


def _is_complete(entry: dict[str, Any]) -> bool:
    counts, state = entry["ServiceStatus"], (entry.get("UpdateStatus") or {}).get("State")
    wanted = entry["Spec"]["Mode"]["Replicated"]["Replicas"]
    return bool(counts["RunningTasks"] >= wanted and state not in {"updating", "rollback_started"})


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
