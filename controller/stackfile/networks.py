"""Networks: the create calls of a stack, and how a service is attached to them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from controller.model.spec import DesiredNetwork, Json
from controller.stackfile.names import Namespace
from controller.stackfile.tree import Data

DEFAULT = "default"
_WITHOUT_ALIASES = frozenset(("bridge", "default", "host", "none"))


def real_name(key: str, declared: Mapping[str, Data], namespace: Namespace) -> str:
    """The name in the Swarm: as given, or scoped by the stack."""
    name: str = declared.get(key, {}).get("name") or namespace.scope(key)
    return name


def used_networks(services: Iterable[Data]) -> set[str]:
    """Keys of the networks that services name; `default` for those that name none."""
    return {key for service in services for key in service.get("networks") or (DEFAULT,)}


def convert_networks(keys: Iterable[str], declared: Mapping[str, Data], namespace: Namespace) -> dict[str, DesiredNetwork]:
    """The networks that a deployment needs, by real name."""
    result = {}
    for key in sorted(keys):
        network = declared.get(key, {})
        name = real_name(key, declared, namespace)
        external = bool(network.get("external", {}).get("external"))
        body = {} if external else _create_body(name, network, namespace)
        result[name] = DesiredNetwork(name=name, external=external, body=body)
    return result


def _create_body(name: str, network: Data, namespace: Namespace) -> Json:
    return {
        "Name": name,
        "Labels": namespace.label(network.get("labels")),
        "Driver": network.get("driver") or "overlay",
        "Options": network.get("driver_opts"),
        "Internal": network.get("internal", False),
        "Attachable": network.get("attachable", False),
        "IPAM": _ipam(network.get("ipam", {})),
        "Scope": "",
        "Ingress": False,
        "ConfigOnly": False,
        "ConfigFrom": None,
    }


def _ipam(ipam: Data) -> Json | None:
    pools = ipam.get("config") or []
    if not ipam.get("driver") and not pools:
        return None
    config = [{"Subnet": pool["subnet"]} if pool.get("subnet") else {} for pool in pools]
    return {"Driver": ipam.get("driver", ""), "Options": None, "Config": config}


def attach(
    service_key: str, networks: Mapping[str, Data | None], declared: Mapping[str, Data], namespace: Namespace
) -> list[Json]:
    """A service's attachments, sorted by target; the service's key is the last alias of each."""
    attachments = []
    for key, options in (networks or {DEFAULT: None}).items():
        target = real_name(key, declared, namespace)
        aliases = list((options or {}).get("aliases", ()))
        if target not in _WITHOUT_ALIASES and not target.startswith("container:"):
            aliases.append(service_key)
        attachment: dict[str, object] = {"Target": target}
        if aliases:
            attachment["Aliases"] = aliases
        if options and options.get("driver_opts"):
            attachment["DriverOpts"] = options["driver_opts"]
        attachments.append(attachment)
    return sorted(attachments, key=lambda attachment: str(attachment["Target"]))
