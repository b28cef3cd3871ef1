"""An engine under contract: the simulator on its socket or a real dockerd, seen through plain HTTP."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from tests.support.unixhttp import UnixConnection

API = "/v1.41"  # the version that every engine in use speaks
PATIENCE = 120.0  # seconds
MISSING_IMAGE = "sha256:" + "00" * 32  # that no node has
SECOND = 1_000_000_000  # in the API's nanoseconds

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: Any

    @property
    def message(self) -> str:
        """Of a refusal."""
        return str(self.body["message"])


@dataclass(frozen=True, slots=True)
class Target:
    """One engine; `image` is there, holds when it is started without a command, and needs no registry."""

    socket: Path
    image: str

    def call(self, method: str, path: str, body: object = None, *, api: str = API) -> Answer:
        connection = UnixConnection(self.socket)
        try:
            payload = None if body is None else json.dumps(body)
            connection.request(method, api + path, payload, {"Content-Type": "application/json"})
            response = connection.getresponse()
            text = response.read().decode()
            is_json = "json" in (response.getheader("Content-Type") or "")
            return Answer(response.status, json.loads(text) if text and is_json else text)
        finally:
            connection.close()

    def must(self, method: str, path: str, body: object = None) -> Any:
        """The body of an answer that has to be a good one."""
        answer = self.call(method, path, body)
        assert answer.status < 300, answer
        return answer.body

    def listed(self, kind: str, filters: Mapping[str, Sequence[str]] | None = None, *, query: str = "") -> Any:
        path = f"/{kind}?filters={quote(json.dumps(filters or {}))}"
        return self.must("GET", path + (f"&{query}" if query else ""))

    # Services

    def spec(
        self,
        name: str,
        *,
        replicas: int = 0,
        args: Sequence[str] = (),
        container: object = None,
        template: object = None,
        **top: Any,
    ) -> dict[str, Any]:
        """A service that stops at once; with no replicas nothing starts."""
        inner: dict[str, Any] = {"Image": self.image, "StopGracePeriod": SECOND // 10, **_mapping(container)}
        if args:
            inner["Args"] = list(args)
        return {
            "Name": name,
            "TaskTemplate": {"ContainerSpec": inner, **_mapping(template)},
            "Mode": {"Replicated": {"Replicas": replicas}},
            **top,
        }

    def create(self, spec: Mapping[str, Any]) -> str:
        service_id: str = self.must("POST", "/services/create", spec)["ID"]
        return service_id

    def service(self, name: str) -> dict[str, Any]:
        service: dict[str, Any] = self.must("GET", f"/services/{name}")
        return service

    def update(self, spec: Mapping[str, Any], *, query: str = "") -> Answer:
        """Write over the service of that name, again where the Swarm's own writes come between."""

        def write() -> Answer:
            service = self.service(spec["Name"])
            return self.call("POST", f"/services/{service['ID']}/update?version={service['Version']['Index']}{query}", spec)

        return self.wait(write, lambda answer: "update out of sequence" not in str(answer.body))

    def tasks(self, service: str, **filters: Sequence[str]) -> list[dict[str, Any]]:
        tasks: list[dict[str, Any]] = self.listed("tasks", {"service": [service], **filters})
        return sorted(tasks, key=lambda task: (task.get("Slot", 0), task["CreatedAt"]))

    def running(self, service: str) -> list[dict[str, Any]]:
        return [t for t in self.tasks(service) if (t["Status"]["State"], t["DesiredState"]) == ("running", "running")]

    def status(self, service: str) -> dict[str, int]:
        """Its ServiceStatus."""
        listed = self.listed("services", {"name": [service]}, query="status=true")
        status: dict[str, int] = next(entry["ServiceStatus"] for entry in listed if entry["Spec"]["Name"] == service)
        return status

    def update_state(self, service: str) -> str:
        return str(self.service(service).get("UpdateStatus", {}).get("State", ""))

    def start(self, spec: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Create a replicated service and return its tasks when all run."""
        self.create(spec)
        replicas = spec["Mode"]["Replicated"]["Replicas"]
        return self.wait(lambda: self.running(spec["Name"]), lambda tasks: len(tasks) == replicas)

    def wait(self, look: Callable[[], T], done: Callable[[T], bool]) -> T:
        """What is seen once it is as asked for; fails with the last sight when that never comes."""
        deadline = time.monotonic() + PATIENCE
        while not done(seen := look()):
            assert time.monotonic() < deadline, f"never came: {seen}"
            time.sleep(0.05)
        return seen

    def wait_for_state(self, service: str, state: str) -> None:
        self.wait(lambda: self.update_state(service), lambda seen: seen == state)

    # The rest

    def content(self, kind: str, name: str, data: str = "MQ==", **more: Any) -> str:
        content_id: str = self.must("POST", f"/{kind}/create", {"Name": name, "Data": data, **more})["ID"]
        return content_id

    def network(self, name: str, **more: Any) -> str:
        network_id: str = self.must("POST", "/networks/create", {"Name": name, "Driver": "overlay", **more})["Id"]
        return network_id

    def now(self) -> str:
        """The engine's clock, as `since` and `until` take it."""
        stamp = self.must("GET", "/info")["SystemTime"].rstrip("Z")
        seconds, _, fraction = stamp.partition(".")
        return f"{int(_epoch(seconds))}.{fraction.ljust(9, '0')}"

    def events(self, since: str, *, names: Sequence[str]) -> list[tuple[str, str, dict[str, str]]]:
        """(kind, action, attributes without the name) of what the whole Swarm was told about these objects."""
        time.sleep(0.2)  # a write is answered a moment before it is told
        found = []
        for event in self.told(since):
            attributes = dict(event["Actor"]["Attributes"])
            if event["scope"] == "swarm" and attributes.pop("name", "") in names:
                found.append((event["Type"], event["Action"], attributes))
        return found

    def told(self, since: str, *, kind: str = "") -> list[dict[str, Any]]:
        """The raw events until now, of one type where one is given."""
        filters = quote(json.dumps({"type": [kind]} if kind else {}))
        connection = UnixConnection(self.socket)
        try:
            connection.request("GET", f"{API}/events?since={since}&until={self.now()}&filters={filters}")
            return [json.loads(line) for line in connection.getresponse().read().splitlines()]
        finally:
            connection.close()

    def sweep(self) -> None:
        """Remove everything that a test made."""
        for kind in ("services", "configs", "secrets"):
            for entry in self.must("GET", f"/{kind}"):
                self.call("DELETE", f"/{kind}/{entry['ID']}")
        self.wait(
            lambda: [task for task in self.must("GET", "/tasks") if task["DesiredState"] == "remove"], lambda left: not left
        )
        for network in self.must("GET", "/networks"):
            if network["Scope"] == "swarm" and not network["Ingress"]:
                self._remove_network(network["Id"])

    def _remove_network(self, network_id: str) -> None:
        self.wait(lambda: self.call("DELETE", f"/networks/{network_id}").status, lambda status: status in (204, 404))


def _mapping(given: object) -> dict[str, Any]:
    return dict(given) if isinstance(given, Mapping) else {}


def _epoch(stamp: str) -> float:
    return time.mktime(time.strptime(stamp + " UTC", "%Y-%m-%dT%H:%M:%S %Z")) - time.timezone
