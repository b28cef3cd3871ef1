"""A registry on loopback: what is built here gets digests, and a name that resolves, from it."""

from __future__ import annotations

import http.client
import shutil
import time
from pathlib import Path

from scripts import packages, processes
from scripts.console import Progress, Refusal
from scripts.shell import STATE
from scripts.state import Made

PACKAGE = "docker-registry"
# Every form in which a builder may have pushed an image.
_MANIFESTS = (
    "application/vnd.docker.distribution.manifest.v2+json", "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json", "application/vnd.oci.image.index.v1+json",
)  # fmt: skip
PORTS = range(5000, 5010)
DATA, CONFIG, LOG = STATE / "registry", STATE / "registry.yml", STATE / "registry.log"


def ensure(made: Made, progress: Progress) -> str:
    """End with our registry answering; its HOST:PORT. Raises Refusal when it cannot be started."""
    if processes.alive(made.registry) and made.registry_port is not None and answers(made.registry_port):
        return address(made.registry_port)
    packages.ensure([PACKAGE], made, progress)
    port = free_port(made.registry_port)
    progress.change(f"starting a registry on {address(port)}")
    CONFIG.write_text(configuration(port, DATA))
    made.registry_port = port
    made.registry = processes.start(["docker-registry", "serve", str(CONFIG)], LOG)
    made.save()
    end = time.monotonic() + 10
    while not answers(port):
        if time.monotonic() > end or not processes.alive(made.registry):
            raise Refusal(f"The registry does not answer on {address(port)} (its log: {LOG}).")
        time.sleep(0.1)
    return address(port)


def stop(made: Made) -> None:
    """End our registry and remove what it stored."""
    if made.registry is not None:
        processes.stop(made.registry, patience=10)
    shutil.rmtree(DATA, ignore_errors=True)
    CONFIG.unlink(missing_ok=True)
    made.registry = made.registry_port = None
    made.save()


def address(port: int) -> str:
    return f"127.0.0.1:{port}"


def configuration(port: int, data: Path) -> str:
    return (
        "version: 0.1\nlog: {level: warn}\n"
        f'storage: {{filesystem: {{rootdirectory: "{data}"}}, delete: {{enabled: true}}}}\n'
        f'http: {{addr: "{address(port)}"}}\n'
    )


def free_port(preferred: int | None) -> int:
    """The port of last time, if it is free, else the first free one. Raises Refusal when all are taken."""
    for port in ([preferred] if preferred else []) + list(PORTS):
        if processes.port_is_free(port, host="127.0.0.1"):
            return port
    raise Refusal(f"No port from {PORTS.start} to {PORTS.stop - 1} is free on 127.0.0.1 for the registry.")


def answers(port: int) -> bool:
    return _status(port, "/v2/") == 200


def holds(registry: str, name: str) -> bool:
    """Whether the registry at HOST:PORT has the image NAME:TAG."""
    repository, _, tag = name.rpartition(":")
    return _status(int(registry.rpartition(":")[2]), f"/v2/{repository}/manifests/{tag}") == 200


def _status(port: int, path: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("HEAD", path, headers={"Accept": ", ".join(_MANIFESTS)})
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()
