"""Writes of networks, configs, secrets and nodes, with the manager's rules."""

from __future__ import annotations

import base64
import binascii
import ipaddress
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from controller.model.plan import ObjectKind
from controller.model.spec import Json
from controller.simulator import validation
from controller.simulator.records import Content, Network, Node
from controller.simulator.refusals import RefusalError, invalid, not_found, out_of_sequence, rpc
from controller.simulator.store import Store
from controller.simulator.table import Table

ALLOCATE_SECONDS = 0.0005
_FIRST_VXLAN = 4096
_LOCAL_DRIVERS = {"bridge", "host", "null", "macvlan", "ipvlan"}


class Networks:
    def __init__(self, store: Store, on_allocated: Callable[[Network], None]) -> None:
        self._store = store
        self._on_allocated = on_allocated
        self._pools = 0
        self._vxlans = _FIRST_VXLAN

    def create(self, body: Json) -> str:
        name = body.get("Name") or ""
        if not name.strip():
            raise RefusalError(500, f"invalid name: {name}")
        if self._store.networks.by_name(name) is not None:
            raise RefusalError(409, f"network with name {name} already exists")
        driver = body.get("Driver") or "bridge"
        if driver != "overlay" and driver not in _LOCAL_DRIVERS:
            raise RefusalError(404, f'plugin "{driver}" not found')
        for part in (body.get("IPAM") or {}).get("Config") or ():
            _subnet(part.get("Subnet") or "")
        validation.check_name(name)
        ingress = self._store.networks.by_name("ingress")
        if body.get("Ingress") and ingress is not None:
            raise rpc("AlreadyExists", f"ingress network ({ingress.id}) is already present")
        fields = ("Options", "Internal", "Attachable", "Ingress", "Labels", "IPAM")
        spec: dict[str, Any] = {"Name": name, "Driver": driver, **{key: body[key] for key in fields if body.get(key)}}
        scope = "swarm" if driver == "overlay" else "local"
        network = self._store.write_network(Network(id=self._store.new_id(), spec=spec, scope=scope))
        self._store.timeline.call_later(ALLOCATE_SECONDS, lambda: self._allocate(network.id))
        return network.id

    def remove(self, reference: str) -> None:
        network = self.get(reference)
        if network.predefined:
            raise RefusalError(403, f"{network.name} is a pre-defined network and cannot be removed")
        users = self._store.users(network.id)
        if users:
            raise rpc("FailedPrecondition", f"network {network.id} is in use by service {users[0].id}")
        self._store.drop(self._store.networks, network)

    def get(self, reference: str) -> Network:
        network = self._store.networks.get(reference)
        if network is None:
            network = self._store.predefined.get(reference)
        if network is None:
            raise not_found("network", reference)
        return network

    def get_of_swarm(self, name: str) -> Network:
        """As `?scope=swarm` asks for it: what a node has too is then Swarm's own stand-in for it."""
        hidden = self._store.predefined_of_swarm(name)
        return hidden if hidden is not None else self.get(name)

    def seed(self) -> None:
        """The networks that every engine and every Swarm begins with."""
        for name, driver in (("none", "null"), ("host", "host"), ("bridge", "bridge")):
            spec = {"Name": name, "Driver": driver}
            self._store.write_network(Network(id=self._store.container_id(), spec=spec, scope="local", predefined=True))
        for name in ("host", "bridge"):
            labels = {"com.docker.swarm.predefined": "true"}
            self._store.hide(
                Network(id=self._store.new_id(), spec={"Name": name, "Driver": name, "Labels": labels}, predefined=True)
            )
        gateway = {"Name": "docker_gwbridge", "Driver": "bridge"}
        self._store.write_network(Network(id=self._store.container_id(), spec=gateway, scope="local"))
        ingress = {"Name": "ingress", "Driver": "overlay", "Ingress": True}
        network = self._store.write_network(Network(id=self._store.new_id(), spec=ingress))
        self._allocate(network.id)

    def _allocate(self, network_id: str) -> None:
        network = self._store.networks.rows.get(network_id)
        if network is None or network.scope != "swarm":
            return
        given = ((network.spec.get("IPAM") or {}).get("Config") or [{}])[0]
        subnet = _subnet(given["Subnet"]) if given.get("Subnet") else self._free_pool()
        taken = [_subnet(other.subnet) for other in self._store.networks.rows.values() if other.subnet]
        if any(subnet.overlaps(other) for other in taken):
            return  # never allocated, and nobody is told
        gateway = given.get("Gateway") or str(subnet[1])
        network = replace(network, subnet=str(subnet), gateway=gateway, vxlan=self._vxlans)
        self._vxlans += 1
        self._on_allocated(self._store.write_network(network))

    def _free_pool(self) -> ipaddress.IPv4Network:
        pool = ipaddress.IPv4Network((0x0A000000 + (self._pools << 8), 24))
        self._pools += 1
        return pool


class Contents:
    """Configs, or secrets."""

    def __init__(self, store: Store, table: Table[Content]) -> None:
        self._store = store
        self._table = table
        self._kind = table.kind

    def create(self, body: Json) -> str:
        data, name = _decoded(body.get("Data") or ""), body.get("Name") or ""
        validation.check_content(self._kind, name, 1 if self._has_driver(body) and not data else len(data))
        if self._has_driver(body):
            raise rpc("Unknown", f'plugin "{body["Driver"].get("Name", "")}" not found')
        if self._table.by_name(name) is not None:
            raise rpc("AlreadyExists", f"{self._kind.value} {name} already exists")
        spec: dict[str, Any] = {"Name": name, "Labels": dict(body.get("Labels") or {})}
        if data:
            spec["Data"] = base64.b64encode(data).decode()
        if body.get("Templating"):
            spec["Templating"] = body["Templating"]
        return self._store.write_content(Content(id=self._store.new_id(), spec=spec, kind=self._kind)).id

    def update(self, reference: str, version: int, body: Json) -> None:
        """Replace the labels; anything else that differs is refused."""
        current = self.get(reference)
        data = _decoded(body.get("Data") or "")
        name = body.get("Name") or ""
        if name != current.name or (data and data != _decoded(current.spec.get("Data", ""))):
            raise invalid("only updates to Labels are allowed")
        if version != current.version:
            raise out_of_sequence()
        self._store.write_content(replace(current, spec={**current.spec, "Labels": dict(body.get("Labels") or {})}))

    def remove(self, reference: str) -> None:
        content = self.get(reference)
        users = self._store.users(content.id)
        if users:
            word = "service" if len(users) == 1 else "services"
            names = ", ".join(service.name for service in users)
            raise invalid(f"{self._kind.value} '{content.name}' is in use by the following {word}: {names}")
        self._store.drop(self._table, content)

    def get(self, reference: str) -> Content:
        content = self._table.get(reference)
        if content is None:
            raise not_found(self._kind.value, reference)
        return content

    def _has_driver(self, body: Json) -> bool:
        return self._kind is ObjectKind.SECRET and bool(body.get("Driver"))


class Nodes:
    def __init__(self, store: Store, on_written: Callable[[Node], None]) -> None:
        self._store = store
        self._on_written = on_written

    def update(self, reference: str, version: int, body: Json) -> None:
        node = self.get(reference)
        role, availability = body.get("Role") or "", body.get("Availability") or ""
        if role not in ("manager", "worker"):
            raise RefusalError(400, f'invalid Role: "{role}"')
        if availability not in ("active", "pause", "drain"):
            raise RefusalError(400, f'invalid Availability: "{availability}"')
        managers = [other for other in self._store.nodes.rows.values() if other.spec["Role"] == "manager"]
        if role == "worker" and managers == [node]:
            raise rpc("FailedPrecondition", "attempting to demote the last manager of the swarm")
        if version != node.version:
            raise out_of_sequence()
        spec = {"Labels": dict(body.get("Labels") or {}), "Role": role, "Availability": availability}
        self.write(replace(node, spec=spec))

    def write(self, node: Node) -> Node:
        """Store a node and let the Swarm react to it."""
        node = self._store.write_node(node)
        self._on_written(node)
        return node

    def remove(self, reference: str) -> None:
        node = self.get(reference)
        if node.spec["Role"] == "manager":
            rest = "is a cluster manager and is a member of the raft cluster. It must be demoted to worker before removal"
            raise rpc("FailedPrecondition", f"node {node.id} {rest}")
        if node.state != "down":
            raise rpc("FailedPrecondition", f"node {node.id} is not down and can't be removed")
        self._store.drop(self._store.nodes, node)

    def get(self, reference: str) -> Node:
        node = self._store.nodes.get(reference)
        if node is None:
            raise not_found("node", reference)
        return node


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise RefusalError(400, "illegal base64 data at input byte 0") from error


def _subnet(text: str) -> ipaddress.IPv4Network:
    try:
        return ipaddress.IPv4Network(text, strict=False)
    except ValueError as error:
        raise RefusalError(500, f"Invalid subnet {text} : invalid CIDR address: {text}") from error
