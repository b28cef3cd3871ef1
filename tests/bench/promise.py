"""A promise, what was measured for it, and whether it was kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.bench import stats
from tests.bench.stats import Interval

Pairs = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Finding:
    """One line of the report."""

    row: str
    promise: str
    ours: str
    theirs: str
    measured: float
    interval: Interval | None
    bound: float
    unit: str  # of `measured`, empty for a ratio
    judged: float  # what is held against the bound

    @property
    def is_kept(self) -> bool:
        return self.judged <= self.bound


@dataclass(frozen=True)
class Measurement:
    """What one row of the benchmark yields."""

    findings: tuple[Finding, ...]
    samples: dict[str, list[float]]
    counts: dict[str, str]  # what each side did, in requests; the same on every host


def median_ratio(row: str, promise: str, pairs: Pairs, bound: float) -> Finding:
    """Kept only if the whole confidence interval is: a lucky run proves nothing."""
    finding = _ratio(row, promise, pairs, bound, stats.median)
    assert finding.interval is not None
    return Finding(**{**vars(finding), "judged": finding.interval.high})


def p95_ratio(row: str, promise: str, pairs: Pairs, bound: float) -> Finding:
    """Judged by its estimate: the interval of a tail of few samples says little more than their greatest."""
    return _ratio(row, promise, pairs, bound, stats.p95)


def seconds(row: str, promise: str, ours: Sequence[float], theirs: Sequence[float], bound: float, *, tail: bool) -> Finding:
    """A bound in seconds, on the median or (`tail`) on p99. Where two things are not the same, their ratio means nothing."""
    measured = stats.p99(ours) if tail else stats.median(ours)
    return Finding(row, promise, _times(ours), _times(theirs) if theirs else "", measured, None, bound, "s", measured)


def mebibytes(row: str, promise: str, values: Sequence[float], bound: float) -> Finding:
    return Finding(row, promise, f"{max(values):.1f} MiB", "", max(values), None, bound, "MiB", max(values))


def _ratio(row: str, promise: str, pairs: Pairs, bound: float, summary: Callable[[Sequence[float]], float]) -> Finding:
    measure = stats.ratio(summary)
    ours, theirs = [a for a, _ in pairs], [b for _, b in pairs]
    value = measure(pairs)
    return Finding(row, promise, _times(ours), _times(theirs), value, stats.bootstrap(pairs, measure), bound, "", value)


def _times(samples: Sequence[float]) -> str:
    return f"{stats.median(samples):.3f} s (p95 {stats.p95(samples):.3f})"
