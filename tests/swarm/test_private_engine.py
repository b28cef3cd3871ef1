"""The engine that the other tests stand on."""

from __future__ import annotations

import urllib.request
from pathlib import Path

import pytest

from tests.support import processes
from tests.support.engine import EngineError, PrivateEngine
from tests.support.namespace import system
from tests.support.sweep import remove_everything

pytestmark = pytest.mark.swarm


def _running(engine: PrivateEngine, service: str) -> int:
    found = engine.api("GET", "/services?status=true")
    return sum(entry["ServiceStatus"]["RunningTasks"] for entry in found if entry["Spec"]["Name"] == service)


def test_host_mode_ports_answer_on_the_engines_address(fresh_swarm: PrivateEngine) -> None:
    image = fresh_swarm.push_tiny_image("library/web", "1")
    script = "mkdir -p /www && echo hello >/www/index.html && exec httpd -f -p 80 -h /www"
    port = "mode=host,target=80,published=8085"
    fresh_swarm.docker("service", "create", "--detach", "--name", "web", "--publish", port, image, "sh", "-c", script)
    assert processes.wait_until(lambda: _running(fresh_swarm, "web") == 1, seconds=90)
    with urllib.request.urlopen(f"http://{fresh_swarm.address}:8085/", timeout=5) as answer:
        assert answer.read() == b"hello\n"


def test_a_pushed_image_resolves_to_a_digest_under_its_usual_name(fresh_swarm: PrivateEngine) -> None:
    fresh_swarm.push_tiny_image("library/usual", "1")
    described = fresh_swarm.api("GET", "/distribution/usual:1/json")
    assert described["Descriptor"]["digest"].startswith("sha256:")


def test_a_killed_engine_comes_back_with_its_services(fresh_swarm: PrivateEngine) -> None:
    image = fresh_swarm.push_tiny_image("library/back", "1")
    fresh_swarm.docker("service", "create", "--detach", "--name", "back", "--replicas", "2", image)
    assert processes.wait_until(lambda: _running(fresh_swarm, "back") == 2, seconds=90)
    fresh_swarm.kill()
    fresh_swarm.start()
    assert processes.wait_until(lambda: _running(fresh_swarm, "back") == 2, seconds=60)


def test_sweeping_leaves_nothing_declared(fresh_swarm: PrivateEngine) -> None:
    fresh_swarm.docker("network", "create", "--driver", "overlay", "net")
    fresh_swarm.docker("config", "create", "conf", "-", input="content")
    fresh_swarm.docker("secret", "create", "sec", "-", input="content")
    fresh_swarm.docker("service", "create", "--detach", "--name", "user", "--network", "net", "--replicas", "0", "nothing:1")
    remove_everything(fresh_swarm)
    listings = ("services", "configs", "secrets", "networks?filters=%7B%22type%22%3A%5B%22custom%22%5D%7D")
    names = {
        entry.get("Name") or entry["Spec"]["Name"] for listing in listings for entry in fresh_swarm.api("GET", f"/{listing}")
    }
    assert names <= {"ingress", "docker_gwbridge"}


def test_a_missing_tool_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda tool: None if tool == "iptables" else f"/usr/bin/{tool}")
    engine = PrivateEngine()
    with pytest.raises(EngineError, match=r"miss iptables: apt-get install iptables$"):
        engine.start()
    assert not engine.folder.exists()


def test_a_destroyed_engine_leaves_nothing_behind() -> None:
    engine = PrivateEngine()
    engine.start()
    namespace, folder = engine.exec_in_netns(["ip", "netns", "identify"]), engine.folder
    engine.destroy()
    assert not folder.exists()
    assert not [pid for pid in processes.mentioning(folder) if processes.is_alive(pid)]
    assert namespace.strip() not in system("ip", "netns", "list").split()
    assert str(folder) not in Path("/proc/mounts").read_text()
