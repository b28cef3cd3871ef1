"""The engine or the controller goes down, at once or in order; afterwards everything is as declared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.engine import PrivateEngine
from tests.support.stage import Stage, die_at

pytestmark = pytest.mark.swarm


@pytest.fixture
def empty_stage(fresh_swarm: PrivateEngine, tmp_path: Path) -> Iterator[Stage]:
    """The manifest is written, nothing is deployed and no controller runs yet."""
    made = Stage(fresh_swarm, tmp_path)
    made.open()
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def stage(empty_stage: Stage) -> Stage:
    """The stack runs as declared, no write counted yet."""
    empty_stage.controller.start()
    _wait_for_deployment(empty_stage)
    empty_stage.proxy.clear()
    return empty_stage


def _wait_for_deployment(stage: Stage) -> None:
    stage.wait_until_running(lambda: set(stage.services()) == {"web", "api"}, "the deployment")


def test_an_engine_restarted_under_the_controller_needs_no_write(stage: Stage) -> None:
    declared = stage.declared_state()
    stage.engine.restart()
    stage.wait_for(declared)
    assert stage.writes() == []
    assert stage.controller.answers("/healthz")


def test_an_engine_killed_under_the_controller_needs_no_write(stage: Stage) -> None:
    declared = stage.declared_state()
    stage.engine.kill()
    assert stage.stays_quiet(seconds=2)
    stage.engine.start()
    stage.wait_for(declared)
    assert stage.writes() == []
    assert stage.controller.answers("/healthz")


def test_what_changed_while_the_engine_s_connections_broke_is_put_back(stage: Stage) -> None:
    declared = stage.declared_state()
    stage.proxy.cut()
    stage.engine.docker("service", "rm", "shop_web")
    stage.wait_for(declared)
    assert stage.writes() == ["create service shop_web"]


@pytest.mark.parametrize("applied", [False, True], ids=["write lost", "write applied, answer lost"])
@pytest.mark.parametrize("number", [1, 3, 5, 6])
def test_a_controller_killed_in_the_middle_of_a_deployment_is_made_good_by_the_next(
    empty_stage: Stage, number: int, *, applied: bool
) -> None:
    stage = empty_stage
    die_at(stage, number, applied=applied)
    stage.controller.start(ready=False)
    stage.wait(lambda: not stage.controller.is_alive(), "the controller dies at its write")
    stage.proxy.before = None
    stage.controller.start()
    _wait_for_deployment(stage)
    creates = [call for call in stage.writes() if call.startswith("create")]
    done = Counter(call for call in creates if not call.endswith(")"))
    # The first controller's end may be seen before the engine's answer, which nobody has then.
    assert {f"create service shop_{name}" for name in ("web", "api")} <= {call.removesuffix(" (None)") for call in creates}
    assert set(done.values()) == {1}, "an object was made twice"
    with stage.untouched("web", "api"):
        assert stage.stays_quiet(seconds=2)


@pytest.mark.parametrize("applied", [False, True], ids=["write lost", "write applied, answer lost"])
def test_a_controller_killed_while_it_reverts_restarts_nothing_twice(stage: Stage, *, applied: bool) -> None:
    declared, before = stage.declared_state(), stage.tasks("api", running=False)
    die_at(stage, 1, applied=applied)
    stage.engine.docker("service", "update", "--detach", "--env-add", "WHO=me", "shop_api")
    stage.wait(lambda: not stage.controller.is_alive(), "the controller dies at its write")
    stage.proxy.before = None
    with stage.untouched("web"):
        stage.controller.start()
        stage.wait_for(declared)
    assert len(stage.tasks("api", running=False) - before) <= 2


def test_a_controller_that_is_told_to_end_drains_and_the_next_one_writes_nothing(stage: Stage) -> None:
    with stage.untouched("web", "api"):
        assert stage.controller.stop() == 0
        stage.controller.start()
        assert stage.stays_quiet(seconds=3)
    assert stage.writes() == []


def test_drift_made_while_no_controller_ran_is_put_back_by_the_next(stage: Stage) -> None:
    declared = stage.declared_state()
    stage.controller.kill()
    stage.engine.docker("service", "rm", "shop_web")
    stage.engine.docker("service", "scale", "--detach", "shop_api=3")
    stage.controller.start()
    stage.wait_for(declared)
    assert sorted(stage.writes()) == ["create service shop_web", "update service shop_api"]
