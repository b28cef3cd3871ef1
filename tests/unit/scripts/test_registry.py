"""A real registry on a free port, and what happens when ports are taken."""

from __future__ import annotations

import http.client
import json
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts import processes, registry
from scripts.console import Progress, Refusal
from scripts.state import Made, load


@pytest.fixture
def _own_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, made: Made) -> Iterator[None]:
    assert shutil.which("docker-registry"), "docker-registry is not installed: `make test` installs it"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    monkeypatch.setattr(registry, "PORTS", range(port, port + 1))
    for name, file in (("DATA", "data"), ("CONFIG", "registry.yml"), ("LOG", "registry.log")):
        monkeypatch.setattr(registry, name, tmp_path / file)
    monkeypatch.setattr("scripts.packages.ensure", lambda *_: None)
    yield
    registry.stop(made)


@pytest.mark.usefixtures("_own_files")
def test_a_registry_is_started_once_recorded_and_stopped(made: Made, progress: Progress, tmp_path: Path) -> None:
    at = registry.ensure(made, progress)
    assert not registry.holds(at, "library/redis:7")
    assert load(made.path).registry == made.registry
    assert registry.ensure(made, progress) == at
    assert len(progress.changes) == 1
    daemon = made.registry
    registry.stop(made)
    assert not processes.alive(daemon)
    assert not (tmp_path / "data").exists()


@pytest.mark.usefixtures("_own_files")
def test_an_image_that_was_pushed_is_found(made: Made, progress: Progress, tmp_path: Path) -> None:
    at = registry.ensure(made, progress)
    manifest = json.dumps({
        "schemaVersion": 2, "mediaType": "application/vnd.docker.distribution.manifest.list.v2+json", "manifests": [],
    })  # fmt: skip
    port = int(at.rpartition(":")[2])
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("PUT", "/v2/library/redis/manifests/7", manifest, {"Content-Type": json.loads(manifest)["mediaType"]})
    answer = connection.getresponse()
    connection.close()
    assert answer.status == 201
    assert registry.holds(at, "library/redis:7")


@pytest.mark.usefixtures("_own_files")
def test_a_registry_that_was_killed_is_started_again_on_its_port(made: Made, progress: Progress) -> None:
    at = registry.ensure(made, progress)
    assert made.registry is not None
    processes.stop(made.registry, patience=5)
    assert registry.ensure(made, progress) == at


def test_a_taken_port_is_left_to_its_owner(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setattr(registry, "PORTS", range(port, port + 1))
        with pytest.raises(Refusal, match="No port from"):
            registry.free_port(None)
        monkeypatch.setattr(registry, "PORTS", range(port, port + 20))
        assert registry.free_port(port) > port
