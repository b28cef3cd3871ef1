"""The container part of a ServiceSpec as fields in the stack file's words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from controller.core.values import (
    SECOND,
    START_INTERVAL_SINCE,
    SUBPATH_SINCE,
    Context,
    Fields,
    label_fields,
    pruned,
    set_only,
    unknown,
)
from controller.model.spec import Json

Reader: TypeAlias = Callable[[Any, Context], Fields]  # of the value of one key

_MOUNT_OPTIONS = ("BindOptions", "VolumeOptions", "TmpfsOptions", "ImageOptions")


def container_fields(value: Any, context: Context) -> Fields:
    """The fields of a ContainerSpec; each comes from one key of it, and only those that are set are there."""
    fields: Fields = {"stop_grace_period": 10 * SECOND, "isolation": "default"}
    for key, item in (value or {}).items():
        read = _READERS.get(key)
        if read is not None:
            fields |= read(item, context)
        elif pruned(item):  # no stack file can say it, but somebody may have set it: it counts as drift
            fields[f"ContainerSpec.{key}"] = pruned(item)
    return fields


def _plain(name: str) -> Reader:
    """A field where unset and absent are the same."""
    return lambda value, _: {name: value} if value else {}


def _given(name: str) -> Reader:
    """A field of which only null means absent."""
    return lambda value, _: {} if value is None else {name: value}


def _sequence(name: str) -> Reader:
    """A list whose order matters."""
    return lambda value, _: {name: tuple(value)} if value else {}


def _set(name: str) -> Reader:
    """A list whose order and repetitions mean nothing."""
    return lambda value, _: {name: tuple(sorted(set(value)))} if value else {}


def _labels(prefix: str) -> Reader:
    return lambda value, _: label_fields(prefix, value)


def _environment(value: Any, _: Context) -> Fields:
    fields: Fields = {}
    for entry in value or ():
        name, equals, text = entry.partition("=")
        fields[f"environment.{name}"] = text if equals else None
    return fields


def _ulimits(value: Any, _: Context) -> Fields:
    return {f"ulimits.{item['Name']}": (item.get("Soft", 0), item.get("Hard", 0)) for item in value or ()}


def _healthcheck(value: Any, context: Context) -> Fields:
    check: Json = value or {}
    interval = check.get("StartInterval") if context.api_version >= START_INTERVAL_SINCE else None
    return set_only(
        (
            ("healthcheck.test", tuple(check.get("Test") or ())),
            ("healthcheck.interval", check.get("Interval")),
            ("healthcheck.timeout", check.get("Timeout")),
            ("healthcheck.start_period", check.get("StartPeriod")),
            ("healthcheck.start_interval", interval),
            ("healthcheck.retries", check.get("Retries")),
        )
    )


def _mounts(value: Any, context: Context) -> Fields:
    return {f"volumes.{mount.get('Target', '')}": _mount(mount, context) for mount in value or ()}


def _mount(mount: Json, context: Context) -> tuple[Any, ...]:
    options = {key: pruned(mount.get(key) or {}) for key in _MOUNT_OPTIONS}
    if context.api_version < SUBPATH_SINCE:
        options["VolumeOptions"].pop("Subpath", None)
    return (
        mount.get("Type") or "bind",  # what the daemon makes of a mount without a type
        mount.get("Source") or "",
        bool(mount.get("ReadOnly")),
        {key: body for key, body in options.items() if body},
    )


def _references(kind: str, name_key: str) -> Reader:
    """Configs or secrets by where they are mounted: another name there is another version of the content."""

    def fields(value: Any, _: Context) -> Fields:
        found: Fields = {}
        for reference in value or ():
            file = reference.get("File")
            place = file.get("Name", "") if file else "(runtime)"
            rights = (file.get("UID") or "0", file.get("GID") or "0", file.get("Mode", 0)) if file else ()
            found[f"{kind}.{place}"] = (reference.get(name_key), *rights)
        return found

    return fields


def _privileges(value: Any, context: Context) -> Fields:
    privileges: Json = value or {}
    credential = privileges.get("CredentialSpec") or {}
    config = credential.get("Config") or ""
    fields = set_only(
        (
            ("credential_spec.config", context.configs.get(config, config.removeprefix("id:"))),
            ("credential_spec.file", credential.get("File")),
            ("credential_spec.registry", credential.get("Registry")),
        )
    )
    return fields | {f"Privileges.{key}": item for key, item in unknown(privileges, frozenset({"CredentialSpec"}))}


def _dns(value: Any, _: Context) -> Fields:
    dns: Json = value or {}
    return set_only(
        (
            ("dns", tuple(dns.get("Nameservers") or ())),
            ("dns_search", tuple(dns.get("Search") or ())),
            ("dns_opt", tuple(dns.get("Options") or ())),
        )
    )


_READERS: Mapping[str, Reader] = {
    "Image": _plain("image"),
    "Hostname": _plain("hostname"),
    "Dir": _plain("working_dir"),
    "User": _plain("user"),
    "StopSignal": _plain("stop_signal"),
    "TTY": _plain("tty"),
    "OpenStdin": _plain("stdin_open"),
    "ReadOnly": _plain("read_only"),
    "OomScoreAdj": _plain("oom_score_adj"),
    "Isolation": _plain("isolation"),
    "Init": _given("init"),  # three states: docker's default, on, off
    "StopGracePeriod": _given("stop_grace_period"),
    "Command": _sequence("entrypoint"),
    "Args": _sequence("command"),
    "Hosts": _sequence("extra_hosts"),
    "CapabilityAdd": _set("cap_add"),
    "CapabilityDrop": _set("cap_drop"),
    "Labels": _labels("labels"),
    "Sysctls": _labels("sysctls"),
    "Env": _environment,
    "Ulimits": _ulimits,
    "Healthcheck": _healthcheck,
    "Mounts": _mounts,
    "Secrets": _references("secrets", "SecretName"),
    "Configs": _references("configs", "ConfigName"),
    "Privileges": _privileges,
    "DNSConfig": _dns,
}
