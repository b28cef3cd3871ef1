"""Somebody changes or removes a declared service by hand; the running controller puts it back, and does no more than that."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.engine import PrivateEngine
from tests.support.stage import Stage
from tests.support.sweep import remove_everything

pytestmark = pytest.mark.swarm


@pytest.fixture(scope="module")
def shared_stage(engine: PrivateEngine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    remove_everything(engine)
    stage = Stage(engine, tmp_path_factory.mktemp("drift"))
    stage.open()
    try:
        stage.controller.start()
        yield stage
    finally:
        stage.close()
        remove_everything(engine)


@pytest.fixture(scope="module")
def declared(shared_stage: Stage) -> dict[str, Any]:
    shared_stage.wait_until_running(lambda: set(shared_stage.services()) == {"web", "api"}, "the first deployment")
    return shared_stage.declared_state()


@pytest.fixture
def stage(shared_stage: Stage, declared: dict[str, Any]) -> Stage:
    """The stack as declared, at rest, no write counted yet."""
    shared_stage.wait_for(declared, hold=0.0)
    shared_stage.proxy.clear()
    return shared_stage


def test_a_removed_service_is_created_again(stage: Stage, declared: dict[str, Any]) -> None:
    with stage.untouched("api"):
        stage.engine.docker("service", "rm", "shop_web")
        stage.wait_for(declared)
    assert stage.writes() == ["create service shop_web"]


def test_a_service_created_again_asks_for_the_platforms_of_its_image(stage: Stage, declared: dict[str, Any]) -> None:
    stage.engine.docker("service", "rm", "shop_web")
    stage.wait_for(declared)
    assert stage.services()["web"]["Spec"]["TaskTemplate"]["Placement"]["Platforms"][0]["OS"] == "linux"


def test_a_scaled_service_gets_its_replicas_back_and_keeps_its_tasks(stage: Stage, declared: dict[str, Any]) -> None:
    before = stage.tasks("web")
    with stage.untouched("api"):
        stage.engine.docker("service", "scale", "--detach", "shop_web=4")
        stage.wait_for(declared)
    assert stage.writes() == ["update service shop_web"]
    assert stage.tasks("web") == before


def test_a_service_scaled_to_nothing_comes_back(stage: Stage, declared: dict[str, Any]) -> None:
    with stage.untouched("api"):
        stage.engine.docker("service", "scale", "--detach", "shop_web=0")
        stage.wait_for(declared)
    assert stage.writes() == ["update service shop_web"]


def test_an_added_label_goes_and_no_task_restarts(stage: Stage, declared: dict[str, Any]) -> None:
    with stage.untouched("web", "api"):
        stage.engine.docker("service", "update", "--detach", "--label-add", "who=me", "shop_web")
        stage.wait_for(declared)
    assert stage.writes() == ["update service shop_web"]


@pytest.mark.parametrize(
    "option",
    [
        ("--env-add", "LOG_LEVEL=debug"),
        ("--limit-memory", "64M"),
        ("--publish-add", "mode=host,target=80,published=8099"),
        ("--args", "/bin/hold on"),
    ],
    ids=lambda option: str(option[0]).lstrip("-"),
)
def test_a_changed_field_gets_its_declared_value_back(stage: Stage, declared: dict[str, Any], option: tuple[str, str]) -> None:
    before = stage.tasks("api", running=False)
    with stage.untouched("web"):
        stage.engine.docker("service", "update", "--detach", *option, "shop_api")
        stage.wait_for(declared)
    assert stage.writes() == ["update service shop_api"]
    assert len(stage.tasks("api", running=False) - before) <= 2  # one for the change by hand, one for the way back


def test_drift_is_put_back_only_when_swarm_s_own_updater_is_done(stage: Stage, declared: dict[str, Any]) -> None:
    with stage.untouched("web"):
        stage.engine.docker("service", "update", "--detach", "--env-add", "WHO=me", "--update-monitor", "6s", "shop_api")
        assert stage.stays_quiet(seconds=5), "wrote into an update under way"
        stage.wait_for(declared)
    assert stage.writes() == ["update service shop_api"]


def test_a_changed_image_is_put_back_with_its_digest(stage: Stage, declared: dict[str, Any]) -> None:
    image = stage.services()["web"]["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"]
    assert "@sha256:" in image
    with stage.untouched("api"):
        stage.engine.docker("service", "update", "--detach", "--image", f"{stage.engine.registry()}/shop/web:2", "shop_web")
        stage.wait_for(declared)
    assert stage.writes() == ["update service shop_web"]
    assert stage.services()["web"]["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"] == image


def test_an_added_network_is_taken_off_again(stage: Stage, declared: dict[str, Any]) -> None:
    with stage.untouched("api"):
        stage.engine.docker("service", "update", "--detach", "--network-add", "shop_back", "shop_web")
        stage.wait_for(declared)
    assert stage.writes() == ["update service shop_web"]


def test_a_config_comes_back_with_the_service_that_uses_it(stage: Stage, declared: dict[str, Any]) -> None:
    with stage.untouched("api"):
        with stage.controller.frozen():
            stage.engine.docker("service", "rm", "shop_web")
            stage.engine.docker("config", "rm", "shop_site")
        stage.wait_for(declared)
    assert stage.writes() == ["create config shop_site", "create service shop_web"]


def test_a_secret_comes_back_with_the_service_that_uses_it(stage: Stage, declared: dict[str, Any]) -> None:
    with stage.untouched("web"):
        with stage.controller.frozen():
            stage.engine.docker("service", "rm", "shop_api")
            stage.engine.docker("secret", "rm", "shop_token")
        stage.wait_for(declared)
    assert stage.writes() == ["create secret shop_token", "create service shop_api"]


def test_a_network_comes_back_with_its_last_user(stage: Stage, declared: dict[str, Any]) -> None:
    with stage.untouched("web"):
        with stage.controller.frozen():
            stage.engine.docker("service", "rm", "shop_api")
            stage.wait(lambda: _removed_network(stage, "shop_back"), "the network is free to go")
        stage.wait_for(declared)
    assert stage.writes() == ["create network shop_back", "create service shop_api"]


def test_the_whole_stack_removed_comes_back(stage: Stage, declared: dict[str, Any]) -> None:
    with stage.controller.frozen():
        stage.engine.docker("stack", "rm", "shop")
        names = {"shop_front", "shop_back"}
        stage.wait(lambda: not names & {entry["Name"] for entry in stage.engine.api("GET", "/networks")}, "docker's own removal")
    stage.wait_for(declared)
    assert sorted(stage.writes()) == sorted(
        [
            "create config shop_site",
            "create secret shop_token",
            "create network shop_front",
            "create network shop_back",
            "create service shop_web",
            "create service shop_api",
        ]
    )


def test_a_stranger_in_the_swarm_is_left_alone(stage: Stage, declared: dict[str, Any]) -> None:
    stage.engine.docker("service", "create", "--detach", "--name", "stranger", "--replicas", "0", "nothing:1")
    try:
        stage.engine.docker("service", "update", "--detach", "--label-add", "who=me", "stranger")
        with stage.untouched("web", "api"):
            assert stage.stays_quiet()
        assert stage.services()["stranger"]["Spec"]["Labels"] == {"who": "me"}
        assert stage.writes() == []
    finally:
        stage.engine.docker("service", "rm", "stranger")


def _removed_network(stage: Stage, name: str) -> bool:
    stage.engine.docker("network", "rm", name, check=False)
    return name not in {entry["Name"] for entry in stage.engine.api("GET", "/networks")}
