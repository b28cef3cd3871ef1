"""A service as the API's ServiceSpec, field by field as docker's client fills it."""

from __future__ import annotations

import re
from typing import Any

from controller.model.spec import IMAGE_LABEL, Json
from controller.stackfile.container import convert_container, pick
from controller.stackfile.networks import DEFAULT, attach
from controller.stackfile.problems import Path
from controller.stackfile.stack import Stack
from controller.stackfile.tree import Data
from controller.stackfile.units import parse_cpus

_RESTART = re.compile(r"(no|always|unless-stopped|on-failure)?(?::([0-9]{1,18}))?")
_MODES = {
    "": "Replicated",
    "replicated": "Replicated",
    "global": "Global",
    "replicated-job": "ReplicatedJob",
    "global-job": "GlobalJob",
}


def convert_service(key: str, service: Data, stack: Stack) -> Json:
    """The body of the create call; problems go to the stack's findings."""
    path: Path = ("services", key)
    deploy = service.get("deploy") or {}
    body: dict[str, Any] = {
        "Name": stack.namespace.scope(key),
        "Labels": {**stack.namespace.label(deploy.get("labels")), IMAGE_LABEL: service.get("image", "")},
        "TaskTemplate": _task(key, service, deploy, stack),
        "Mode": _mode(deploy, path, stack),
        "EndpointSpec": _endpoint(deploy, service),
    }
    for field, name in (("UpdateConfig", "update_config"), ("RollbackConfig", "rollback_config")):
        if name in deploy:
            body[field] = _update_config(deploy[name])
    return body


def _task(key: str, service: Data, deploy: Data, stack: Stack) -> Json:
    path: Path = ("services", key)
    task: dict[str, Any] = {
        "ContainerSpec": convert_container(key, service, stack),
        "Resources": _resources(deploy.get("resources", {})),
        "Placement": _placement(deploy.get("placement", {})),
        "Networks": _networks(key, service, stack),
        "ForceUpdate": 0,
    }
    if "logging" in service:
        task["LogDriver"] = pick(service["logging"], {"Name": "driver", "Options": "options"})
    policy = _restart_policy(service.get("restart", ""), deploy, path, stack)
    if policy is not None:
        task["RestartPolicy"] = policy
    return task


def _networks(key: str, service: Data, stack: Stack) -> list[Json]:
    networks = service.get("networks") or {}
    for name in networks:
        if name not in stack.networks and name != DEFAULT:
            stack.findings.error(("services", key, "networks", name), f"there is no network {name!r} in this stack")
    return attach(key, networks, stack.networks, stack.namespace)


def _mode(deploy: Data, path: Path, stack: Stack) -> Json:
    word, replicas = deploy.get("mode", ""), deploy.get("replicas")
    mode = _MODES.get(word)
    if mode is None:
        stack.findings.error((*path, "deploy", "mode"), f"{word!r} is no mode; it is {', '.join(filter(None, _MODES))}")
        return {}
    if replicas is None:
        return {mode: {}}
    if mode in ("Global", "GlobalJob"):
        stack.findings.error((*path, "deploy", "replicas"), f"means nothing in the mode {word}")
    if mode == "ReplicatedJob":
        return {mode: {"MaxConcurrent": replicas, "TotalCompletions": replicas}}
    return {mode: {"Replicas": replicas}}


def _endpoint(deploy: Data, service: Data) -> Json:
    endpoint: dict[str, Any] = {}
    if deploy.get("endpoint_mode"):
        endpoint["Mode"] = deploy["endpoint_mode"].lower()
    fields = {"Protocol": "protocol", "TargetPort": "target", "PublishedPort": "published", "PublishMode": "mode"}
    ports = [pick(port, fields) for port in service.get("ports", ())]
    if ports:
        endpoint["Ports"] = sorted(ports, key=_port_order)
    return endpoint


def _port_order(port: Json) -> tuple[int, int, str, str]:
    return port.get("PublishedPort", 0), port.get("TargetPort", 0), port.get("Protocol", ""), port.get("PublishMode", "")


def _update_config(config: Data) -> Json:
    return {
        "Parallelism": config.get("parallelism", 1),
        **pick(config, {"Delay": "delay", "FailureAction": "failure_action", "Monitor": "monitor"}),
        "MaxFailureRatio": config.get("max_failure_ratio", 0),
        "Order": config.get("order", ""),
    }


def _resources(resources: Data) -> Json:
    result: dict[str, Any] = {}
    if "limits" in resources:
        result["Limits"] = _amounts(resources["limits"])
    if "reservations" in resources:
        result["Reservations"] = _amounts(resources["reservations"])
        if generic := resources["reservations"].get("generic_resources"):
            result["Reservations"]["GenericResources"] = [_generic(entry) for entry in generic]
    return result


def _amounts(amounts: Data) -> dict[str, Any]:
    result = pick(amounts, {"MemoryBytes": "memory", "Pids": "pids"})
    if nano := parse_cpus(amounts.get("cpus", "")):
        result["NanoCPUs"] = nano
    return result


def _generic(entry: Data) -> Json:
    spec = entry.get("discrete_resource_spec")
    return {} if spec is None else {"DiscreteResourceSpec": pick(spec, {"Kind": "kind", "Value": "value"})}


def _placement(placement: Data) -> Json:
    result = pick(placement, {"Constraints": "constraints", "MaxReplicas": "max_replicas_per_node"})
    if preferences := placement.get("preferences"):
        result["Preferences"] = [{"Spread": {"SpreadDescriptor": entry.get("spread", "")}} for entry in preferences]
    return result


def _restart_policy(legacy: str, deploy: Data, path: Path, stack: Stack) -> Json | None:
    """`deploy.restart_policy`, or failing that what the older key `restart` says."""
    if "restart_policy" in deploy:
        policy = deploy["restart_policy"]
        fields = {"Delay": "delay", "MaxAttempts": "max_attempts", "Window": "window"}
        return {
            **pick(policy, {"Condition": "condition"}),
            **{field: policy[key] for field, key in fields.items() if key in policy},
        }
    match = _RESTART.fullmatch(legacy)
    word, attempts = (match[1], match[2]) if match else (None, None)
    if legacy and (word is None or (attempts and word != "on-failure")):
        stack.findings.error((*path, "restart"), f"{legacy!r} is none of no, always, unless-stopped, on-failure, on-failure:N")
    if word in ("always", "unless-stopped"):
        return {"Condition": "any"}
    return {"Condition": "on-failure", "MaxAttempts": int(attempts or 0)} if word == "on-failure" else None
