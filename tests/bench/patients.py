"""One service twice: kept by the controller, and plain in the Swarm. Both are edited to bad versions, again and again.

Times are the engine's own stamps, in seconds since 1970.
"""

from __future__ import annotations

import copy
import itertools
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import quote

from tests.bench.scene import CommandFailedError, Scene
from tests.support import processes, tiny_image
from tests.support.trial import STACK, Sight

KEY, TWIN = "web", "twin"
WEB = f"{STACK}_{KEY}"
REPLICAS = 2
GOOD = "good"
WAIT_SECONDS = 60.0
SETTLE_SECONDS = 0.4
# The second replica still waits when the first one fails: how far the update has come by then is not left to chance.
UPDATE: Mapping[str, Any] = {"parallelism": 1, "delay": "1s", "monitor": "1s"}
_ALIVE = frozenset({"preparing", "starting", "running"})

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Fault:
    """What an edit changes; each comes with a version of its own, for what was bad once is not tried again."""

    environment: Mapping[str, str] = field(default_factory=dict)
    image: str = ""


@dataclass(frozen=True)
class Setting:
    """The service while it is well. What `failure_action` says is left to Swarm's default, to pause: the controller decides."""

    min_healthy: str
    deadline: str = "30s"
    healthcheck: Mapping[str, Any] | None = None
    update: Mapping[str, Any] = field(default_factory=lambda: UPDATE)

    def manifest(self, image: str, version: str, fault: Fault) -> str:
        web = {
            "image": fault.image or image,
            "command": [tiny_image.SERVE],
            "environment": {"VERSION": version, **fault.environment},
            "stop_grace_period": "1s",
            "deploy": {"replicas": REPLICAS, "update_config": self.update},
            "x-prodbreaker": {
                "rollback": {"min_healthy": self.min_healthy, "deadline": self.deadline},
                "budget": {"actions": 1000, "per": "1s"},  # what goes bad again and again must not be held
            },
            **({"healthcheck": self.healthcheck} if self.healthcheck else {}),
        }
        return json.dumps({"version": "3.8", "services": {KEY: web}})


@dataclass(frozen=True)
class Event:
    at: float
    kind: str
    action: str
    attributes: Mapping[str, str]


class Patient:
    """One of the two services."""

    def __init__(self, scene: Scene, name: str, write: Callable[[str, Fault], None], is_over: Callable[[], bool]) -> None:
        """`write(version, fault)` has a bad version written; `is_over()`: all that was to come of the last one has come."""
        self.name = name
        self._scene, self._write, self._is_over = scene, write, is_over

    def edit(self, fault: Fault) -> float:
        """Have a new bad version written, and wait until it is tried. Returns when it was written."""
        self.wait(self._is_over, "the last version is not over")
        time.sleep(SETTLE_SECONDS)
        since, version = time.time(), f"bad-{next(_numbers)}"
        self._write(version, fault)
        self.wait(lambda: version in self._versions(), f"{version} is not tried")
        return self.writes(since)[0]

    def seconds_to_serve(self, fault: Fault) -> float:
        """From the write of a bad version to the moment at which all replicas are of the old one and run, and no other does."""
        written, served = self.edit(fault), [0.0]

        def is_back() -> bool:
            served[0] = self._serves_since()
            return served[0] > written

        self.wait(is_back, "the old version does not come back")
        return served[0] - written

    def written_back(self, written: float) -> float:
        """When the old version was written again after `written`; waits for it."""
        self.wait(lambda: not self.is_still_bad(), "is not written back")
        return next(at for at in self.writes(written) if at > written)

    def events(self, since: float) -> list[Event]:
        """What the engine told of this service and its containers. It remembers 256 events: ask soon."""
        told = self._scene.engine.docker(
            "events", "--since", f"{since:.6f}", "--until", f"{time.time():.6f}", "--format", "{{json .}}"
        )
        events = [json.loads(line) for line in told.splitlines()]
        return [
            Event(event["timeNano"] / 1e9, event["Type"], event["Action"], attributes)
            for event in events
            if self.name in ((attributes := event["Actor"]["Attributes"]).get("name"), attributes.get(_SERVICE_OF_CONTAINER))
        ]

    def writes(self, since: float) -> list[float]:
        """When its spec was written; what Swarm's updater says of itself is no such write."""
        return [
            event.at
            for event in self.events(since)
            if (event.kind, event.action) == ("service", "update") and "updatestate.new" not in event.attributes
        ]

    def is_still_bad(self) -> bool:
        return _version(self.service()["Spec"]["TaskTemplate"]) != GOOD

    def service(self) -> dict[str, Any]:
        found: dict[str, Any] = self._scene.engine.api("GET", f"/services/{self.name}")
        return found

    def wait(self, condition: Callable[[], bool], otherwise: str) -> None:
        if not processes.wait_until(condition, seconds=WAIT_SECONDS, pause=0.1):
            raise CommandFailedError(f"{self.name}: {otherwise}")

    def _serves_since(self) -> float:
        """0 where it does not."""
        tasks = self._tasks()
        old = [task for task in tasks if _version(task["Spec"]) == GOOD and _runs(task)]
        others = [task for task in tasks if _version(task["Spec"]) != GOOD]
        if self.is_still_bad() or len(old) != REPLICAS or any(task["Status"]["State"] in _ALIVE for task in others):
            return 0.0
        return max(_seconds(task["Status"]["Timestamp"]) for task in old)

    def _versions(self) -> set[str]:
        return {_version(task["Spec"]) for task in self._tasks()}

    def _tasks(self) -> list[dict[str, Any]]:
        wanted = quote(json.dumps({"service": [self.name]}))
        found: list[dict[str, Any]] = self._scene.engine.api("GET", f"/tasks?filters={wanted}")
        return found


_SERVICE_OF_CONTAINER = "com.docker.swarm.service.name"


@contextmanager
def kept(scene: Scene, setting: Setting) -> Iterator[Patient]:
    """The service under a controller, once it has been well for long enough to be gone back to."""
    image = scene.engine.push_nginx_image()
    manifest = scene.manifests / f"{STACK}.yml"

    def write(version: str, fault: Fault) -> None:
        draft = manifest.with_name(".draft")
        draft.write_text(setting.manifest(image, version, fault))
        draft.rename(manifest)

    def is_over() -> bool:
        sight = Sight(scene.engine.api("GET", "/services?status=true"), scene.engine.api("GET", "/configs"))
        return sight.is_complete(KEY) and set(sight.states(KEY)) <= {"stable", "quarantined"}

    write(GOOD, Fault())
    controller = scene.controller(resolve_image="never")  # with digests, an image that is not there is never deployed
    controller.start()
    try:
        patient = Patient(scene, WEB, write, is_over)
        patient.wait(is_over, "does not run")
        time.sleep(float(setting.min_healthy.rstrip("s")) + 1)
        yield patient
    finally:
        controller.kill()


@contextmanager
def twin(scene: Scene, original: Mapping[str, Any]) -> Iterator[Patient]:
    """A service that is only Swarm's, of the same spec, for which Swarm is told to go back by itself."""
    good = _with_own_rollback(original)
    scene.engine.api("POST", "/services/create", good)

    def write(version: str, fault: Fault) -> None:
        bad, now = copy.deepcopy(good), scene.engine.api("GET", f"/services/{TWIN}")
        container = bad["TaskTemplate"]["ContainerSpec"]
        container["Env"] = [*(f"{name}={text}" for name, text in fault.environment.items()), f"VERSION={version}"]
        container["Image"] = fault.image or container["Image"]
        scene.engine.api("POST", f"/services/{now['ID']}/update?version={now['Version']['Index']}", bad)

    def is_over() -> bool:
        found = next(entry for entry in scene.engine.api("GET", "/services?status=true") if entry["Spec"]["Name"] == TWIN)
        state = (found.get("UpdateStatus") or {}).get("State", "rollback_completed")
        return bool(state == "rollback_completed" and found["ServiceStatus"]["RunningTasks"] == REPLICAS)

    try:
        patient = Patient(scene, TWIN, write, is_over)
        patient.wait(is_over, "does not run")
        yield patient
    finally:
        scene.engine.api("DELETE", f"/services/{TWIN}")


def _with_own_rollback(original: Mapping[str, Any]) -> dict[str, Any]:
    spec: dict[str, Any] = copy.deepcopy(dict(original))
    config, template = spec["UpdateConfig"], spec["TaskTemplate"]
    networks = [{"Target": network["Target"]} for network in template["Networks"]]  # its clients are not the other's
    return {
        **spec,
        "Name": TWIN,
        "Labels": {},
        "TaskTemplate": {**template, "Networks": networks},
        "UpdateConfig": {**config, "FailureAction": "rollback"},
        "RollbackConfig": {**config, "FailureAction": "pause"},
    }


def _version(task_spec: Mapping[str, Any]) -> str:
    environment: list[str] = task_spec["ContainerSpec"]["Env"]
    return next(text.partition("=")[2] for text in environment if text.startswith("VERSION="))


def _runs(task: Mapping[str, Any]) -> bool:
    return bool(task["Status"]["State"] == task["DesiredState"] == "running")


def _seconds(stamp: str) -> float:
    whole, _, fraction = stamp.rstrip("Z").partition(".")
    return datetime.fromisoformat(f"{whole}+00:00").timestamp() + float(f"0.{fraction or 0}")
