"""The desired state: what the stack files declare, in the words of the Engine API.

Bodies are those of the API's create calls. References to configs and secrets carry the symbolic id `id:NAME`, network
targets are names; core.bind replaces both by real ids when something is written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from controller.model.policy import ServicePolicy, StackPolicy
from controller.model.problem import Problem

Json: TypeAlias = Mapping[str, Any]

STACK_LABEL = "com.docker.stack.namespace"
IMAGE_LABEL = "com.docker.stack.image"
BOOKKEEPING_PREFIX = "prodbreaker."  # our labels on services, configs and secrets: never drift, never declared


def symbolic_id(name: str) -> str:
    """The id that stands for an object by name until a real one is known."""
    return f"id:{name}"


@dataclass(frozen=True, slots=True)
class DesiredNetwork:
    name: str  # the real name, scoped or as given
    external: bool
    body: Json = field(default_factory=dict)  # of POST /networks/create; empty when external


@dataclass(frozen=True, slots=True)
class DesiredContent:
    """A config or a secret."""

    name: str  # the real name of its first version, scoped or as given
    external: bool
    body: Json = field(default_factory=dict, repr=False)  # of POST /configs/create, `Data` in base64; empty when external
    content: bytes = field(default=b"", repr=False)  # never printed, also not for configs


@dataclass(frozen=True, slots=True)
class DesiredService:
    key: str  # as in the file
    name: str  # `<stack>_<key>`
    body: Json = field(repr=False)  # of POST /services/create
    depends_on: tuple[str, ...] = ()  # keys of the same stack, none of them unknown, no cycles
    policy: ServicePolicy = ServicePolicy()


@dataclass(frozen=True, slots=True)
class DesiredStack:
    name: str
    services: Mapping[str, DesiredService]  # by key
    networks: Mapping[str, DesiredNetwork]  # by real name: those that services use, the default one included
    configs: Mapping[str, DesiredContent]  # by real name
    secrets: Mapping[str, DesiredContent]  # by real name
    policy: StackPolicy = StackPolicy()
    warnings: tuple[Problem, ...] = ()
    files: tuple[str, ...] = ()  # every file that was read: stack files, env files, contents; what a watcher must watch
