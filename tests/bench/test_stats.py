"""The report's arithmetic: a promise is judged by it."""

from __future__ import annotations

import pytest

from tests.bench import promise, report, stats


def test_a_percentile_lies_between_its_neighbours_in_proportion() -> None:
    assert stats.percentile([4.0, 1.0, 3.0, 2.0, 5.0], 0.5) == 3.0
    assert stats.percentile([1.0, 2.0], 0.95) == pytest.approx(1.95)
    assert stats.p99([7.0]) == 7.0


def test_pairs_are_taken_in_turn_so_that_neither_side_is_always_first() -> None:
    order: list[str] = []

    def note(side: str, value: float) -> float:
        order.append(side)
        return value

    pairs = stats.interleaved(3, lambda: note("A", 1.0), lambda: note("B", 2.0))
    assert "".join(order) == "ABBAAB"
    assert pairs == [(1.0, 2.0)] * 3


def test_an_interval_of_equal_pairs_is_their_ratio() -> None:
    interval = stats.bootstrap([(1.0, 4.0)] * 10, stats.ratio(stats.median))
    assert (interval.low, interval.high) == (0.25, 0.25)


def test_an_interval_is_the_same_when_it_is_made_again_and_holds_the_estimate() -> None:
    pairs = [(1.0 + number / 10, 2.0 + (number * 7 % 10) / 10) for number in range(10)]
    measure = stats.ratio(stats.median)
    first, second = stats.bootstrap(pairs, measure), stats.bootstrap(pairs, measure)
    assert first == second
    assert first.low < measure(pairs) < first.high


def test_a_median_s_promise_is_kept_only_by_the_whole_interval() -> None:
    pairs = [(1.0, 10.0)] * 6 + [(9.0, 10.0)] * 5
    finding = promise.median_ratio("row", "ours ≤ half of theirs", pairs, 0.5)
    assert finding.measured == pytest.approx(0.1)
    assert not finding.is_kept
    assert "BROKEN" in report.table([finding])


def test_a_promise_within_its_bound_is_told_as_kept() -> None:
    finding = promise.seconds("row", "at once", [0.1, 0.2, 0.3], [], 0.25, tail=False)
    assert finding.is_kept
    assert report.table([finding]).splitlines()[-1].rstrip(" |").endswith("kept")
    assert not promise.seconds("row", "at once", [0.1, 0.2, 0.3], [], 0.25, tail=True).is_kept
