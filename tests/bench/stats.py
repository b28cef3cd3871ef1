"""The few statistics that the report needs."""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

RESAMPLES = 4000
SEED = 7  # a report must come out the same when it is made again from the same samples


@dataclass(frozen=True)
class Interval:
    """A 95 % confidence interval."""

    low: float
    high: float


def median(samples: Sequence[float]) -> float:
    return statistics.median(samples)


def percentile(samples: Sequence[float], share: float) -> float:
    """Between neighbours in proportion; `share` from 0 to 1. The greatest sample where there are too few for more."""
    ordered = sorted(samples)
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def p95(samples: Sequence[float]) -> float:
    return percentile(samples, 0.95)


def p99(samples: Sequence[float]) -> float:
    return percentile(samples, 0.99)


def bootstrap(pairs: Sequence[tuple[float, float]], measure: Callable[[Sequence[tuple[float, float]]], float]) -> Interval:
    """How far `measure` would wander with other samples of the same kind: resampling whole pairs keeps what disturbed both."""
    generator = random.Random(SEED)  # noqa: S311 - statistics, not a secret
    values = sorted(measure(generator.choices(pairs, k=len(pairs))) for _ in range(RESAMPLES))
    return Interval(values[int(0.025 * RESAMPLES)], values[int(0.975 * RESAMPLES)])


def ratio(summary: Callable[[Sequence[float]], float]) -> Callable[[Sequence[tuple[float, float]]], float]:
    """Ours by theirs, each first put into one number by `summary`."""

    def measure(pairs: Sequence[tuple[float, float]]) -> float:
        return summary([ours for ours, _ in pairs]) / summary([theirs for _, theirs in pairs])

    return measure


def interleaved(count: int, ours: Callable[[], float], theirs: Callable[[], float]) -> list[tuple[float, float]]:
    """Pairs of samples, taken A B, B A, A B, …: what drifts over the run favours neither side."""
    pairs = []
    for number in range(count):
        if number % 2 == 0:
            first = ours()
            pairs.append((first, theirs()))
        else:
            second = theirs()
            pairs.append((ours(), second))
    return pairs
