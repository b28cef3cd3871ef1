"""The dialect of `docker stack`, versions 3.0 to 3.13: every section, its keys and their types.

A checked section is a plain mapping: an absent key stays absent, which is what merging and conversion ask about. `x-` keys
are taken off before a section comes here.
"""

from __future__ import annotations

from controller.stackfile.fields import (
    CPUS,
    DURATION,
    ENVIRONMENT,
    HOSTS,
    LABELS,
    LOG_OPTIONS,
    ONE_OR_MORE,
    OPTIONS,
    PORT_NUMBER,
    SIZE,
    STRINGS,
    TEST,
    TEXT_OR_NUMBER,
    TRUNCATED,
    UNIQUE_STRINGS,
    UNSIGNED,
    WHOLE,
    WORDS,
    check_unique,
    flat,
    read_external,
    read_limits,
    read_networks,
    read_port,
    read_volume,
    text_as,
)
from controller.stackfile.shapes import (
    BOOLEAN,
    NUMBER,
    TEXT,
    Section,
    after,
    before,
    closed,
    lenient,
    list_of,
    mapping_to,
    one_of,
    optional,
    required,
)

Port = closed(
    mode=TEXT,
    target=PORT_NUMBER,
    published=PORT_NUMBER,
    protocol=TEXT,
)

PortEntry = before(read_port, list_of(Port))  # a range stands for several

BindOptions = lenient(propagation=TEXT)

VolumeOptions = lenient(
    nocopy=BOOLEAN,
    subpath=TEXT,
)

TmpfsOptions = lenient(size=UNSIGNED)

Mount = before(
    read_volume,
    closed(
        required(type=TEXT),
        source=TEXT,
        target=TEXT,
        read_only=BOOLEAN,
        consistency=TEXT,
        bind=BindOptions,
        volume=VolumeOptions,
        tmpfs=TmpfsOptions,
    ),
)

FileReference = before(
    text_as("source"),
    lenient(
        source=TEXT,
        target=TEXT,
        uid=TEXT,
        gid=TEXT,
        mode=TRUNCATED,
    ),
)

Limits = before(read_limits, closed(required(soft=WHOLE, hard=WHOLE)))

NetworkAttachment = closed(
    aliases=UNIQUE_STRINGS,
    driver_opts=OPTIONS,
    ipv4_address=TEXT,
    ipv6_address=TEXT,
)

Healthcheck = closed(
    disable=BOOLEAN,
    interval=DURATION,
    retries=TRUNCATED,
    test=TEST,
    timeout=DURATION,
    start_period=DURATION,
    start_interval=DURATION,
)

UpdateConfig = closed(
    parallelism=UNSIGNED,
    delay=DURATION,
    failure_action=TEXT,
    monitor=DURATION,
    max_failure_ratio=NUMBER,
    order=one_of("start-first", "stop-first"),
)

DiscreteResource = closed(
    kind=TEXT,
    value=TRUNCATED,
)

GenericResource = closed(discrete_resource_spec=DiscreteResource)

ResourceLimits = closed(
    cpus=CPUS,
    memory=SIZE,
    pids=WHOLE,
)

Reservations = closed(
    cpus=CPUS,
    memory=SIZE,
    generic_resources=list_of(GenericResource),
)

Resources = closed(
    limits=ResourceLimits,
    reservations=Reservations,
)

RestartPolicy = closed(
    condition=TEXT,
    delay=DURATION,
    max_attempts=UNSIGNED,
    window=DURATION,
)

Preference = closed(spread=TEXT)

Placement = closed(
    constraints=STRINGS,
    preferences=list_of(Preference),
    max_replicas_per_node=UNSIGNED,
)

Deploy = closed(
    mode=TEXT,
    endpoint_mode=TEXT,
    replicas=UNSIGNED,
    labels=LABELS,
    rollback_config=UpdateConfig,
    update_config=UpdateConfig,
    resources=Resources,
    restart_policy=RestartPolicy,
    placement=Placement,
)

CredentialSpec = closed(
    config=TEXT,
    file=TEXT,
    registry=TEXT,
)

Logging = closed(
    driver=TEXT,
    options=LOG_OPTIONS,
)

Build = before(
    text_as("context"),
    lenient(
        context=TEXT,
        dockerfile=TEXT,
        args=LABELS,
        labels=LABELS,
        cache_from=UNIQUE_STRINGS,
        network=TEXT,
        target=TEXT,
        shm_size=TEXT_OR_NUMBER,
        extra_hosts=LABELS,
    ),
)

Service = Section(
    deploy=optional(Deploy),
    build=Build,
    cap_add=UNIQUE_STRINGS,
    cap_drop=UNIQUE_STRINGS,
    cgroupns_mode=TEXT,
    cgroup_parent=TEXT,
    command=WORDS,
    configs=list_of(FileReference),
    container_name=TEXT,
    credential_spec=CredentialSpec,
    depends_on=UNIQUE_STRINGS,
    devices=UNIQUE_STRINGS,
    dns=ONE_OR_MORE,
    dns_search=ONE_OR_MORE,
    domainname=TEXT,
    entrypoint=WORDS,
    env_file=ONE_OR_MORE,
    environment=ENVIRONMENT,
    expose=before(check_unique, list_of(TEXT_OR_NUMBER)),
    external_links=UNIQUE_STRINGS,
    extra_hosts=HOSTS,
    healthcheck=Healthcheck,
    hostname=TEXT,
    image=TEXT,
    init=BOOLEAN,
    ipc=TEXT,
    isolation=TEXT,
    labels=LABELS,
    links=UNIQUE_STRINGS,
    logging=Logging,
    mac_address=TEXT,
    network_mode=TEXT,
    networks=before(read_networks, mapping_to(optional(NetworkAttachment))),
    oom_score_adj=WHOLE,
    pid=optional(TEXT),
    ports=after(before(check_unique, list_of(PortEntry)), flat),
    privileged=BOOLEAN,
    read_only=BOOLEAN,
    restart=TEXT,
    secrets=list_of(FileReference),
    security_opt=UNIQUE_STRINGS,
    shm_size=TEXT,
    stdin_open=BOOLEAN,
    stop_grace_period=DURATION,
    stop_signal=TEXT,
    sysctls=LABELS,
    tmpfs=ONE_OR_MORE,
    tty=BOOLEAN,
    ulimits=mapping_to(Limits),
    user=TEXT,
    userns_mode=TEXT,
    volumes=list_of(Mount),
    working_dir=TEXT,
)

External = before(read_external, closed(external=BOOLEAN, name=TEXT))

IpamPool = closed(subnet=TEXT)

Ipam = closed(
    driver=TEXT,
    config=list_of(IpamPool),
)

Network = Section(
    name=TEXT,
    driver=TEXT,
    driver_opts=OPTIONS,
    ipam=Ipam,
    external=External,
    internal=BOOLEAN,
    attachable=BOOLEAN,
    labels=LABELS,
)

Volume = Section(
    name=TEXT,
    driver=TEXT,
    driver_opts=OPTIONS,
    external=External,
    labels=LABELS,
)

_CONTENT = {
    "name": TEXT,
    "file": TEXT,
    "external": External,
    "labels": LABELS,
    "template_driver": TEXT,
}

Config = Section(**_CONTENT)

Secret = Section(**_CONTENT, driver=TEXT, driver_opts=OPTIONS)
