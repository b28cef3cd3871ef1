"""What the manager refuses, in its own words. Texts and statuses were read off a real engine (20.10)."""

from __future__ import annotations

import re
from collections.abc import Iterable

from controller.model.plan import ObjectKind
from controller.model.spec import Json
from controller.simulator import placement
from controller.simulator.records import Content, Service
from controller.simulator.refusals import RefusalError, invalid, rpc
from controller.simulator.store import Store

_SERVICE_NAME = re.compile(r"^[a-zA-Z0-9]([-_]*[A-Za-z0-9]+)*$")
_CONTENT_NAME = re.compile(r"^[a-zA-Z0-9]+(?:[a-zA-Z0-9-_.]*[a-zA-Z0-9])?$")
_IMAGE = re.compile(
    r"^(?:(?:[a-zA-Z0-9-]+(?:\.[a-zA-Z0-9-]+)+|localhost|[a-zA-Z0-9-]+(?=:\d+/))(?::\d+)?/)?"
    r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*"
    r"(?::[\w][\w.-]{0,127})?(?:@[A-Za-z0-9+.\-_]+:[0-9a-fA-F]{32,})?$"
)
_BARE_ID = re.compile(r"^[0-9a-f]{64}$")
_LEAST_MEMORY, _LEAST_CPU = 4 << 20, 1_000_000
_MILLISECOND = 1_000_000
_MOST_BYTES = {ObjectKind.CONFIG: 1_024_000, ObjectKind.SECRET: 512_000}


def check_service(store: Store, spec: Json, *, current: Service | None) -> None:
    """Raise the first objection of the manager to a complete spec; `current` is the service that it updates."""
    check_name(spec["Name"])
    template = spec["TaskTemplate"]
    _check_resources(template.get("Resources") or {})
    _check_restart_policy(template.get("RestartPolicy") or {})
    for text in (template.get("Placement") or {}).get("Constraints", ()):
        placement.parse(text)
    _check_container(template["ContainerSpec"])
    _check_endpoint(spec.get("EndpointSpec") or {})
    _check_update_configs(spec)
    if current is None or current.spec.get("EndpointSpec") != spec.get("EndpointSpec"):
        _check_port_conflicts(store, spec, current)
    _check_references(store, template["ContainerSpec"])


def check_name(name: str) -> None:
    if name and not _SERVICE_NAME.match(name):
        raise invalid("name must be valid as a DNS name component")
    if len(name) > 63:
        raise invalid("name must be 63 characters or fewer")


def check_content(kind: ObjectKind, name: str, size: int) -> None:
    if not name:
        raise invalid("name must be provided")
    if len(name) > 64 or not _CONTENT_NAME.match(name):
        limits = "only 64 [a-zA-Z0-9-_.] characters allowed, and the start and end character must be [a-zA-Z0-9]"
        raise invalid(f"invalid name, {limits}")
    most = _MOST_BYTES[kind]
    if not 0 < size < most:
        raise invalid(f"{kind.value} data must be larger than 0 and less than {most} bytes")


def check_mode_and_name(spec: Json, current: Service) -> None:
    if spec["Name"] != current.name:
        raise rpc("Unimplemented", "renaming services is not supported")
    if set(spec["Mode"]) != set(current.spec["Mode"]):
        raise rpc("Unimplemented", "service mode change is not allowed")


def is_image_reference(image: str) -> bool:
    return bool(_IMAGE.match(image)) and not _BARE_ID.match(image)


def _check_resources(resources: Json) -> None:
    for part in ("Limits", "Reservations"):
        values = resources.get(part) or {}
        cpu, memory = values.get("NanoCPUs", 0), values.get("MemoryBytes", 0)
        if cpu and cpu < _LEAST_CPU:
            raise invalid(f"invalid cpu value {_go_float(cpu / 1e9)}: Must be at least 0.001")
        if memory and memory < _LEAST_MEMORY:
            raise invalid(f"invalid memory value {memory}: Must be at least 4MiB")


def _check_restart_policy(policy: Json) -> None:
    for key in ("Delay", "Window"):
        if (policy.get(key) or 0) < 0:
            raise invalid(f"TaskSpec: restart-{key.lower()} cannot be negative")


def _check_container(container: Json) -> None:
    image = container["Image"]
    if not image:
        raise invalid("ContainerSpec: image reference must be provided")
    if not is_image_reference(image):
        raise invalid(f'ContainerSpec: "{image}" is not a valid repository/tag')
    check = container.get("Healthcheck") or {}
    for key in ("Interval", "Timeout", "StartPeriod", "StartInterval"):
        if check.get(key, 0) and check[key] < _MILLISECOND:
            raise invalid(f"ContainerSpec: {key} in HealthConfig cannot be less than 1ms")
    if check.get("Retries", 0) < 0:
        raise invalid("ContainerSpec: Retries in HealthConfig cannot be negative")
    targets = [mount.get("Target", "") for mount in container.get("Mounts", ())]
    for target in targets:
        if targets.count(target) > 1:
            raise invalid(f"ContainerSpec: duplicate mount point: {target}")


def _check_endpoint(endpoint: Json) -> None:
    ports = endpoint.get("Ports", ())
    if endpoint.get("Mode") == "dnsrr" and any(port["PublishMode"] == "ingress" for port in ports):
        raise invalid("EndpointSpec: port published with ingress mode can't be used with dnsrr mode")
    published = [(port["PublishedPort"], port["Protocol"], port["PublishMode"]) for port in ports if port.get("PublishedPort")]
    if len(set(published)) < len(published):
        raise invalid("EndpointSpec: duplicate published ports provided")


def _check_update_configs(spec: Json) -> None:
    if "UpdateConfig" in spec and not {"Replicated", "Global"} & set(spec["Mode"]):
        raise invalid("Jobs may not have an update config")
    update = spec.get("UpdateConfig") or {}
    if not 0 <= update.get("MaxFailureRatio", 0) <= 1:
        raise invalid("TaskSpec: update-maxfailureratio cannot be less than 0 or bigger than 1")
    for key, word in (("Delay", "delay"), ("Monitor", "monitor")):
        if update.get(key, 0) < 0:
            raise invalid(f"TaskSpec: update-{word} cannot be negative")


def _check_port_conflicts(store: Store, spec: Json, current: Service | None) -> None:
    """Ingress ports belong to one service; ports of the host may be shared among services that all take them there."""
    for port in (spec.get("EndpointSpec") or {}).get("Ports", ()):
        number = port.get("PublishedPort", 0)
        for service_id, mode in store.publishers(number, port["Protocol"]).items() if number else ():
            if (current is None or service_id != current.id) and "ingress" in (mode, port["PublishMode"]):
                owner = f"service '{store.services.rows[service_id].name}' ({service_id})"
                raise invalid(f"port '{number}' is already in use by {owner} as {_mode_words(mode)}")


def _mode_words(mode: str) -> str:
    return "an ingress port" if mode == "ingress" else "a host-published port"


def _check_references(store: Store, container: Json) -> None:
    for key, own, table in (("Secrets", "secret", store.secrets), ("Configs", "config", store.configs)):
        refs = container.get(key, ())
        _check_targets(refs, own)
        unknown = [ref for ref in refs if not _is_known(table.rows.get(ref[f"{own.title()}ID"]), ref[f"{own.title()}Name"])]
        if unknown:
            names = ", ".join(ref[f"{own.title()}Name"] for ref in unknown)
            raise invalid(f"{own}{'s' if len(unknown) > 1 else ''} not found: {names}")


def _check_targets(refs: Iterable[Json], own: str) -> None:
    seen: dict[str, str] = {}
    for ref in refs:
        name = ref[f"{own.title()}Name"]
        file = ref.get("File")
        if own == "secret" and file is None:
            raise invalid("malformed secret reference, no target provided")
        if not ref[f"{own.title()}ID"] or not name:
            raise invalid(f"malformed {own} reference")
        if file is None:
            continue
        target = file["Name"]
        if target in seen:
            raise invalid(f"{own} references '{seen[target]}' and '{name}' have a conflicting target: '{target}'")
        seen[target] = name


def _is_known(content: Content | None, name: str) -> bool:
    return content is not None and content.name == name


def _go_float(value: float) -> str:
    return f"{value:g}"


def bad_version(kind: ObjectKind, text: str) -> RefusalError:
    """The refusal of an update whose `version` is no number."""
    if kind is ObjectKind.SERVICE:
        fault = f'strconv.ParseUint: parsing "{text}": invalid syntax'
        return RefusalError(400, f"invalid service version '{text}': {fault}")
    return RefusalError(400, f"invalid {kind.value} version")
