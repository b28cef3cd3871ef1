"""Waiting is what every test on a real Swarm rests on."""

from __future__ import annotations

from tests.support.processes import wait_until


def test_what_does_not_come_true_is_given_up_at_the_deadline() -> None:
    assert not wait_until(lambda: False, seconds=0.05)


def test_what_breaks_during_the_hold_has_to_hold_anew() -> None:
    answers = iter([True, False, True, True, True, True, True, True, True, True])
    seen: list[bool] = []

    def condition() -> bool:
        seen.append(next(answers))
        return seen[-1]

    assert wait_until(condition, seconds=1, pause=0.02, hold=0.05)
    assert seen[:2] == [True, False]
    assert len(seen) >= 5
