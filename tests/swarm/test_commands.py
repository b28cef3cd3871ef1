"""`plan` and `apply` on a real Swarm, as an operator or CI calls them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from controller.cli import EXIT_CHANGES, EXIT_DONE, EXIT_ERROR, EXIT_NOT_CONVERGED
from tests.support.engine import PrivateEngine
from tests.support.stage import STACK, Stage

pytestmark = pytest.mark.swarm


@pytest.fixture
def stage(fresh_swarm: PrivateEngine, tmp_path: Path) -> Iterator[Stage]:
    """The manifest is written; no controller runs."""
    made = Stage(fresh_swarm, tmp_path)
    made.open()
    try:
        yield made
    finally:
        made.close()


def _exit_code(stage: Stage, *words: str) -> int:
    return stage.controller.command(*words, "--manifests", str(stage.manifests), check=False).returncode


def test_apply_makes_what_plan_announced_and_then_both_find_nothing(stage: Stage) -> None:
    assert _exit_code(stage, "plan", "--detailed-exitcode") == EXIT_CHANGES
    assert stage.writes() == []
    assert _exit_code(stage, "apply") == EXIT_DONE
    assert stage.is_running()
    stage.proxy.clear()
    with stage.untouched("web", "api"):
        assert _exit_code(stage, "plan", "--detailed-exitcode") == EXIT_DONE
        again = stage.controller.command("apply", "--manifests", str(stage.manifests))
    assert "nothing to do" in again.stdout
    assert stage.writes() == []


def test_plan_names_the_field_that_drifted_and_masks_its_value(stage: Stage) -> None:
    stage.controller.command("apply", "--manifests", str(stage.manifests))
    stage.engine.docker("service", "update", "--detach", "--env-add", "LOG_LEVEL=canary-value", "shop_web")
    stage.wait(stage.is_running, "the change by hand")
    told = stage.controller.command("plan", "--manifests", str(stage.manifests), "-o", "json").stdout
    (plan,) = json.loads(told)
    (action,) = plan["actions"]
    assert (plan["stack"], action["name"], action["verb"]) == (STACK, "shop_web", "update")
    assert [change["field"] for change in action["changes"]] == ["environment.LOG_LEVEL"]
    assert "canary-value" not in told


def test_a_stack_that_does_not_start_is_told_with_its_task_s_error(stage: Stage) -> None:
    stage.declare(stage.manifest.replace("configs: [site]", "command: [/bin/missing]"))
    done = stage.controller.command("apply", "--manifests", str(stage.manifests), "--timeout", "6", check=False)
    assert done.returncode == EXIT_NOT_CONVERGED
    assert "shop_web" in done.stderr
    assert "/bin/missing" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_an_image_that_no_registry_knows_is_refused_and_never_deployed_unpinned(stage: Stage) -> None:
    stage.declare(stage.manifest.replace("shop/web:1", "shop/nobody:1"))
    done = stage.controller.command("apply", "--manifests", str(stage.manifests), check=False)
    assert done.returncode == EXIT_ERROR
    assert "shop/nobody:1" in done.stderr
    assert "web" not in stage.services()


def test_apply_with_prune_removes_what_the_file_no_longer_declares(stage: Stage) -> None:
    stage.controller.command("apply", "--manifests", str(stage.manifests))
    head, rest = stage.manifest.split("  web:\n")
    stage.declare(head + rest[rest.index("  api:\n") :])
    with stage.untouched("api"):
        assert _exit_code(stage, "apply") == EXIT_DONE
        assert set(stage.services()) == {"web", "api"}
        assert _exit_code(stage, "apply", "--prune") == EXIT_DONE
    assert set(stage.services()) == {"api"}


def test_docker_s_client_deploys_over_what_apply_made_without_a_restart(stage: Stage) -> None:
    stage.controller.command("apply", "--manifests", str(stage.manifests))
    with stage.untouched("web", "api"):
        file = str(stage.manifests / "shop.yml")
        stage.engine.docker("stack", "deploy", "--detach", "--resolve-image", "changed", "-c", file, STACK)
        assert stage.stays_quiet(seconds=3)
    assert stage.is_running()
