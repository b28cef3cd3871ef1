"""A ServiceSpec as fields in the stack file's words, so that two specs that mean the same are equal.

The daemon fills defaults, drops what it does not know and replaces names by ids (moby's convert package and swarmkit's
api/defaults); docker's client leaves defaults out. Both become the same mapping here, section by section of the spec.
Order is dropped where it carries no meaning: a list that somebody wrote in another order is no drift, and writing it
again would restart every task for nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any

from controller.core.container import container_fields
from controller.core.values import SECOND, Context, Fields, label_fields, pruned, set_only, single_precision, unknown
from controller.model.spec import Json


class Section(Enum):
    """The parts of a ServiceSpec that are written as a whole, by their path in it."""

    LABELS = ("Labels",)
    MODE = ("Mode",)
    UPDATE = ("UpdateConfig",)
    ROLLBACK = ("RollbackConfig",)
    ENDPOINT = ("EndpointSpec",)
    CONTAINER = ("TaskTemplate", "ContainerSpec")
    RESOURCES = ("TaskTemplate", "Resources")
    RESTART = ("TaskTemplate", "RestartPolicy")
    PLACEMENT = ("TaskTemplate", "Placement")
    NETWORKS = ("TaskTemplate", "Networks")
    LOGGING = ("TaskTemplate", "LogDriver")
    TASK = ("TaskTemplate",)  # what else a task template may hold

    def __init__(self, *path: str) -> None:
        self.key = path[-1]
        self.is_in_task = len(path) > 1

    def of(self, spec: Json) -> Any:
        """The section's raw value in a spec, None if it is absent."""
        holder = (spec.get("TaskTemplate") or {}) if self.is_in_task else spec
        return holder.get(self.key)


_RESOURCES = frozenset({"Limits", "Reservations"})
# ForceUpdate counts restarts that were asked for; it is carried over from the live spec and never drift.
_TASK = frozenset({"ContainerSpec", "Resources", "RestartPolicy", "Placement", "Networks", "LogDriver", "ForceUpdate"})


def section_fields(section: Section, value: Any, context: Context) -> Fields:
    """The fields of a section's raw value; only fields that are set, their values comparable with ==."""
    return _SECTIONS[section](value, context)


def _service_labels(value: Any, _: Context) -> Fields:
    return label_fields("deploy.labels", value)


def _mode(value: Any, _: Context) -> Fields:
    mode = value or {"Replicated": {}}
    name = next(iter(mode))
    body = mode[name] or {}
    if name == "Replicated":
        return {"deploy.mode": "replicated", "deploy.replicas": body.get("Replicas", 1)}
    if name == "ReplicatedJob":
        concurrent = body.get("MaxConcurrent", 1)
        return {
            "deploy.mode": "replicated-job",
            "deploy.replicas": body.get("TotalCompletions", concurrent),
            "deploy.replicas.concurrent": concurrent,
        }
    return {"deploy.mode": "global-job" if name == "GlobalJob" else "global"}


def _updates(prefix: str) -> Callable[[Any, Context], Fields]:
    def fields(value: Any, _: Context) -> Fields:
        config = {"Parallelism": 1} if value is None else value
        return {
            f"{prefix}.parallelism": config.get("Parallelism", 0),
            f"{prefix}.delay": config.get("Delay", 0),
            f"{prefix}.failure_action": config.get("FailureAction") or "pause",
            f"{prefix}.monitor": config.get("Monitor") or 5 * SECOND,
            f"{prefix}.max_failure_ratio": single_precision(config.get("MaxFailureRatio", 0)),
            f"{prefix}.order": config.get("Order") or "stop-first",
        }

    return fields


def _endpoint(value: Any, _: Context) -> Fields:
    endpoint = value or {}
    fields: Fields = {"deploy.endpoint_mode": endpoint.get("Mode") or "vip"}
    for port in endpoint.get("Ports") or ():
        protocol = port.get("Protocol")
        key = f"{port.get('TargetPort', 0)}/{protocol if protocol in ('udp', 'sctp') else 'tcp'}"
        entry = (port.get("PublishedPort", 0), port.get("PublishMode") or "ingress")
        fields[f"ports.{key}"] = tuple(sorted((*fields.get(f"ports.{key}", ()), entry)))
    return fields


def _resources(value: Any, _: Context) -> Fields:
    resources = value or {}
    fields: list[tuple[str, Any]] = []
    for part, name in (("Limits", "limits"), ("Reservations", "reservations")):
        body = resources.get(part) or {}
        prefix = f"deploy.resources.{name}"
        fields += [
            (f"{prefix}.cpus", body.get("NanoCPUs")),
            (f"{prefix}.memory", body.get("MemoryBytes")),
            (f"{prefix}.pids", body.get("Pids")),
            (f"{prefix}.generic_resources", sorted(map(_written, body.get("GenericResources") or ()))),
        ]
    fields += [(f"deploy.resources.{key}", value) for key, value in unknown(resources, _RESOURCES)]
    return set_only(fields)


def _written(resource: Json) -> str:
    return json.dumps(pruned(resource), sort_keys=True)


def _restart(value: Any, _: Context) -> Fields:
    policy = value or {}
    delay = policy.get("Delay")
    return {
        "deploy.restart_policy.condition": policy.get("Condition") or "any",
        "deploy.restart_policy.delay": 5 * SECOND if delay is None else delay,
        "deploy.restart_policy.max_attempts": policy.get("MaxAttempts", 0),
        "deploy.restart_policy.window": policy.get("Window", 0),
    }


def _placement(value: Any, _: Context) -> Fields:
    placement = value or {}
    spread = [(item.get("Spread") or {}).get("SpreadDescriptor", "") for item in placement.get("Preferences") or ()]
    return set_only(
        (
            ("deploy.placement.constraints", sorted("".join(text.split()) for text in placement.get("Constraints") or ())),
            ("deploy.placement.preferences", spread),
            ("deploy.placement.max_replicas_per_node", placement.get("MaxReplicas")),
        )
    )


def _networks(value: Any, context: Context) -> Fields:
    return {
        f"networks.{context.networks.get(item['Target'], item['Target'])}": (
            tuple(sorted(set(item.get("Aliases") or ()))),
            tuple(sorted((item.get("DriverOpts") or {}).items())),
        )
        for item in value or ()
    }


def _logging(value: Any, _: Context) -> Fields:
    driver = value or {}
    options = {f"logging.options.{key}": text for key, text in (driver.get("Options") or {}).items()}
    return set_only((("logging.driver", driver.get("Name")),)) | options


def _task(value: Any, _: Context) -> Fields:
    task = dict(value or {})
    if task.get("Runtime") == "container":
        del task["Runtime"]
    return {f"TaskTemplate.{key}": item for key, item in unknown(task, _TASK)}


_SECTIONS: Mapping[Section, Callable[[Any, Context], Fields]] = {
    Section.LABELS: _service_labels,
    Section.MODE: _mode,
    Section.UPDATE: _updates("deploy.update_config"),
    Section.ROLLBACK: _updates("deploy.rollback_config"),
    Section.ENDPOINT: _endpoint,
    Section.CONTAINER: container_fields,
    Section.RESOURCES: _resources,
    Section.RESTART: _restart,
    Section.PLACEMENT: _placement,
    Section.NETWORKS: _networks,
    Section.LOGGING: _logging,
    Section.TASK: _task,
}
