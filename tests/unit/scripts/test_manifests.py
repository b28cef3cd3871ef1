"""The shipped stack files: hardened, and able to run on a kernel without IPVS."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.settings import Settings

PROJECT = Path(__file__).parents[3]
MANIFESTS = sorted((PROJECT / "manifests").glob("*.yml"))
SERVICES = [
    pytest.param(service, id=f"{path.stem}.{name}")
    for path in MANIFESTS
    for name, service in yaml.safe_load(path.read_text())["services"].items()
]
IMPORT_CONNECTIONS, OPERATORS = 2, 4
every_service = pytest.mark.parametrize("service", SERVICES)


@every_service
def test_a_service_runs_without_privileges_and_within_limits(service: dict[str, Any]) -> None:
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    limits = service["deploy"]["resources"]["limits"]
    assert {"cpus", "memory", "pids"} <= set(limits)
    assert not {"privileged", "cap_add", "devices", "network_mode", "pid", "ipc"} & set(service)


@every_service
def test_a_service_needs_neither_virtual_addresses_nor_the_ingress_mesh(service: dict[str, Any]) -> None:
    assert service["deploy"]["endpoint_mode"] == "dnsrr"
    assert all(port["mode"] == "host" for port in service.get("ports", []))


@every_service
def test_an_update_has_an_order_that_can_work_and_goes_back_when_it_fails(service: dict[str, Any]) -> None:
    update = service["deploy"]["update_config"]
    assert update["failure_action"] == "rollback"
    exclusive = bool(service.get("ports")) or any(mount for mount in service.get("volumes", []) if isinstance(mount, str))
    assert update["order"] == ("stop-first" if exclusive else "start-first")


@every_service
def test_an_image_is_named_with_a_version_and_runs_without_root(service: dict[str, Any]) -> None:
    default = re.fullmatch(r"\$\{[A-Z_]+:-(.+)}", service["image"])
    assert default, "make up gives the name through a variable"
    assert re.search(r":\d", default[1])
    user = service.get("user", "")
    ours = re.search(r"prodbreaker/(\w+):", default[1])
    if ours and not user:
        user = re.findall(r"^USER (\S+)$", (PROJECT / f"Dockerfile.{ours[1]}").read_text(), re.MULTILINE)[-1]
    assert re.match(r"[1-9]\d*:", user)


@every_service
def test_a_service_is_watched_by_a_healthcheck_without_a_shell(service: dict[str, Any]) -> None:
    check = service.get("healthcheck")
    if check and check["test"] == ["NONE"]:
        assert not service["networks"] or service["networks"] == ["back"], (
            "nobody asks it anything: its end is seen, and it works or waits"
        )
    elif check:
        assert check["test"][0] == "CMD"
    else:
        name = re.search(r"prodbreaker/(\w+):", service["image"])
        assert name
        assert "CMD [" in (PROJECT / f"Dockerfile.{name[1]}").read_text().split("HEALTHCHECK")[1]


def test_the_engines_socket_is_mounted_into_the_controller_alone() -> None:
    assert [path.name for path in MANIFESTS if "docker.sock" in path.read_text()] == ["prodbreaker.yml"]


def test_all_that_may_connect_to_postgresql_at_once_is_less_than_it_takes() -> None:
    services = yaml.safe_load((PROJECT / "manifests/shop.yml").read_text())["services"]
    taken = int(next(word.partition("=")[2] for word in services["postgres"]["command"] if word.startswith("max_connections=")))
    gunicorn = Settings.of({})
    web = (services["web"]["deploy"]["replicas"] + 1) * gunicorn.workers * gunicorn.pool_size  # one more during an update
    worker = 2 * (gunicorn.pool_size + IMPORT_CONNECTIONS)
    reserved = 3  # by PostgreSQL, for its superuser
    assert web + worker + OPERATORS + reserved <= taken


def test_redis_gives_up_cached_urls_and_never_clicks() -> None:
    command = yaml.safe_load((PROJECT / "manifests/shop.yml").read_text())["services"]["redis"]["command"]
    options = dict(zip(command[1::2], command[2::2], strict=True))
    assert options["--maxmemory-policy"] == "volatile-lru"
    assert (options["--appendonly"], options["--appendfsync"]) == ("yes", "everysec")
