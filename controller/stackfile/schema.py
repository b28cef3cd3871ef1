"""The dialect of `docker stack`, versions 3.0 to 3.13: every section, its keys and their types.

TypedDicts rather than models: an absent key stays absent, which is what merging and conversion ask about. `x-` keys are
taken off before a section comes here.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, with_config
from typing_extensions import TypedDict  # pydantic asks for this one below Python 3.12

from controller.stackfile import fields
from controller.stackfile.fields import (
    Cpus,
    Duration,
    Environment,
    Hosts,
    Integer,
    Labels,
    LogOptions,
    OneOrMore,
    Options,
    PortNumber,
    Size,
    Strings,
    Test,
    TextOrNumber,
    Truncated,
    Unsigned,
    Words,
)

_closed = with_config(ConfigDict(strict=True, extra="forbid", defer_build=True))
_open = with_config(ConfigDict(strict=True, extra="ignore", defer_build=True))  # docker lets unknown keys through here


@_closed
class Port(TypedDict, total=False):
    mode: str
    target: PortNumber
    published: PortNumber
    protocol: str


@_open
class BindOptions(TypedDict, total=False):
    propagation: str


@_open
class VolumeOptions(TypedDict, total=False):
    nocopy: bool
    subpath: str


@_open
class TmpfsOptions(TypedDict, total=False):
    size: Unsigned


@_closed
class _MountType(TypedDict):
    type: str


@_closed
class Mount(_MountType, total=False):
    source: str
    target: str
    read_only: bool
    consistency: str
    bind: BindOptions
    volume: VolumeOptions
    tmpfs: TmpfsOptions


@_open
class FileReference(TypedDict, total=False):
    source: str
    target: str
    uid: str
    gid: str
    mode: Truncated


@_closed
class Limits(TypedDict):
    soft: Integer
    hard: Integer


@_closed
class NetworkAttachment(TypedDict, total=False):
    aliases: Strings
    driver_opts: Options
    ipv4_address: str
    ipv6_address: str


@_closed
class Healthcheck(TypedDict, total=False):
    disable: bool
    interval: Duration
    retries: Truncated
    test: Test
    timeout: Duration
    start_period: Duration
    start_interval: Duration


@_closed
class UpdateConfig(TypedDict, total=False):
    parallelism: Unsigned
    delay: Duration
    failure_action: str
    monitor: Duration
    max_failure_ratio: float
    order: Literal["start-first", "stop-first"]


@_closed
class DiscreteResource(TypedDict, total=False):
    kind: str
    value: Truncated


@_closed
class GenericResource(TypedDict, total=False):
    discrete_resource_spec: DiscreteResource


@_closed
class ResourceLimits(TypedDict, total=False):
    cpus: Cpus
    memory: Size
    pids: Integer


@_closed
class Reservations(TypedDict, total=False):
    cpus: Cpus
    memory: Size
    generic_resources: list[GenericResource]


@_closed
class Resources(TypedDict, total=False):
    limits: ResourceLimits
    reservations: Reservations


@_closed
class RestartPolicy(TypedDict, total=False):
    condition: str
    delay: Duration
    max_attempts: Unsigned
    window: Duration


@_closed
class Preference(TypedDict, total=False):
    spread: str


@_closed
class Placement(TypedDict, total=False):
    constraints: list[str]
    preferences: list[Preference]
    max_replicas_per_node: Unsigned


@_closed
class Deploy(TypedDict, total=False):
    mode: str
    endpoint_mode: str
    replicas: Unsigned
    labels: Labels
    rollback_config: UpdateConfig
    update_config: UpdateConfig
    resources: Resources
    restart_policy: RestartPolicy
    placement: Placement


@_closed
class CredentialSpec(TypedDict, total=False):
    config: str
    file: str
    registry: str


@_closed
class Logging(TypedDict, total=False):
    driver: str
    options: LogOptions


@_open
class Build(TypedDict, total=False):
    context: str
    dockerfile: str
    args: Labels
    labels: Labels
    cache_from: Strings
    network: str
    target: str
    shm_size: TextOrNumber
    extra_hosts: Labels


@_closed
class Service(TypedDict, total=False):
    deploy: Deploy | None
    build: Annotated[Build, fields.CONTEXT]
    cap_add: Strings
    cap_drop: Strings
    cgroupns_mode: str
    cgroup_parent: str
    command: Words
    configs: list[Annotated[FileReference, fields.BY_SOURCE]]
    container_name: str
    credential_spec: CredentialSpec
    depends_on: Strings
    devices: Strings
    dns: OneOrMore
    dns_search: OneOrMore
    domainname: str
    entrypoint: Words
    env_file: OneOrMore
    environment: Environment
    expose: Annotated[list[TextOrNumber], fields.UNIQUE]
    external_links: Strings
    extra_hosts: Hosts
    healthcheck: Healthcheck
    hostname: str
    image: str
    init: bool
    ipc: str
    isolation: str
    labels: Labels
    links: Strings
    logging: Logging
    mac_address: str
    network_mode: str
    networks: Annotated[dict[str, NetworkAttachment | None], fields.NAMED_NETWORKS]
    oom_score_adj: Integer
    pid: str | None
    ports: Annotated[list[Annotated[list[Port], fields.PORT_ENTRY]], fields.UNIQUE, fields.FLAT]
    privileged: bool
    read_only: bool
    restart: str
    secrets: list[Annotated[FileReference, fields.BY_SOURCE]]
    security_opt: Strings
    shm_size: str
    stdin_open: bool
    stop_grace_period: Duration
    stop_signal: str
    sysctls: Labels
    tmpfs: OneOrMore
    tty: bool
    ulimits: dict[str, Annotated[Limits, fields.LIMITS]]
    user: str
    userns_mode: str
    volumes: list[Annotated[Mount, fields.VOLUME_ENTRY]]
    working_dir: str


@_closed
class External(TypedDict, total=False):
    external: bool
    name: str


@_closed
class IpamPool(TypedDict, total=False):
    subnet: str


@_closed
class Ipam(TypedDict, total=False):
    driver: str
    config: list[IpamPool]


@_closed
class Network(TypedDict, total=False):
    name: str
    driver: str
    driver_opts: Options
    ipam: Ipam
    external: Annotated[External, fields.EXTERNAL]
    internal: bool
    attachable: bool
    labels: Labels


@_closed
class Volume(TypedDict, total=False):
    name: str
    driver: str
    driver_opts: Options
    external: Annotated[External, fields.EXTERNAL]
    labels: Labels


@_closed
class Config(TypedDict, total=False):
    name: str
    file: str
    external: Annotated[External, fields.EXTERNAL]
    labels: Labels
    template_driver: str


@_closed
class Secret(Config, total=False):
    driver: str
    driver_opts: Options
