"""The heal budget: a window that slides, and a rest after each correction that grows."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.core.budget import SETTLE_SECONDS, is_corrective, is_spent, next_allowed, recent, settle_seconds
from controller.model.plan import Action, ObjectKind, Reason, Verb
from controller.model.policy import BudgetPolicy

FIVE = BudgetPolicy()  # in ten minutes


def policy(actions: int, seconds: float) -> BudgetPolicy:
    return BudgetPolicy(actions, timedelta(seconds=seconds))


@pytest.mark.parametrize(
    ("verb", "reason", "is_new", "expected"),
    [
        (Verb.UPDATE, Reason.DRIFT, False, True),
        (Verb.UPDATE, Reason.ROLLBACK, False, True),
        (Verb.CREATE, Reason.MISSING, False, True),
        (Verb.CREATE, Reason.MISSING, True, False),  # the first creation
        (Verb.UPDATE, Reason.EDITED, False, False),
        (Verb.REMOVE, Reason.NOT_DECLARED, False, False),
    ],
)
def test_only_what_puts_a_service_right_is_a_correction(verb: Verb, reason: Reason, is_new: bool, expected: bool) -> None:
    assert is_corrective(Action(verb, ObjectKind.SERVICE, "shop_web", reason), is_new=is_new) is expected


def test_a_network_that_is_made_again_is_no_services_correction() -> None:
    assert not is_corrective(Action(Verb.CREATE, ObjectKind.NETWORK, "shop_net", Reason.MISSING), is_new=False)


def test_the_budget_is_spent_with_its_last_action_and_comes_back_as_the_window_slides() -> None:
    stamps = [0.0, 100.0, 200.0, 300.0, 400.0]

    assert not is_spent(stamps[:4], FIVE, 401.0)
    assert is_spent(stamps, FIVE, 401.0)
    assert next_allowed(stamps, FIVE, 401.0) == 600.0
    assert not is_spent(stamps, FIVE, 600.0)
    assert recent(stamps, FIVE, 650.0) == (100.0, 200.0, 300.0, 400.0)
    assert recent(stamps, FIVE, 1000.0) == ()


def test_a_service_that_was_never_corrected_may_be_at_once() -> None:
    assert next_allowed([], FIVE, 7.0) == 7.0


def test_a_budget_of_none_allows_nothing() -> None:
    assert is_spent([], policy(0, 60), 0.0)
    assert next_allowed([], policy(0, 60), 0.0) == float("inf")


def test_the_rest_after_a_correction_doubles_up_to_the_pace_at_which_the_budget_is_earned() -> None:
    assert [settle_seconds(count, FIVE) for count in range(1, 6)] == [1.0, 2.0, 4.0, 8.0, 16.0]
    assert settle_seconds(10**6, FIVE) == 120.0
    assert settle_seconds(3, policy(1000, 600)) == 0.6
    assert settle_seconds(1, policy(0, 600)) == SETTLE_SECONDS
    assert next_allowed([10.0, 12.0], FIVE, 12.5) == 14.0
    assert next_allowed([10.0, 12.0], FIVE, 99.0) == 99.0


@given(
    gaps=st.lists(st.floats(0, 500), max_size=40),
    actions=st.integers(1, 6),
    per=st.integers(1, 600),
    eager=st.booleans(),
)
def test_who_obeys_never_exceeds_the_budget_in_any_window(gaps: list[float], actions: int, per: int, eager: bool) -> None:
    limits, stamps, now = policy(actions, per), list[float](), 0.0
    for gap in gaps:
        now = max(now + (0.0 if eager else gap), next_allowed(stamps, limits, now + (0.0 if eager else gap)))
        assert not is_spent(stamps, limits, now)
        stamps.append(now)

    for start in stamps:
        assert sum(start <= stamp < start + per for stamp in stamps) <= actions


@given(stamps=st.lists(st.floats(0, 1000), max_size=20), now=st.floats(1000, 2000))
def test_what_is_not_spent_and_has_rested_may_be_done_now(stamps: list[float], now: float) -> None:
    allowed = next_allowed(stamps, FIVE, now)

    assert allowed >= now
    assert not is_spent(stamps, FIVE, allowed + 1e-6)
    assert next_allowed(stamps, FIVE, now + 10_000) == now + 10_000
