"""Which nodes a task may run on, by the rules of swarmkit's scheduler (manager/scheduler/filter.go, manager/constraint).

Only what the API tells of a node is known here: what it has, not what others have taken of it. Where the API says nothing,
a node counts as fitting.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from controller.model.spec import Json

_KEY = re.compile(r"[a-z_][a-z0-9\-_.]+", re.IGNORECASE)
_VALUE = re.compile(r"[a-z0-9:\-_\s.*()?+\[\]\\^$|/]+", re.IGNORECASE)
_NODE_LABELS, _ENGINE_LABELS = "node.labels.", "engine.labels."
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_OWN_DRIVERS = {"Volume": ("", "local"), "Log": ("", "none")}  # need no plugin
_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Constraint:
    key: str
    is_equal: bool
    value: str

    def __str__(self) -> str:
        return f"{self.key} {'==' if self.is_equal else '!='} {self.value}"

    def is_met_by(self, node: Json) -> bool:
        """A key that nobody knows is met by no node; labels' names mind their case, everything else does not."""
        if self.key.lower() == "node.ip":
            return self._meets_address(node)
        values = _attributes(self.key, node)
        return any((value.lower() == self.value.lower()) is self.is_equal for value in values)

    def _meets_address(self, node: Json) -> bool:
        try:
            subnet = ipaddress.ip_network(self.value, strict=False)
        except ValueError:
            return False
        try:
            return (ipaddress.ip_address((node.get("Status") or {}).get("Addr", "")) in subnet) is self.is_equal
        except ValueError:
            return True  # the node has not said where it is


@dataclass(frozen=True, slots=True)
class Reservation:
    """An amount that must be free on the node of every task."""

    field: str  # in the stack file's words
    kind: str  # the API's name of it
    asked: int

    def stock(self, node: Json) -> int | None:
        """What the node has of it in all; None where it does not say."""
        resources: Json | None = (node.get("Description") or {}).get("Resources")
        if resources is None:
            return None
        if self.field.endswith("generic_resources"):
            return _generic_stock(self.kind, resources.get("GenericResources") or ())
        amount: int | None = resources.get(self.kind)
        return amount

    def room(self, node: Json) -> int | None:
        """How many tasks the node can hold if it holds nothing else."""
        stock = self.stock(node)
        return None if stock is None else stock // self.asked

    def told(self, amount: int) -> str:
        """An amount for people."""
        if self.kind == "NanoCPUs":
            return f"{amount / 1e9:g}"
        return f"{amount / _MIB:g} MiB" if self.kind == "MemoryBytes" else f"{amount} {self.kind}"


def is_available(node: Json) -> bool:
    """Whether the scheduler gives this node new tasks."""
    availability = (node.get("Spec") or {}).get("Availability")
    return (node.get("Status") or {}).get("State") == "ready" and availability == "active"


def constraints(placement: Json) -> tuple[Constraint, ...]:
    """Parsed, in their order; none if one cannot be read: then the manager itself refuses the spec."""
    found = [_parsed(text) for text in placement.get("Constraints") or ()]
    return tuple(item for item in found if item is not None) if None not in found else ()


def runs_on(platforms: Sequence[Json], node: Json) -> bool:
    """Whether an image built for these platforms runs there; `x86_64` is `amd64`, and what is not said fits."""
    own = (node.get("Description") or {}).get("Platform")
    return not platforms or own is None or any(_same_platform(platform, own) for platform in platforms)


def plugins(task: Json) -> tuple[tuple[str, str, str], ...]:
    """(stack-file field, kind, name) of the volume and log drivers that the nodes of a task must have."""
    mounts = (task.get("ContainerSpec") or {}).get("Mounts") or ()
    drivers = [(mount.get("VolumeOptions") or {}).get("DriverConfig") or {} for mount in mounts if mount.get("Type") == "volume"]
    needed = [("volumes", "Volume", driver.get("Name", "")) for driver in drivers]
    needed.append(("logging.driver", "Log", (task.get("LogDriver") or {}).get("Name", "")))
    return tuple(item for item in needed if item[2] not in _OWN_DRIVERS[item[1]])


def has_plugin(kind: str, name: str, node: Json) -> bool:
    """A node that lists no plugin of the kind has not said what it has."""
    listed = ((node.get("Description") or {}).get("Engine") or {}).get("Plugins") or ()
    names = [plugin.get("Name") for plugin in listed if plugin.get("Type") == kind]
    return not names or name in names or f"{name}:latest" in names


def reservations(task: Json) -> tuple[Reservation, ...]:
    asked = (task.get("Resources") or {}).get("Reservations") or {}
    place = "deploy.resources.reservations"
    found = [
        Reservation(f"{place}.cpus", "NanoCPUs", asked.get("NanoCPUs", 0)),
        Reservation(f"{place}.memory", "MemoryBytes", asked.get("MemoryBytes", 0)),
    ]
    for item in asked.get("GenericResources") or ():
        discrete = item.get("DiscreteResourceSpec") or {}
        found.append(Reservation(f"{place}.generic_resources", discrete.get("Kind", ""), discrete.get("Value", 0)))
    return tuple(item for item in found if item.asked)


def host_ports(spec: Json) -> frozenset[tuple[int, str]]:
    """The ports of its node that every task of a service takes for itself."""
    ports = (spec.get("EndpointSpec") or {}).get("Ports") or ()
    return frozenset(
        (port["PublishedPort"], port.get("Protocol") or "tcp")
        for port in ports
        if port.get("PublishMode") == "host" and port.get("PublishedPort")
    )


def _parsed(text: str) -> Constraint | None:
    operator = next((operator for operator in ("==", "!=") if operator in text), "")
    if not operator:
        return None
    key, value = (part.strip() for part in text.split(operator, 1))
    return Constraint(key, operator == "==", value) if _KEY.fullmatch(key) and _VALUE.fullmatch(value) else None


def _attributes(key: str, node: Json) -> tuple[str, ...]:
    """What the node has under a constraint's key: more than one value where the API does not say which of them counts."""
    spec, description = node.get("Spec") or {}, node.get("Description") or {}
    platform, word = description.get("Platform") or {}, key.lower()
    fixed = {
        "node.id": (node.get("ID", ""),),
        "node.hostname": (description.get("Hostname", ""),),
        # The role that is in force; during a promotion or demotion the API shows only the one that is wanted.
        "node.role": (spec.get("Role", ""), "manager" if node.get("ManagerStatus") else "worker"),
        "node.platform.os": (platform.get("OS", ""),),
        "node.platform.arch": (platform.get("Architecture", ""),),
    }
    for prefix, labels in ((_NODE_LABELS, spec.get("Labels")), (_ENGINE_LABELS, (description.get("Engine") or {}).get("Labels"))):
        if word.startswith(prefix) and len(key) > len(prefix):
            return ((labels or {}).get(key[len(prefix) :], ""),)
    return fixed.get(word, ())


def _same_platform(wanted: Json, own: Json) -> bool:
    architecture, system = _architecture(wanted), wanted.get("OS")
    return (not architecture or architecture == _architecture(own)) and (not system or system == own.get("OS"))


def _architecture(platform: Mapping[str, str]) -> str:
    name = platform.get("Architecture", "")
    return _ARCHITECTURES.get(name, name)


def _generic_stock(kind: str, resources: Sequence[Json]) -> int:
    """A counted resource's number, or how many named ones of the kind there are."""
    for item in resources:
        discrete = item.get("DiscreteResourceSpec") or {}
        if discrete.get("Kind") == kind:
            amount: int = discrete.get("Value", 0)
            return amount
    return sum((item.get("NamedResourceSpec") or {}).get("Kind") == kind for item in resources)
