"""The ContainerSpec of a service: what runs, as the API says it."""

from __future__ import annotations

from typing import Any

from controller.model.spec import Json, symbolic_id
from controller.stackfile.capabilities import effective_capabilities
from controller.stackfile.contents import refer
from controller.stackfile.images import familiar
from controller.stackfile.mounts import convert_mount
from controller.stackfile.networks import real_name
from controller.stackfile.problems import Path
from controller.stackfile.stack import Stack
from controller.stackfile.tree import Data

# What is sent as it stands in the file, unless it is empty.
_LITERAL = {
    "Command": "entrypoint",
    "Args": "command",
    "Hostname": "hostname",
    "Dir": "working_dir",
    "User": "user",
    "StopSignal": "stop_signal",
    "TTY": "tty",
    "OpenStdin": "stdin_open",
    "ReadOnly": "read_only",
    "Isolation": "isolation",
    "Sysctls": "sysctls",
}
_HEALTH = {
    "Test": "test",
    "Interval": "interval",
    "Timeout": "timeout",
    "StartPeriod": "start_period",
    "StartInterval": "start_interval",
    "Retries": "retries",
}


def pick(source: Data, fields: dict[str, str]) -> dict[str, Any]:
    """The API's fields of those keys that have a value other than a zero."""
    return {field: source[key] for field, key in fields.items() if source.get(key)}


def convert_container(key: str, service: Data, stack: Stack) -> Json:
    path: Path = ("services", key)
    spec: dict[str, Any] = {
        "Image": _image(service, path, stack),
        "Labels": stack.namespace.label(service.get("labels")),
        **pick(service, _LITERAL),
        "Privileges": {
            "CredentialSpec": _credential_spec(service.get("credential_spec", {}), path, stack),
            "NoNewPrivileges": False,
            "SELinuxContext": None,
        },
    }
    for field in ("init", "stop_grace_period"):
        if field in service:
            spec["Init" if field == "init" else "StopGracePeriod"] = service[field]
    if environment := service.get("environment"):
        spec["Env"] = sorted(name if value is None else f"{name}={value}" for name, value in environment.items())
    if "healthcheck" in service:
        spec["Healthcheck"] = _healthcheck(service["healthcheck"], path, stack)
    added, dropped = effective_capabilities(service.get("cap_add", ()), service.get("cap_drop", ()))
    ulimits = service.get("ulimits", {})
    parts = {
        "Hosts": [_host(entry) for entry in service.get("extra_hosts", ())],
        "DNSConfig": pick(service, {"Nameservers": "dns", "Search": "dns_search"}),
        "Mounts": _mounts(service, path, stack),
        "Secrets": refer("secrets", service, path, stack),
        "Configs": _configs(service, path, stack),
        "CapabilityAdd": added,
        "CapabilityDrop": dropped,
        "Ulimits": [{"Name": name, "Hard": ulimits[name]["hard"], "Soft": ulimits[name]["soft"]} for name in sorted(ulimits)],
    }
    return {**spec, **{field: value for field, value in parts.items() if value}}


def _image(service: Data, path: Path, stack: Stack) -> str:
    image: str = service.get("image", "")
    if not image:
        stack.findings.error((*path, "image"), "is required: Swarm builds nothing")
        return image
    try:
        return familiar(image)
    except ValueError as error:
        stack.findings.error((*path, "image"), str(error))
        return image


def _host(entry: str) -> str:
    name, _, address = entry.partition(":")
    return f"{address} {name}"


def _healthcheck(healthcheck: Data, path: Path, stack: Stack) -> Json:
    if not healthcheck.get("disable"):
        return pick(healthcheck, _HEALTH)
    if healthcheck.get("test"):
        stack.findings.error((*path, "healthcheck", "disable"), "contradicts the test beside it")
    return {"Test": ["NONE"]}


def _mounts(service: Data, path: Path, stack: Stack) -> list[Json]:
    mounts = []
    for index, mount in enumerate(service.get("volumes", ())):
        try:
            mounts.append(convert_mount(mount, stack.volumes, stack.namespace))
        except ValueError as error:
            place = (*path, "volumes", stack.item(index, mount.get("target", "")))
            stack.findings.error(place, str(error))
    return mounts


def _credential_spec(wanted: Data, path: Path, stack: Stack) -> Json | None:
    given = [kind for kind in ("config", "file", "registry") if wanted.get(kind)]
    if not given:
        return None
    if len(given) > 1:
        stack.findings.error((*path, "credential_spec"), f"takes one of {' and '.join(given)}, not both")
    config = symbolic_id(real_name(wanted["config"], stack.configs, stack.namespace)) if wanted.get("config") else ""
    return {"Config": config, "File": wanted.get("file", ""), "Registry": wanted.get("registry", "")}


def _configs(service: Data, path: Path, stack: Stack) -> list[Json]:
    references = refer("configs", service, path, stack)
    credential = service.get("credential_spec", {}).get("config")
    if not credential:
        return references
    name = real_name(credential, stack.configs, stack.namespace)
    if credential not in stack.configs:
        stack.findings.error((*path, "credential_spec", "config"), f"there is no config {credential!r} in this stack")
    elif name not in (credential, stack.namespace.scope(credential)):
        stack.findings.error((*path, "credential_spec", "config"), f"docker finds {credential!r} only without a name of its own")
    runtime = {"ConfigID": symbolic_id(name), "ConfigName": name, "Runtime": {}}
    return sorted([*references, runtime], key=lambda entry: str(entry["ConfigName"]))
