"""The breaker's three states."""

from __future__ import annotations

import pytest

from app.breaker import Breaker, State


class Seconds:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def seconds() -> Seconds:
    return Seconds()


@pytest.fixture
def breaker(seconds: Seconds) -> Breaker:
    return Breaker(threshold=2, pause=5, clock=seconds)


def state_of(breaker: Breaker) -> State:
    return breaker.state  # a call, which mypy does not take for unchanged


def opened(breaker: Breaker) -> Breaker:
    for _ in range(2):
        assert breaker.allows()
        breaker.failed()
    return breaker


def test_it_opens_after_failures_in_a_row_only(breaker: Breaker) -> None:
    for _ in range(5):
        breaker.failed()
        breaker.succeeded()
    assert state_of(breaker) is State.CLOSED
    opened(breaker)
    assert state_of(breaker) is State.OPEN
    assert not breaker.allows()


def test_after_the_pause_it_lets_one_trial_through(breaker: Breaker, seconds: Seconds) -> None:
    opened(breaker)
    seconds.now = 4.9
    assert not breaker.allows()
    seconds.now = 5.0
    assert [breaker.allows() for _ in range(3)] == [True, False, False]
    assert state_of(breaker) is State.HALF_OPEN


def test_a_trial_that_succeeds_closes_it_and_one_that_fails_opens_it_for_another_pause(
    breaker: Breaker, seconds: Seconds
) -> None:
    opened(breaker)
    seconds.now = 5.0
    assert breaker.allows()
    breaker.failed()
    seconds.now = 9.9
    assert not breaker.allows()
    seconds.now = 10.0
    assert breaker.allows()
    breaker.succeeded()
    assert state_of(breaker) is State.CLOSED
    assert all(breaker.allows() for _ in range(3))


def test_a_trial_that_nobody_reports_on_is_followed_by_another(breaker: Breaker, seconds: Seconds) -> None:
    opened(breaker)
    seconds.now = 5.0
    assert breaker.allows()
    seconds.now = 10.0
    assert breaker.allows()
