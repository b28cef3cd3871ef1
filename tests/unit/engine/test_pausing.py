"""Pause and resume: one compare-and-swap on the state config."""

from __future__ import annotations

import time

import pytest

from controller.core.state import STATE_NAME, new_state, paused_targets, with_pause
from controller.engine.clock import SystemClock
from controller.engine.pausing import set_paused
from controller.errors import NameTakenError, OutOfSequenceError, ProdBreakerError, RefusedError
from controller.model.plan import ObjectKind
from controller.model.spec import Json
from tests.support.clock import FakeClock
from tests.support.fakes import FakeSwarm
from tests.support.specs import live_content, snapshot

pytestmark = pytest.mark.looptime
CONFIG = ObjectKind.CONFIG


def holding(spec: Json) -> FakeSwarm:
    state = {"ID": "state", "Version": {"Index": 7}, "Spec": spec}
    return FakeSwarm({CONFIG: [live_content(f"{STATE_NAME}_of_somebody_else"), state]})


async def test_the_first_pause_makes_the_state_with_a_key() -> None:
    swarm = FakeSwarm()
    await set_paused(swarm, FakeClock(), "shop", paused=True)

    (body,) = swarm.bodies
    assert paused_targets(snapshot(configs=[{"Spec": body}])) == {"shop"}
    assert "2023-11-14T22:13:20+00:00" in body["Labels"].values()
    assert len(body["Data"]) == 44


async def test_a_later_pause_changes_labels_against_the_version_that_was_read() -> None:
    swarm = holding(with_pause(new_state(b"k"), "shop", since="x"))
    await set_paused(swarm, FakeClock(), "shop/web", paused=True)

    assert swarm.calls[-1] == ("update", "config", "state")
    assert swarm.versions == [7]
    assert paused_targets(snapshot(configs=[{"Spec": swarm.bodies[0]}])) == {"shop", "shop/web"}


async def test_resuming_what_is_not_paused_writes_nothing() -> None:
    swarm = holding(new_state(b"k"))
    await set_paused(swarm, FakeClock(), "shop", paused=False)

    assert swarm.bodies == []


@pytest.mark.parametrize("error", [OutOfSequenceError("stale"), NameTakenError("taken")])
async def test_another_writer_means_to_read_again(error: Exception) -> None:
    swarm = holding(new_state(b"k"))
    swarm.answers = {"update": error}
    with pytest.raises(ProdBreakerError, match="shop: others kept writing"):
        await set_paused(swarm, FakeClock(), "shop", paused=True)

    assert swarm.count("list") == swarm.count("update") == 8


async def test_a_refusal_is_told_at_once() -> None:
    swarm = FakeSwarm(answers={"create": RefusedError("no")})
    with pytest.raises(RefusedError):
        await set_paused(swarm, FakeClock(), "shop", paused=True)

    assert swarm.count("create") == 1


@pytest.mark.looptime(False)
def test_the_real_clock_tells_time_twice() -> None:
    clock = SystemClock()

    assert abs(clock.wall() - time.time()) < 5
    assert clock.monotonic() <= clock.monotonic()
