"""What docker takes without a word and what probably was not meant is told as a warning, at its place."""

from __future__ import annotations

import pytest

from controller.model.problem import Severity
from tests.unit.stackfile.memory import load, warnings


def _of(fields: str, rest: str = "") -> list[str]:
    return [text.removeprefix("services.a.") for text in warnings(f"services: {{a: {{image: x, {fields}}}}}\n{rest}")]


@pytest.mark.parametrize(
    ("key", "value"),
    {
        "build": ".",
        "cgroup_parent": "c",
        "cgroupns_mode": "host",
        "container_name": "c",
        "devices": "['/dev/null:/dev/null']",
        "domainname": "d",
        "expose": "['80', 81]",
        "external_links": "[l]",
        "ipc": "host",
        "links": "[l]",
        "mac_address": "'02:42:ac:11:65:43'",
        "network_mode": "host",
        "oom_score_adj": "5",
        "pid": "host",
        "privileged": "true",
        "security_opt": "[s]",
        "shm_size": "64m",
        "tmpfs": "/run",
        "userns_mode": "host",
    }.items(),
)
def test_keys_that_swarm_ignores(key: str, value: str) -> None:
    assert _of(f"{key}: {value}") == [f"{key}: is ignored by Swarm"]


def test_addresses_that_swarm_ignores() -> None:
    assert _of("networks: {n: {ipv4_address: 1.2.3.4, ipv6_address: '::1'}}", "networks: {n: }") == [
        "networks.n.ipv4_address: is ignored by Swarm",
        "networks.n.ipv6_address: is ignored by Swarm",
    ]
    assert _of("ports: ['127.0.0.1:80:80', '81:81']") == [
        "ports[0]: the address 127.0.0.1 is ignored: Swarm publishes on every address"
    ]


def test_a_restart_beside_a_restart_policy() -> None:
    assert _of("restart: always, deploy: {restart_policy: {}}") == ["restart: is ignored beside deploy.restart_policy"]
    assert _of("restart: always") == []


def test_one_letter_volumes() -> None:
    assert _of("volumes: ['v:/data']") == ["volumes[0]: 'v:/data' is read as a path on a Windows drive, not as a volume"]
    assert _of(r"volumes: ['C:\data', 'vol:/data', {type: volume, target: 'v:/x'}]", "volumes: {vol: }") == []


@pytest.mark.parametrize("config", ["update_config", "rollback_config"])
def test_start_first_with_a_host_port(config: str) -> None:
    ports = "ports: [{target: 80, published: 8080, mode: host}]"
    assert _of(f"{ports}, deploy: {{{config}: {{order: start-first}}}}") == [
        f"deploy.{config}.order: start-first cannot work on one node: the old task holds the host port 8080"
    ]
    assert _of(f"{ports}, deploy: {{{config}: {{order: stop-first}}}}") == []
    assert _of(f"ports: ['80:80'], deploy: {{{config}: {{order: start-first}}}}") == []


@pytest.mark.parametrize("section", ["networks", "volumes", "configs", "secrets"])
def test_old_external_names(section: str) -> None:
    assert warnings(f"{section}: {{n: {{external: {{name: m}}}}}}") == [
        f"{section}.n.external.name: is deprecated; write name: beside external: true"
    ]


def test_warnings_carry_their_place_and_severity() -> None:
    (warning,) = load("services:\n  a:\n    image: x\n    tmpfs: /run\n").warnings
    assert (warning.line, warning.column, warning.severity) == (4, 5, Severity.WARNING)
    assert str(warning) == "1.yml:4:5: warning: services.a.tmpfs: is ignored by Swarm"


def test_a_plain_file_has_no_warnings() -> None:
    text = "services: {a: {image: x, depends_on: [b], environment: {A: '${B:-c}'}}, b: {image: x, volumes: ['/data']}}"
    assert warnings(text) == []
