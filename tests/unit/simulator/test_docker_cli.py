"""docker's own client against the simulator, unchanged."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from controller.model.plan import ObjectKind
from controller.simulator.engine import Simulator
from tests.contract.conftest import serving
from tests.support.unixhttp import UnixConnection, call

pytestmark = pytest.mark.skipif(shutil.which("docker") is None, reason="docker's client is not installed")

STACK = """\
version: "3.8"
services:
  web:
    image: nginx:1
    ports: ["8080:80"]
    configs: [site]
    secrets: [token]
    deploy: {replicas: 3}
  agent:
    image: agent:1
    networks: [back]
    deploy: {mode: global}
networks: {back: {}}
configs: {site: {file: ./content}}
secrets: {token: {file: ./content}}
"""


class Client:
    def __init__(self, folder: Path, simulator: Simulator) -> None:
        self.folder = folder
        self.simulator = simulator
        self.socket = folder / "s.sock"

    def run(self, *args: str) -> str:
        environment = {
            "PATH": os.environ["PATH"],
            "DOCKER_HOST": f"unix://{self.socket}",
            "DOCKER_CONFIG": str(self.folder),
            "HOME": str(self.folder),
        }
        done = subprocess.run(
            ["docker", *args], capture_output=True, text=True, timeout=60, env=environment, cwd=self.folder, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    client = Client(tmp_path, Simulator(nodes=2, epoch_ns=time.time_ns()))
    with serving(client.simulator, client.socket):
        yield client


def _until_running(client: Client, service: str, count: int) -> None:
    deadline = time.monotonic() + 10
    while len(client.simulator.running(service)) != count:
        assert time.monotonic() < deadline, client.simulator.tasks(service)
        time.sleep(0.02)


def test_a_stack_is_deployed_listed_deployed_again_and_removed(client: Client) -> None:
    (client.folder / "stack.yml").write_text(STACK)
    (client.folder / "content").write_text("x")
    deploy = ("stack", "deploy", "--resolve-image", "never", "--detach", "-c", "stack.yml", "demo")
    client.run(*deploy)
    _until_running(client, "demo_web", 3)
    _until_running(client, "demo_agent", 2)
    assert sorted(client.run("stack", "services", "demo", "--format", "{{.Name}} {{.Replicas}}").splitlines()) == [
        "demo_agent 2/2",
        "demo_web 3/3",
    ]
    assert len(client.run("stack", "ps", "demo", "--quiet").splitlines()) == 5
    before = {task.id for task in client.simulator.running("demo_web")}
    client.run(*deploy)
    assert {task.id for task in client.simulator.running("demo_web")} == before
    client.run("stack", "rm", "demo")
    assert client.run("service", "ls", "--quiet") == ""
    assert client.simulator.list_objects(ObjectKind.CONFIG) == []


def test_a_service_is_created_changed_scaled_rolled_back_and_removed(client: Client) -> None:
    client.run("service", "create", "--detach", "--name", "web", "--replicas", "2", "nginx:1")
    _until_running(client, "web", 2)
    assert client.simulator.service("web").image.startswith("nginx:1@sha256:")
    client.run("service", "scale", "--detach", "web=3")
    client.run("service", "update", "--detach", "--update-parallelism", "0", "--env-add", "A=1", "web")
    assert client.simulator.service("web").template["ContainerSpec"]["Env"] == ["A=1"]
    client.run("service", "rollback", "--detach", "web")
    assert "Env" not in client.simulator.service("web").template["ContainerSpec"]
    _until_running(client, "web", 3)
    assert "web.1" in client.run("service", "ps", "web")
    assert json.loads(client.run("service", "inspect", "web"))[0]["Spec"]["Name"] == "web"
    client.run("service", "rm", "web")
    assert client.run("service", "ls", "--quiet") == ""


def test_nodes_networks_configs_and_events_answer_too(client: Client) -> None:
    client.run("node", "update", "--label-add", "disk=fast", "node2")
    client.run("node", "update", "--availability", "drain", "node2")
    listed = client.run("node", "ls", "--format", "{{.Hostname}} {{.Status}} {{.Availability}} {{.ManagerStatus}}")
    assert listed.splitlines() == ["node1 Ready Active Leader", "node2 Ready Drain "]
    client.run("network", "create", "--driver", "overlay", "back")
    client.run("network", "rm", "back")
    told = client.run(
        "events", "--since", "1h", "--until", str(int(time.time()) + 1), "--filter", "type=network", "--format", "{{.Action}}"
    )
    assert told.split() == ["create", "update", "remove"]
    assert client.run("version", "--format", "{{.Server.APIVersion}}").strip() == "1.47"


def test_the_sdk_follows_the_stream(client: Client) -> None:
    api = docker.APIClient(base_url=f"unix://{client.socket}")
    stream = api.events(decode=True, filters={"type": ["config"], "event": ["create"], "config": ["c"]})
    api_two = docker.APIClient(base_url=f"unix://{client.socket}")
    config = api_two.create_config("c", b"1")
    assert next(stream)["Actor"]["ID"] == config["ID"]
    assert api_two.info()["Swarm"]["ControlAvailable"] is True
    assert api_two.inspect_swarm()["ID"] == client.simulator.cluster_id
    assert api_two.nodes()[0]["Description"]["Hostname"] == "node1"
    stream.close()
    api.close()
    api_two.close()


def test_an_older_version_loses_the_fields_that_it_does_not_know(client: Client) -> None:
    check = {"Test": ["CMD", "true"], "Interval": 10**9, "StartInterval": 10**9}
    for version, name in (("v1.43", "old"), ("v1.47", "new")):
        spec = {"Name": name, "TaskTemplate": {"ContainerSpec": {"Image": "a", "Healthcheck": check, "OomScoreAdj": 5}}}
        call(client.socket, "POST", f"/{version}/services/create", spec)
    containers = [client.simulator.service(name).template["ContainerSpec"] for name in ("old", "new")]
    assert ["StartInterval" in container["Healthcheck"] for container in containers] == [False, True]
    assert ["OomScoreAdj" in container for container in containers] == [False, True]


def test_an_engine_that_is_away_breaks_the_connection_off(client: Client) -> None:
    client.simulator.gate.away = True
    connection = UnixConnection(client.socket)
    connection.request("GET", "/_ping")
    with pytest.raises((ConnectionError, socket.error, OSError)):
        connection.getresponse()
    connection.close()


def test_a_body_that_is_no_json_and_a_time_that_is_none_are_refused(client: Client) -> None:
    connection = UnixConnection(client.socket)
    for method, path, body in (("POST", "/services/create", b"{"), ("GET", "/events?since=yesterday", None)):
        connection.request(method, path, body)
        response = connection.getresponse()
        assert (response.status, b"message" in response.read()) == (400, True)
    connection.close()


def test_a_version_older_than_any_is_refused(client: Client) -> None:
    connection = UnixConnection(client.socket)
    connection.request("GET", "/v1.12/services")
    response = connection.getresponse()
    assert (response.status, b"is too old" in response.read()) == (400, True)
    connection.close()
