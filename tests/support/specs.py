"""Declarations and live objects, built in one line each: what a test does not name has the plainest value."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from controller.core.values import Context
from controller.model.observation import Snapshot
from controller.model.policy import ServicePolicy, StackPolicy
from controller.model.spec import (
    IMAGE_LABEL,
    STACK_LABEL,
    DesiredContent,
    DesiredNetwork,
    DesiredService,
    DesiredStack,
    Json,
    symbolic_id,
)
from controller.simulator.defaults import complete_service

STACK = "shop"
API = (1, 47)
CONTEXT = Context(networks={}, configs={}, api_version=API)


def body(key: str = "web", image: str = "nginx:1", *, stack: str = STACK, **parts: Any) -> dict[str, Any]:
    """The body of POST /services/create. Capitalised keywords are parts of it, `task` and `container` merge into theirs."""
    task, container = parts.pop("task", {}), parts.pop("container", {})
    labels = {STACK_LABEL: stack, IMAGE_LABEL: image, **parts.pop("labels", {})}
    return {
        "Name": f"{stack}_{key}",
        "Labels": labels,
        "TaskTemplate": {
            "ContainerSpec": {"Image": image, "Labels": {STACK_LABEL: stack}, **container},
            "Resources": {},
            "Placement": {},
            "Networks": [],
            "ForceUpdate": 0,
            **task,
        },
        "Mode": {"Replicated": {}},
        "EndpointSpec": {},
        **parts,
    }


def service(
    key: str = "web",
    image: str = "nginx:1",
    *,
    stack: str = STACK,
    policy: ServicePolicy | None = None,
    depends_on: Iterable[str] = (),
    **parts: Any,
) -> DesiredService:
    spec = body(key, image, stack=stack, **parts)
    return DesiredService(key, f"{stack}_{key}", spec, tuple(depends_on), policy or ServicePolicy())


def stack(
    *services: DesiredService,
    name: str = STACK,
    networks: Iterable[DesiredNetwork] = (),
    configs: Iterable[DesiredContent] = (),
    secrets: Iterable[DesiredContent] = (),
    policy: StackPolicy | None = None,
) -> DesiredStack:
    return DesiredStack(
        name=name,
        services={item.key: item for item in services},
        networks={item.name: item for item in networks},
        configs={item.name: item for item in configs},
        secrets={item.name: item for item in secrets},
        policy=policy or StackPolicy(),
    )


def network(name: str = f"{STACK}_default", *, stack: str = STACK, external: bool = False, **parts: Any) -> DesiredNetwork:
    if external:
        return DesiredNetwork(name, external=True)
    return DesiredNetwork(name, external=False, body={"Name": name, "Driver": "overlay", "Labels": {STACK_LABEL: stack}, **parts})


def content(name: str, data: bytes = b"one", *, stack: str = STACK, external: bool = False, **parts: Any) -> DesiredContent:
    """A config or a secret."""
    if external:
        return DesiredContent(name, external=True)
    made = {"Name": name, "Labels": {STACK_LABEL: stack}, "Data": base64.b64encode(data).decode(), **parts}
    return DesiredContent(name, external=False, body=made, content=data)


def mounted(kind: str, name: str, target: str = "", **parts: Any) -> dict[str, Any]:
    """A reference to a `Config` or a `Secret` as the converter writes it."""
    file = {"Name": target or name, "UID": "0", "GID": "0", "Mode": 0o444}
    return {"File": file, f"{kind}ID": symbolic_id(name), f"{kind}Name": name, **parts}


# What the engine shows.


def live(spec: Json, *, ident: str = "", version: int = 10, networks: Mapping[str, str] | None = None, **parts: Any) -> Json:
    """A service as GET /services shows it, its spec completed as the daemon completes it."""
    ids = networks or {}
    stored = complete_service(spec, lambda name: ids.get(name, name), api=API)
    return {"ID": ident or f"id-of-{spec['Name']}", "Version": {"Index": version}, "Spec": stored, **parts}


def live_network(name: str = f"{STACK}_default", *, stack: str = STACK, **parts: Any) -> Json:
    return {
        "Name": name, "Id": f"net-{name}", "Scope": "swarm", "Driver": "overlay", "Internal": False, "Attachable": False,
        "Labels": {STACK_LABEL: stack} if stack else {}, "Options": {"com.docker.network.driver.overlay.vxlanid_list": "4097"},
        "IPAM": {"Driver": "default", "Config": [{"Subnet": "10.0.1.0/24"}]}, **parts,
    }  # fmt: skip


def live_content(name: str, data: bytes | None = b"one", *, stack: str = STACK, **labels: str) -> Json:
    """A config, or with `data` None a secret; labels besides the stack's by keyword, `__` for a dot."""
    spec: dict[str, Any] = {"Name": name, "Labels": {STACK_LABEL: stack} if stack else {}}
    spec["Labels"] |= {key.replace("__", "."): text for key, text in labels.items()}
    if data is not None:
        spec["Data"] = base64.b64encode(data).decode()
    return {"ID": f"id-of-{name}", "Version": {"Index": 5}, "Spec": spec}


def snapshot(
    *services: Json,
    networks: Sequence[Json] = (),
    configs: Sequence[Json] = (),
    secrets: Sequence[Json] = (),
    **parts: Any,
) -> Snapshot:
    return Snapshot(
        api_version=parts.pop("api_version", API),
        services={item["Spec"]["Name"]: item for item in services},
        networks={item["Name"]: item for item in networks},
        configs={item["Spec"]["Name"]: item for item in configs},
        secrets={item["Spec"]["Name"]: item for item in secrets},
        **parts,
    )
