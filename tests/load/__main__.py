"""`python -m tests.load --url URL`: the scenario by locust. Exit code 0 if its thresholds hold, 1 if not, 2 if called wrongly."""

from __future__ import annotations

from tests.load.locustfile import SCENARIO, Visitor, learn  # isort: skip  # locust patches the standard library: before all else

import argparse
import sys
import time
from collections.abc import Sequence

from locust.env import Environment
from locust.runners import Runner
from locust.stats import RequestStats, StatsEntry

from tests.load.scenario import NotLoopbackError, on_loopback

LONGEST_SECONDS = 3600
_RAMP_SHARE, _LONGEST_RAMP = 6, 30.0
_END_SECONDS = 15  # for requests that are under way


def main(arguments: Sequence[str] | None = None) -> int:
    args = _arguments(arguments)
    environment = Environment(user_classes=[Visitor], host=args.url, stop_timeout=_END_SECONDS)
    try:
        learn(environment)
    except RuntimeError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 - a command's job is to print
        return 1
    runner = _run(environment, users=args.users, seconds=args.seconds)
    print(table(runner.stats))  # noqa: T201 - a command's job is to print
    missed = [f"{broken['count']} visitors broke: {broken['msg']}" for broken in runner.exceptions.values()]
    missed += misses(runner.stats, p95_ms=args.p95_ms)
    print("\n".join(missed) or "every threshold holds")  # noqa: T201 - a command's job is to print
    return 1 if missed else 0


def table(stats: RequestStats) -> str:
    """A row for each step and one for all; times in milliseconds."""
    lines = [f"{'':<18}{'requests':>10}{'failures':>10}{'p50 ms':>9}{'p95 ms':>9}{'p99 ms':>9}"]
    for entry in [*sorted(stats.entries.values(), key=lambda entry: (entry.name, entry.method)), stats.total]:
        name = "all" if entry is stats.total else f"{entry.method} {entry.name}"
        times = "".join(f"{_percentile(entry, share):>9.0f}" for share in (0.5, 0.95, 0.99))
        lines.append(f"{name:<18}{entry.num_requests:>10}{entry.num_failures:>10}{times}")
    return "\n".join(lines)


def misses(stats: RequestStats, *, p95_ms: float) -> list[str]:
    """What did not hold, a sentence each."""
    total = stats.total
    failures = [f"{error.method} {error.name} failed {error.occurrences} times: {error.error}" for error in stats.errors.values()]
    if not total.num_requests:
        return ["nothing was asked"]
    p95 = _percentile(total, 0.95)
    return failures + ([f"p95 is {p95:.0f} ms, not at most {p95_ms:.0f}"] if p95 > p95_ms else [])


def _percentile(entry: StatsEntry, share: float) -> float:
    return float(entry.get_response_time_percentile(share) or 0)


def _run(environment: Environment, *, users: int, seconds: float) -> Runner:
    runner = environment.create_local_runner()
    ramp = min(_LONGEST_RAMP, seconds / _RAMP_SHARE)
    runner.start(users, spawn_rate=max(1.0, users / ramp))
    time.sleep(seconds)  # users go on meanwhile
    runner.quit()
    return runner


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.load", description="Load on this host's application, as tests/load/scenario.json has it."
    )
    parser.add_argument("--url", default="http://127.0.0.1:8080", help="where it is, on loopback (%(default)s)")
    parser.add_argument("--users", type=int, default=SCENARIO.users, help="at most (%(default)s)")
    parser.add_argument("--seconds", type=float, default=60.0, help=f"all in all, at most {LONGEST_SECONDS} (%(default)s)")
    parser.add_argument("--p95-ms", type=float, default=SCENARIO.p95_ms, help="the threshold (%(default)s)")
    args = parser.parse_args(arguments)
    try:
        args.url = on_loopback(args.url)
    except NotLoopbackError as error:
        parser.error(str(error))
    if not (1 <= args.users <= 2 * SCENARIO.users and 1 <= args.seconds <= LONGEST_SECONDS):
        parser.error(f"at most {2 * SCENARIO.users} users and {LONGEST_SECONDS} seconds")
    return args


if __name__ == "__main__":
    sys.exit(main())
