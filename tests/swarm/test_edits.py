"""An operator edits the manifest under the running controller."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.support.engine import PrivateEngine
from tests.support.stage import Stage

pytestmark = pytest.mark.swarm


@pytest.fixture
def stage(fresh_swarm: PrivateEngine, tmp_path: Path) -> Iterator[Stage]:
    """The stack runs as first declared, no write counted yet."""
    made = Stage(fresh_swarm, tmp_path)
    made.open()
    try:
        made.controller.start()
        made.wait_until_running(lambda: set(made.services()) == {"web", "api"}, "the first deployment")
        made.proxy.clear()
        yield made
    finally:
        made.close()


def _environment(stage: Stage, service: str) -> list[str]:
    found: list[str] = stage.services()[service]["Spec"]["TaskTemplate"]["ContainerSpec"]["Env"]
    return found


def _references(stage: Stage, service: str, kind: str) -> list[str]:
    container = stage.services()[service]["Spec"]["TaskTemplate"]["ContainerSpec"]
    return [reference[f"{kind}Name"] for reference in container.get(f"{kind}s") or ()]


def _greets(stage: Stage, text: str) -> bool:
    (name,) = _references(stage, "web", "Config")
    return base64.b64decode(stage.engine.api("GET", f"/configs/{name}")["Spec"]["Data"]).decode() == text


def _replicas(stage: Stage, service: str) -> int:
    count: int = stage.services()[service]["Spec"]["Mode"]["Replicated"]["Replicas"]
    return count


def test_a_changed_variable_updates_its_service_alone(stage: Stage) -> None:
    with stage.untouched("api"):
        stage.declare(stage.manifest.replace("LOG_LEVEL: info", "LOG_LEVEL: debug"))
        stage.wait_until_running(lambda: "LOG_LEVEL=debug" in _environment(stage, "web"), "the new variable")
    assert stage.writes() == ["update service shop_web"]


def test_a_changed_image_is_resolved_and_updates_its_service_alone(stage: Stage) -> None:
    def image() -> str:
        text: str = stage.services()["web"]["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"]
        return text

    with stage.untouched("api"):
        stage.declare(stage.manifest.replace("shop/web:1", "shop/web:2"))
        stage.wait_until_running(lambda: "shop/web:2@sha256:" in image(), "the new image")
    assert stage.writes() == ["update service shop_web"]


def test_more_replicas_keep_the_tasks_that_run(stage: Stage) -> None:
    before = stage.tasks("web")
    with stage.untouched("api"):
        stage.declare(stage.manifest.replace("replicas: 2", "replicas: 3"))
        stage.wait_until_running(lambda: _replicas(stage, "web") == 3, "three replicas")
    assert stage.writes() == ["update service shop_web"]
    assert before < stage.tasks("web")


def test_a_config_s_new_content_comes_under_a_new_name_with_its_service(stage: Stage) -> None:
    with stage.untouched("api"):
        stage.write_file("site.conf", "greeting = good day\n")
        stage.wait_until_running(lambda: _references(stage, "web", "Config") != ["shop_site"], "the new version")
    (name,) = _references(stage, "web", "Config")
    assert name.startswith("shop_site-")
    assert _greets(stage, "greeting = good day\n")
    assert stage.writes() == [f"create config {name}", "update service shop_web"]


def test_a_secret_s_new_content_comes_under_a_new_name_with_its_service(stage: Stage) -> None:
    with stage.untouched("web"):
        stage.write_file("token.txt", "second token")
        stage.wait_until_running(lambda: _references(stage, "api", "Secret") != ["shop_token"], "the new version")
    (name,) = _references(stage, "api", "Secret")
    assert name.startswith("shop_token-")
    assert stage.writes() == [f"create secret {name}", "update service shop_api"]


def test_a_content_changed_again_and_again_leaves_no_version_that_nothing_needs(stage: Stage) -> None:
    for number in range(3):
        text = f"greeting = number {number}\n"
        stage.write_file("site.conf", text)
        stage.wait_until_running(partial(_greets, stage, text), "the next version")
    versions = {entry["Spec"]["Name"] for entry in stage.engine.api("GET", "/configs")} - {"prodbreaker.state"}
    previous = stage.services()["web"]["PreviousSpec"]["TaskTemplate"]["ContainerSpec"]["Configs"][0]["ConfigName"]
    assert {name for name in versions if name.startswith("shop_")} == {*_references(stage, "web", "Config"), previous}


def test_a_new_service_is_created_and_nothing_else_is_touched(stage: Stage) -> None:
    addition = f"  cache:\n    image: {stage.engine.registry()}/shop/api:1\n    networks: [back]\nnetworks:"
    with stage.untouched("web", "api"):
        stage.declare(stage.manifest.replace("networks: {front", addition + " {front"))
        stage.wait_until_running(lambda: "cache" in stage.services(), "the new service")
    assert stage.writes() == ["create service shop_cache"]


def _without_web(stage: Stage) -> str:
    head, rest = stage.manifest.split("  web:\n")
    return head + rest[rest.index("  api:\n") :]


def test_a_service_taken_out_of_the_file_stays_without_prune(stage: Stage) -> None:
    with stage.untouched("web", "api"):
        stage.declare(_without_web(stage))
        assert stage.stays_quiet(seconds=4)
    assert stage.writes() == []


def test_a_service_taken_out_of_the_file_goes_with_prune_and_its_config_after_it(stage: Stage) -> None:
    text = _without_web(stage).replace("configs: {site: {file: site.conf}}\n", "x-prodbreaker: {prune: true}\n")
    with stage.untouched("api"):
        stage.declare(text)
        stage.wait_until_running(lambda: stage.declared_state()["configs"] == [], "the removal")
    assert set(stage.services()) == {"api"}
    assert stage.writes() == ["remove service", "remove config"]


def test_a_manifest_that_declares_nothing_removes_nothing(stage: Stage) -> None:
    with stage.untouched("web", "api"):
        stage.declare("version: '3.8'\nservices: {}\nx-prodbreaker: {prune: true}\n")
        assert stage.stays_quiet(seconds=4)
    assert stage.writes() == []


@pytest.mark.parametrize(
    "broken",
    ["services: [", "", "services:\n  web:\n    imagine: this\n", "\x00\x01"],
    ids=["truncated", "empty", "unknown key", "binary"],
)
def test_a_broken_edit_changes_nothing_and_the_last_good_state_is_still_defended(stage: Stage, broken: str) -> None:
    good = stage.declared_state()
    with stage.untouched("web", "api"):
        stage.declare(broken)
        assert stage.controller.wait_for_line(lambda line: "shop.yml" in str(line), seconds=60), "the fault is told"
        assert stage.stays_quiet()
    told = [line for line in stage.controller.lines() if "shop.yml" in str(line) and str(line.get("level", "")).lower() != "info"]
    assert len(told) == 1, "told once"
    stage.engine.docker("service", "rm", "shop_api")
    stage.wait_for(good)
    assert stage.writes() == ["create service shop_api"]
    stage.declare(stage.manifest)
    assert stage.stays_quiet()


def test_a_manifest_that_disappears_deletes_nothing(stage: Stage) -> None:
    with stage.untouched("web", "api"):
        (stage.manifests / "shop.yml").unlink()
        assert stage.stays_quiet(seconds=3)
    assert set(stage.services()) == {"web", "api"}
