"""The adapter and the watch with a real Prometheus: what they take from its answers is what it says."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest
import pytest_asyncio

from controller.adapters.prometheus import Prometheus
from controller.engine.clock import SystemClock
from controller.engine.signals import SignalWatch
from controller.errors import InconclusiveError, SignalsUnavailableError
from controller.model.policy import AlertAction, AlertRule, Condition, RollbackPolicy, ServicePolicy
from tests.support.prometheus import PrometheusServer, ScrapeTarget

INTERVAL = 1.0  # seconds between scrapes
ERRORS = "rate(errors_total[4s]) > 0.5"
RULES: list[dict[str, object]] = [
    {"alert": "HighErrors", "expr": ERRORS, "labels": {"service": "web"}},
    {"alert": "SlowToFire", "expr": "old_trouble > 0", "for": "10m"},
]
WEB = ServicePolicy(
    rollback=RollbackPolicy(conditions=(Condition(ERRORS), Condition("old_trouble > 0"))),
    alerts=(AlertRule(match={"service": "web"}, action=AlertAction.ROLLBACK),),
)


@pytest.fixture(scope="module")
def target() -> Iterator[ScrapeTarget]:
    with ScrapeTarget() as found:
        found.values.update({"errors_total": 1, "failures_total": 1, "old_trouble": 1, "not_a_number": float("nan")})
        yield found


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, target: ScrapeTarget) -> Iterator[PrometheusServer]:
    found = PrometheusServer(tmp_path_factory.mktemp("prometheus"), [target.address], interval=INTERVAL, rules=RULES)
    found.start()
    yield found
    found.kill()


@pytest_asyncio.fixture
async def prometheus(server: PrometheusServer) -> AsyncIterator[Prometheus]:
    """The adapter, once the server runs and knows enough for a rate."""
    await asyncio.to_thread(server.start)
    adapter = Prometheus(server.url, seconds=5.5)
    await until(lambda: adapter.holds("count_over_time(errors_total[1m]) >= 3"), seconds=30)
    yield adapter
    await adapter.close()


async def until(check: Callable[[], Awaitable[bool]], *, seconds: float) -> None:
    end = time.monotonic() + seconds
    while not await check():
        assert time.monotonic() < end, f"not within {seconds} s"
        await asyncio.sleep(0.05)


async def test_a_condition_that_was_quiet_holds_within_two_scrapes_of_the_rise(
    prometheus: Prometheus, target: ScrapeTarget
) -> None:
    condition = "rate(failures_total[4s]) > 0.5"
    assert await prometheus.holds(condition) is False

    target.values["failures_total"] += 50

    await until(lambda: prometheus.holds(condition), seconds=2 * INTERVAL)


async def test_what_a_real_prometheus_answers_is_understood(prometheus: Prometheus) -> None:
    assert await prometheus.holds("errors_total") is True
    assert await prometheus.holds("not_a_number") is False
    assert await prometheus.holds("no_such_metric") is False
    assert await prometheus.holds("absent(no_such_metric)") is True


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("rate(errors_total[4s]", "Prometheus refuses it: invalid parameter"),
        ("errors_total[1m]", "gives a matrix"),
        ("1 > bool 0", "gives a scalar"),
        ('"text"', "gives a string"),
        ('{__name__=~".*_total"} * on() {__name__=~".*_total"}', "Prometheus refuses it: found duplicate series"),
    ],
)
async def test_a_query_that_can_say_nothing_is_told_with_the_reason(prometheus: Prometheus, query: str, reason: str) -> None:
    with pytest.raises(InconclusiveError, match=reason):
        await prometheus.holds(query)


async def test_the_watch_sees_what_is_new_and_knows_when_it_sees_nothing(
    prometheus: Prometheus, server: PrometheusServer, target: ScrapeTarget
) -> None:
    watch = SignalWatch(prometheus, SystemClock())
    noise = await watch.baseline("web", WEB)
    quiet = await watch.look("web", WEB, noise=noise)
    assert (quiet.evidence, quiet.doubts, quiet.conclusive) == ((), (), True)
    assert len(quiet.held) == len(noise) == 1
    assert [labels["alertname"] for labels in await prometheus.active()] == ["SlowToFire"]
    assert await prometheus.firing() == []

    target.values["errors_total"] += 50

    async def found() -> list[str]:
        return [text.partition(" for ")[0].partition(":")[0] for text in (await watch.look("web", WEB, noise=noise)).evidence]

    async def is_bad() -> bool:
        return await found() == ["condition 1 holds", "alert HighErrors fires"]

    await until(is_bad, seconds=4 * INTERVAL)  # a scrape, and after it an evaluation of the rules

    server.kill()
    with pytest.raises(SignalsUnavailableError, match=f"Prometheus at {server.url}/? cannot be asked"):
        await prometheus.holds(ERRORS)
    await asyncio.sleep(1)  # older answers are shared no longer
    blind = await watch.look("web", WEB, noise=noise)
    assert (blind.evidence, blind.doubts, blind.conclusive) == ((), (), False)
    assert blind.problems
    assert watch.away_seconds > 0

    await asyncio.to_thread(server.start)

    async def is_back() -> bool:
        return (await watch.look("web", WEB, noise=noise)).conclusive

    await until(is_back, seconds=5)
    assert watch.away_seconds == 0
