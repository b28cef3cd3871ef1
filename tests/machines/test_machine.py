"""The state machine, as often as the profile says: PRODBREAKER_MACHINE_RUNS runs, from PRODBREAKER_MACHINE_SEED on."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.machines.machine import SwarmMachine

RUNS = int(os.environ.get("PRODBREAKER_MACHINE_RUNS", "300"))
SEED = int(os.environ.get("PRODBREAKER_MACHINE_SEED", "1"))
BATCH = 50  # runs of one seed
STEPS = 20
PROFILE = settings(
    max_examples=BATCH,
    stateful_step_count=STEPS,
    deadline=None,
    database=None,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.no_cover  # it would take three times as long, and cover what unit tests cover
@pytest.mark.timeout(0)
@pytest.mark.parametrize("number", range(SEED, SEED + -(-RUNS // BATCH)))
def test_the_laws_hold_whatever_happens_and_peace_returns(number: int) -> None:
    run_state_machine_as_test(seed(number)(SwarmMachine), settings=PROFILE)
