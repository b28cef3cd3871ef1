"""The container part of a ServiceSpec as fields in the stack file's words."""

from __future__ import annotations

from typing import Any

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

_PLAIN = {  # field of the API -> key of the stack file, where unset and absent are the same
    "Image": "image",
    "Hostname": "hostname",
    "Dir": "working_dir",
    "User": "user",
    "StopSignal": "stop_signal",
    "TTY": "tty",
    "OpenStdin": "stdin_open",
    "ReadOnly": "read_only",
    "OomScoreAdj": "oom_score_adj",
}
_SEQUENCES = {"Command": "entrypoint", "Args": "command", "Hosts": "extra_hosts"}  # order matters
_SETS = {"CapabilityAdd": "cap_add", "CapabilityDrop": "cap_drop"}
_ELSEWHERE = {
    "Env", "Labels", "Mounts", "Healthcheck", "StopGracePeriod", "Secrets", "Configs", "Privileges", "Isolation", "Init",
    "Sysctls", "Ulimits", "DNSConfig",
}  # fmt: skip
_KNOWN = frozenset(_PLAIN.keys() | _SEQUENCES.keys() | _SETS.keys() | _ELSEWHERE)
_MOUNT_OPTIONS = ("BindOptions", "VolumeOptions", "TmpfsOptions", "ImageOptions")


def container_fields(value: Any, context: Context) -> Fields:
    """The fields of a ContainerSpec; only those that are set."""
    spec: Json = value or {}
    fields = set_only((name, spec.get(key)) for key, name in _PLAIN.items())
    fields |= set_only((name, tuple(spec.get(key) or ())) for key, name in _SEQUENCES.items())
    fields |= set_only((name, tuple(sorted(set(spec.get(key) or ())))) for key, name in _SETS.items())
    fields |= _environment(spec)
    fields |= label_fields("labels", spec.get("Labels"))
    fields |= label_fields("sysctls", spec.get("Sysctls"))
    fields |= {f"ulimits.{item['Name']}": (item.get("Soft", 0), item.get("Hard", 0)) for item in spec.get("Ulimits") or ()}
    fields |= _healthcheck(spec.get("Healthcheck") or {}, context)
    fields |= {f"volumes.{mount.get('Target', '')}": _mount(mount, context) for mount in spec.get("Mounts") or ()}
    fields |= _references(spec)
    fields |= _privileges(spec.get("Privileges") or {}, context)
    fields |= _dns(spec.get("DNSConfig") or {})
    grace = spec.get("StopGracePeriod")
    fields["stop_grace_period"] = 10 * SECOND if grace is None else grace
    fields["isolation"] = spec.get("Isolation") or "default"
    if spec.get("Init") is not None:  # three states: docker's default, on, off
        fields["init"] = spec["Init"]
    return fields | {f"ContainerSpec.{key}": item for key, item in unknown(spec, _KNOWN)}


def _environment(spec: Json) -> Fields:
    fields: Fields = {}
    for entry in spec.get("Env") or ():
        name, equals, text = entry.partition("=")
        fields[f"environment.{name}"] = text if equals else None
    return fields


def _healthcheck(check: Json, context: Context) -> Fields:
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


def _references(spec: Json) -> Fields:
    """Configs and secrets by where they are mounted: another name there is another version of the content."""
    fields: Fields = {}
    for kind, name_key in (("Secrets", "SecretName"), ("Configs", "ConfigName")):
        for reference in spec.get(kind) or ():
            file = reference.get("File")
            place = file.get("Name", "") if file else "(runtime)"
            rights = (file.get("UID") or "0", file.get("GID") or "0", file.get("Mode", 0)) if file else ()
            fields[f"{kind.lower()}.{place}"] = (reference.get(name_key), *rights)
    return fields


def _privileges(privileges: Json, context: Context) -> Fields:
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


def _dns(dns: Json) -> Fields:
    return set_only(
        (
            ("dns", tuple(dns.get("Nameservers") or ())),
            ("dns_search", tuple(dns.get("Search") or ())),
            ("dns_opt", tuple(dns.get("Options") or ())),
        )
    )
