"""Back and forth by hand on a real Swarm: edit, roll back, release, with a controller at work and with none."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from controller.cli import EXIT_ERROR
from tests.support.engine import PrivateEngine
from tests.support.stage import Stage

pytestmark = pytest.mark.swarm

SECOND = "LOG_LEVEL: debug"


@pytest.fixture
def stage(fresh_swarm: PrivateEngine, tmp_path: Path) -> Iterator[Stage]:
    """The stack runs as first declared; no controller runs."""
    made = Stage(fresh_swarm, tmp_path)
    made.manifest = made.manifest.replace("rollback: {keep: 2}", "rollback: {keep: 5, min_healthy: 1s}")
    made.open()
    try:
        _apply(made)
        made.wait(made.is_running, "the first deployment", hold=2.0)  # longer than min_healthy: it is a stable baseline
        made.proxy.clear()
        yield made
    finally:
        made.close()


def _apply(stage: Stage) -> None:
    stage.controller.command("apply", "--manifests", str(stage.manifests))


def _level(stage: Stage) -> str:
    environment: list[str] = stage.services()["web"]["Spec"]["TaskTemplate"]["ContainerSpec"]["Env"]
    return next(item for item in environment if item.startswith("LOG_LEVEL="))


def _history(stage: Stage) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(stage.controller.command("history", "shop/web", "-o", "json").stdout)["revisions"]
    return found


def test_without_a_controller_the_commands_do_it_all(stage: Stage) -> None:
    stage.declare(stage.manifest.replace("LOG_LEVEL: info", SECOND))
    _apply(stage)
    with stage.untouched("api"):
        for refused in (2, 3):
            done = stage.controller.command("rollback", "shop_web", "--to", "1", "--manifests", str(stage.manifests))
            assert done.stdout.splitlines()[-1] == "shop_web: revision 1 runs"
            assert (_level(stage), stage.is_running()) == ("LOG_LEVEL=info", True)
            again = stage.controller.command("apply", "--manifests", str(stage.manifests), check=False)
            assert again.returncode == EXIT_ERROR
            assert f"revision {refused} is bad (rolled back by hand); revision 1 takes its place" in again.stderr

            stage.controller.command("release", "shop/web")
            _apply(stage)
            assert _level(stage) == "LOG_LEVEL=debug"
    assert stage.writes() == ["update service shop_web"] * 5
    assert [item["state"] for item in _history(stage)][:1] == ["stable"]


def test_a_controller_carries_out_what_is_ordered(stage: Stage) -> None:
    stage.controller.start()
    stage.wait(stage.stays_quiet, "adopted without a write")
    stage.declare(stage.manifest.replace("LOG_LEVEL: info", SECOND))
    stage.wait(lambda: [item["state"] for item in _history(stage)] == ["stable", "stable"], "the edit is proven")
    for refused in (2, 3):
        done = stage.controller.command("rollback", "shop/web", "--manifests", str(stage.manifests))
        assert f"revision {refused} is refused; revision 1 takes its place" in done.stdout
        stage.wait(lambda: _history(stage)[-1]["state"] == "quarantined", "the way back has ended")
        assert _level(stage) == "LOG_LEVEL=info"
        assert stage.stays_quiet()

        stage.controller.command("release", "shop/web")
        stage.wait(lambda: _history(stage)[-1]["state"] == "stable", "released, gone out, proven")
        assert _level(stage) == "LOG_LEVEL=debug"
    assert stage.writes() == ["update service shop_web"] * 5
