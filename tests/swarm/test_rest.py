"""Nothing differs: the controller watches and keeps its hands still."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.engine import PrivateEngine
from tests.support.stage import Stage

REST_SECONDS = float(os.environ.get("PRODBREAKER_REST_SECONDS", "60"))  # the promise is for 1800
CALLS_A_MINUTE = 6
SETTLE_SECONDS = 10.0  # after a deployment the polling slows down

pytestmark = [pytest.mark.swarm, pytest.mark.timeout(REST_SECONDS + 240)]


@pytest.fixture
def stage(fresh_swarm: PrivateEngine, tmp_path: Path) -> Iterator[Stage]:
    made = Stage(fresh_swarm, tmp_path)
    made.open()
    try:
        made.controller.start()
        made.wait_until_running(lambda: set(made.services()) == {"web", "api"}, "the first deployment")
        yield made
    finally:
        made.close()


def test_at_rest_it_writes_nothing_restarts_nothing_and_hardly_calls(stage: Stage) -> None:
    time.sleep(SETTLE_SECONDS)
    stage.proxy.clear()
    with stage.untouched("web", "api"):
        time.sleep(REST_SECONDS)
    assert stage.writes() == []
    calls = [str(call) for call in stage.proxy.calls]
    assert len(calls) <= CALLS_A_MINUTE * REST_SECONDS / 60, calls
