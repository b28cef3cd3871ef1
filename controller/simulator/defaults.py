"""What the daemon makes of a spec: unknown fields lost, empty ones dropped, defaults filled in, names turned into ids.

The rules were read off a real engine (20.10) by posting specs and reading them back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from controller.model.spec import Json
from controller.simulator.refusals import RefusalError

ApiVersion = tuple[int, int]

_SIMPLE_CONTAINER_FIELDS = (
    "Labels", "Command", "Args", "Hostname", "Env", "Dir", "User", "Groups", "StopSignal", "TTY", "OpenStdin", "ReadOnly",
    "Hosts", "Sysctls", "CapabilityAdd", "CapabilityDrop", "Ulimits",
)  # fmt: skip
_CONDITIONS = ("any", "on-failure", "none")
_ACTIONS = ("pause", "continue", "rollback")
_ORDERS = ("stop-first", "start-first")
_MOUNT_TYPES = ("bind", "volume", "tmpfs", "npipe", "cluster")


def complete_service(body: Json, network_id: Callable[[str], str], *, api: ApiVersion) -> Json:
    """The spec as the engine stores and returns it. Raises RefusalError for words that the daemon does not know."""
    spec: dict[str, Any] = {"Name": body.get("Name") or "", "Labels": dict(body.get("Labels") or {})}
    spec["TaskTemplate"] = _template(body.get("TaskTemplate") or {}, body.get("Networks") or (), network_id, api)
    spec["Mode"] = _mode(body.get("Mode") or {}, api)
    for key in ("UpdateConfig", "RollbackConfig"):
        if body.get(key) is not None:
            spec[key] = _update_config(body[key])
    if body.get("EndpointSpec") is not None:
        spec["EndpointSpec"] = _endpoint(body["EndpointSpec"])
    return spec


def with_defaults(service: Json) -> Json:
    """A service as `?insertDefaults=true` shows it: also what is only implied."""
    spec = service["Spec"]
    template = spec["TaskTemplate"]
    container = {"StopGracePeriod": 10_000_000_000, "DNSConfig": {}, **template["ContainerSpec"]}
    restart = {"Condition": "any", "Delay": 5_000_000_000, "MaxAttempts": 0, **(template.get("RestartPolicy") or {})}
    update = {"FailureAction": "pause", "Monitor": 5_000_000_000, "MaxFailureRatio": 0, "Order": "stop-first"}
    filled = {
        **spec,
        "TaskTemplate": {"Resources": {}, "Placement": {}, **template, "ContainerSpec": container, "RestartPolicy": restart},
        "UpdateConfig": {**update, **(spec.get("UpdateConfig") or {"Parallelism": 1})},
        "RollbackConfig": {**update, **(spec.get("RollbackConfig") or {"Parallelism": 1})},
    }
    return {**service, "Spec": filled}


def compact(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Without the empty values, as Go's `omitempty` writes them."""
    return {key: value for key, value in fields.items() if value not in (None, "", 0, False, [], {}, ())}


def _template(body: Json, old_networks: Sequence[Json], network_id: Callable[[str], str], api: ApiVersion) -> Json:
    if body.get("Runtime") not in (None, "", "container"):
        raise RefusalError(400, "unsupported runtime")
    template: dict[str, Any] = {"ContainerSpec": _container(body.get("ContainerSpec") or {}, api)}
    if body.get("Resources") is not None:
        template["Resources"] = _resources(body["Resources"], api)
    if body.get("RestartPolicy") is not None:
        template["RestartPolicy"] = _restart_policy(body["RestartPolicy"])
    if body.get("Placement") is not None:
        template["Placement"] = _placement(body["Placement"], api)
    networks = body.get("Networks") or old_networks
    if networks:
        template["Networks"] = [_attachment(given, network_id) for given in networks]
    if body.get("LogDriver") is not None:
        template["LogDriver"] = compact({key: body["LogDriver"].get(key) for key in ("Name", "Options")})
    return template | {"ForceUpdate": body.get("ForceUpdate") or 0, "Runtime": "container"}


def _attachment(given: Json, network_id: Callable[[str], str]) -> Json:
    return {"Target": network_id(given["Target"]), **compact({key: given.get(key) for key in ("Aliases", "DriverOpts")})}


def _container(body: Json, api: ApiVersion) -> Json:
    container: dict[str, Any] = {"Image": body.get("Image") or ""}
    simple = compact({key: body.get(key) for key in _SIMPLE_CONTAINER_FIELDS})
    if api < (1, 41):
        simple = {key: simple[key] for key in simple if key not in ("CapabilityAdd", "CapabilityDrop", "Ulimits")}
    container |= simple
    if body.get("Privileges") is not None:
        container["Privileges"] = _privileges(body["Privileges"], api)
    container |= {key: body[key] for key in ("Init", "StopGracePeriod") if body.get(key) is not None}
    if body.get("Mounts"):
        container["Mounts"] = [_mount(mount, api) for mount in body["Mounts"]]
    if body.get("Healthcheck") is not None:
        fields = ["Test", "Interval", "Timeout", "StartPeriod", "Retries", *(["StartInterval"] if api >= (1, 44) else [])]
        container["Healthcheck"] = compact({key: body["Healthcheck"].get(key) for key in fields})
    if body.get("DNSConfig") is not None:
        container["DNSConfig"] = compact({key: body["DNSConfig"].get(key) for key in ("Nameservers", "Search", "Options")})
    for key, own in (("Secrets", "Secret"), ("Configs", "Config")):
        if body.get(key):
            container[key] = [_reference(ref, own) for ref in body[key]]
    isolation = body.get("Isolation")
    container["Isolation"] = isolation if isolation in ("process", "hyperv") else "default"
    if api >= (1, 46) and body.get("OomScoreAdj"):
        container["OomScoreAdj"] = body["OomScoreAdj"]
    return container


def _privileges(body: Json, api: ApiVersion) -> Json:
    known: dict[str, Any] = {"CredentialSpec": body.get("CredentialSpec"), "SELinuxContext": body.get("SELinuxContext")}
    if api >= (1, 44):
        known |= {"Seccomp": body.get("Seccomp"), "AppArmor": body.get("AppArmor")}
        known["NoNewPrivileges"] = bool(body.get("NoNewPrivileges"))
    return known


def _reference(ref: Json, own: str) -> Json:
    kept = {key: ref[key] for key in ("File", "Runtime") if ref.get(key) is not None}
    if own == "Config" and not kept:
        raise RefusalError(400, "invalid Config: either File or Runtime should be set")
    return {**kept, f"{own}ID": ref.get(f"{own}ID") or "", f"{own}Name": ref.get(f"{own}Name") or ""}


def _mount(mount: Json, api: ApiVersion) -> Json:
    kind = mount.get("Type") or "bind"
    if kind not in _MOUNT_TYPES or (kind == "cluster" and api < (1, 42)):
        raise RefusalError(400, f'invalid MountType: "{kind}"')
    made = {"Type": kind} | compact({key: mount.get(key) for key in ("Source", "Target", "ReadOnly")})
    if kind == "bind":
        made |= compact({"BindOptions": compact(mount.get("BindOptions") or {})})
    if mount.get("VolumeOptions") is not None:
        options = mount["VolumeOptions"]
        made["VolumeOptions"] = compact({key: options.get(key) for key in ("NoCopy", "Labels", "Subpath", "DriverConfig")})
    if mount.get("TmpfsOptions") is not None:
        made["TmpfsOptions"] = compact({key: mount["TmpfsOptions"].get(key) for key in ("SizeBytes", "Mode")})
    return made


def _resources(body: Json, api: ApiVersion) -> Json:
    made = {}
    for key in ("Limits", "Reservations"):
        if body.get(key) is not None:
            fields = ["NanoCPUs", "MemoryBytes", "Pids" if key == "Limits" and api >= (1, 41) else "GenericResources"]
            made[key] = compact({field: body[key].get(field) for field in fields})
    return made


def _restart_policy(body: Json) -> Json:
    condition = body.get("Condition") or "any"
    if condition not in _CONDITIONS:
        raise RefusalError(400, f'invalid RestartCondition: "{condition}"')
    made: dict[str, Any] = {"Condition": condition}
    if body.get("Delay") is not None:
        made["Delay"] = body["Delay"]
    made["MaxAttempts"] = body.get("MaxAttempts") or 0
    if body.get("Window") is not None:
        made["Window"] = body["Window"]
    return made


def _placement(body: Json, api: ApiVersion) -> Json:
    fields = ["Constraints", "Preferences", *(["MaxReplicas"] if api >= (1, 40) else []), "Platforms"]
    return compact({key: body.get(key) for key in fields})


def _mode(body: Json, api: ApiVersion) -> Json:
    given = {key: value for key, value in body.items() if value is not None}
    if len(given) > 1:
        raise RefusalError(400, "must specify only one service mode")
    if not given or "Replicated" in given:
        replicas = (given.get("Replicated") or {}).get("Replicas")
        if replicas is not None and replicas < 0:
            place = "Go struct field ReplicatedService.Mode.Replicated.Replicas of type uint64"
            raise RefusalError(400, f"json: cannot unmarshal number {replicas} into {place}")
        return {"Replicated": {"Replicas": 1 if replicas is None else replicas}}
    if "ReplicatedJob" in given and api >= (1, 41):
        concurrent = given["ReplicatedJob"].get("MaxConcurrent")
        total = given["ReplicatedJob"].get("TotalCompletions")
        concurrent = 1 if concurrent is None else concurrent
        return {"ReplicatedJob": {"MaxConcurrent": concurrent, "TotalCompletions": concurrent if total is None else total}}
    return {"GlobalJob": {}} if "GlobalJob" in given else {"Global": {}}


def _update_config(body: Json) -> Json:
    action, order = body.get("FailureAction") or "pause", body.get("Order") or "stop-first"
    if action not in _ACTIONS:
        raise RefusalError(400, f"unrecognized update failure action {action}")
    if order not in _ORDERS:
        raise RefusalError(400, f"unrecognized update order {order}")
    made = {"Parallelism": body.get("Parallelism") or 0, **compact({"Delay": body.get("Delay")}), "FailureAction": action}
    made |= compact({"Monitor": body.get("Monitor")})
    return made | {"MaxFailureRatio": body.get("MaxFailureRatio") or 0, "Order": order}


def _endpoint(body: Json) -> Json:
    mode = body.get("Mode") or "vip"
    if mode not in ("vip", "dnsrr"):
        raise RefusalError(400, f'invalid resolution mode: "{mode}"')
    made: dict[str, Any] = {"Mode": mode}
    if body.get("Ports"):
        made["Ports"] = [_port(port) for port in body["Ports"]]
    return made


def _port(port: Json) -> Json:
    protocol = port.get("Protocol") if port.get("Protocol") in ("tcp", "udp", "sctp") else "tcp"
    publish = "host" if port.get("PublishMode") == "host" else "ingress"
    made = compact({"Name": port.get("Name")}) | {"Protocol": protocol}
    return made | compact({key: port.get(key) for key in ("TargetPort", "PublishedPort")}) | {"PublishMode": publish}
