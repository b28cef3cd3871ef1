"""The watch over measurements: what it asks, how often, and what it makes of silence."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

import pytest

from controller.core.signals import Reading
from controller.engine import signals as module
from controller.engine.signals import SHARED_SECONDS, UNASKED_SECONDS, SignalWatch
from controller.errors import InconclusiveError, SignalsUnavailableError
from controller.model.policy import AlertAction, AlertRule, Condition, RollbackPolicy, ServicePolicy
from tests.support.clock import FakeClock

T = TypeVar("T")

AWAY = SignalsUnavailableError("Prometheus at http://p:9090 did not answer within 10 s")
WRONG = InconclusiveError("query b: Prometheus refuses it: parse error")
HIGH = {"alertname": "High", "service": "web"}
ALERTS = (AlertRule(match={"service": "web"}, action=AlertAction.ROLLBACK),)


@dataclass
class FakeSignals:
    """Implements controller.engine.ports.Signals; an exception as answer is raised. `hold` stops answers until set."""

    answers: dict[str, bool | Exception] = field(default_factory=dict)
    alerts: list[Mapping[str, str]] | Exception = field(default_factory=list)
    pending: list[Mapping[str, str]] = field(default_factory=list)
    asked: Counter[str] = field(default_factory=Counter)
    hold: asyncio.Event | None = None

    async def holds(self, query: str) -> bool:
        await self._asked(query)
        return _said(self.answers.get(query, False))

    async def firing(self) -> Sequence[Mapping[str, str]]:
        await self._asked("firing")
        return _said(self.alerts)

    async def active(self) -> Sequence[Mapping[str, str]]:
        await self._asked("active")
        return [*_said(self.alerts), *self.pending]

    async def _asked(self, what: str) -> None:
        self.asked[what] += 1
        if self.hold is not None:
            await self.hold.wait()


def _said(answer: T | Exception) -> T:
    if isinstance(answer, Exception):
        raise answer
    return answer


def policy(*queries: str, wait: float = 0, alerts: Sequence[AlertRule] = ()) -> ServicePolicy:
    conditions = tuple(Condition(query, timedelta(seconds=wait)) for query in queries)
    return ServicePolicy(rollback=RollbackPolicy(conditions=conditions), alerts=tuple(alerts))


@pytest.fixture
def signals() -> FakeSignals:
    return FakeSignals()


@pytest.fixture
def watch(signals: FakeSignals, clock: FakeClock) -> SignalWatch:
    return SignalWatch(signals, clock)


async def test_without_prometheus_nothing_is_said_against_anybody(clock: FakeClock) -> None:
    watch = SignalWatch(None, clock)
    web = policy("a", alerts=ALERTS)

    assert await watch.baseline("web", web) == ()
    assert await watch.look("web", web) == Reading(conclusive=True)
    assert watch.away_seconds == 0


async def test_a_service_with_nothing_to_measure_asks_nothing(watch: SignalWatch, signals: FakeSignals) -> None:
    assert await watch.baseline("web", policy()) == ()
    assert await watch.look("web", policy()) == Reading()
    await watch.look("db", policy("a"))

    assert signals.asked == {"a": 1}  # no alerts for who has no rule


async def test_what_is_quiet_before_and_holds_after_is_evidence(
    watch: SignalWatch, signals: FakeSignals, clock: FakeClock
) -> None:
    web = policy("a", "b", alerts=ALERTS)
    signals.answers["b"] = True
    noise = await watch.baseline("web", web)

    clock.advance(1)
    assert (await watch.look("web", web, noise=noise)).evidence == ()
    signals.answers["a"] = True
    signals.alerts = [HIGH]
    clock.advance(1)
    reading = await watch.look("web", web, noise=noise)

    assert reading.evidence == ("condition 1 holds: a", "alert High fires")
    assert len(reading.held) == 3
    assert reading.conclusive


async def test_services_share_a_question_within_a_second(watch: SignalWatch, signals: FakeSignals, clock: FakeClock) -> None:
    for service in ("web", "api", "web"):
        await watch.look(service, policy("a", service, alerts=ALERTS))
        clock.advance(SHARED_SECONDS / 3)
    assert signals.asked == {"a": 1, "web": 1, "api": 1, "firing": 1}

    clock.advance(0.01)
    await watch.look("web", policy("a", alerts=ALERTS))
    assert (signals.asked["a"], signals.asked["firing"]) == (2, 2)


async def test_a_poll_every_second_is_never_told_an_old_answer(
    watch: SignalWatch, signals: FakeSignals, clock: FakeClock
) -> None:
    for _ in range(10):
        await watch.look("web", policy("a"))
        clock.advance(1.0)

    assert signals.asked["a"] == 10


async def test_who_comes_while_a_question_is_asked_waits_for_its_answer(
    watch: SignalWatch, signals: FakeSignals, clock: FakeClock
) -> None:
    signals.hold = asyncio.Event()
    first = asyncio.create_task(watch.look("web", policy("a")))
    await asyncio.sleep(0)
    clock.advance(5)
    second = asyncio.create_task(watch.look("api", policy("a")))
    await asyncio.sleep(0)
    signals.answers["a"] = True
    clock.advance(5)
    signals.hold.set()

    assert (await first).evidence == (await second).evidence == ("condition 1 holds: a",)
    assert signals.asked["a"] == 1


async def test_a_look_that_is_cut_short_does_not_leave_others_without_an_answer(watch: SignalWatch, signals: FakeSignals) -> None:
    signals.hold, signals.answers["a"] = asyncio.Event(), True
    cut = asyncio.create_task(watch.look("web", policy("a")))
    other = asyncio.create_task(watch.look("api", policy("a")))
    await asyncio.sleep(0.01)
    cut.cancel()
    await asyncio.gather(cut, return_exceptions=True)
    signals.hold.set()

    assert (await other).evidence == ("condition 1 holds: a",)
    assert (await watch.look("web", policy("a"))).evidence == ("condition 1 holds: a",)


async def test_time_that_a_condition_holds_is_kept_per_service_until_it_is_forgotten(
    watch: SignalWatch, signals: FakeSignals, clock: FakeClock
) -> None:
    web = policy("a", wait=10)
    signals.answers["a"] = True
    await watch.look("web", web)
    clock.advance(9)
    assert (await watch.look("web", web)).doubts == ("condition 1 holds for 9 s: a",)
    clock.advance(1)
    assert (await watch.look("web", web)).evidence == ("condition 1 holds for 10 s: a",)
    assert (await watch.look("api", web)).evidence == ()

    watch.forget("web")
    assert (await watch.look("web", web)).evidence == ()
    watch.forget("never seen")


async def test_a_baseline_lets_the_time_begin_anew(watch: SignalWatch, signals: FakeSignals, clock: FakeClock) -> None:
    web = policy("a", wait=10)
    signals.answers["a"] = True
    await watch.look("web", web)
    clock.advance(60)
    await watch.baseline("web", web)

    assert (await watch.look("web", web)).evidence == ()


async def test_silence_begins_the_time_anew_and_is_said(watch: SignalWatch, signals: FakeSignals, clock: FakeClock) -> None:
    web = policy("a", wait=10)
    for answer in (True, AWAY, True):
        signals.answers["a"] = answer
        reading = await watch.look("web", web)
        assert reading.conclusive is (answer is True)
        assert reading.problems == (() if answer is True else (str(AWAY),))
        clock.advance(10)

    assert (await watch.look("web", web)).evidence == ("condition 1 holds for 10 s: a",)


async def test_one_source_without_an_answer_leaves_the_others_counting(watch: SignalWatch, signals: FakeSignals) -> None:
    signals.answers = {"a": True, "b": WRONG}
    signals.alerts = AWAY

    reading = await watch.look("web", policy("a", "b", alerts=ALERTS))

    assert reading.evidence == ("condition 1 holds: a",)
    assert (reading.conclusive, reading.problems) == (False, (str(WRONG), str(AWAY)))


async def test_what_did_not_answer_before_the_revision_counts_never(
    watch: SignalWatch, signals: FakeSignals, clock: FakeClock
) -> None:
    web = policy("a", alerts=ALERTS)
    signals.answers["a"] = signals.alerts = AWAY
    noise = await watch.baseline("web", web)
    signals.answers["a"], signals.alerts = True, [HIGH]
    clock.advance(1)

    reading = await watch.look("web", web, noise=noise)

    assert (reading.evidence, reading.doubts, reading.conclusive) == ((), (), True)


async def test_alerts_that_were_pending_before_the_revision_do_not_count(watch: SignalWatch, signals: FakeSignals) -> None:
    web = policy(alerts=ALERTS)
    await watch.look("web", web)
    signals.pending = [HIGH]
    noise = await watch.baseline("web", web)
    signals.pending, signals.alerts = [], [HIGH]
    watch.forget("web")
    later = SignalWatch(signals, FakeClock())

    assert (await later.look("web", web, noise=noise)).evidence == ()
    assert (await later.look("web", web)).evidence == ("alert High fires",)


async def test_a_baseline_looks_at_alerts_anew_and_is_no_answer_for_others(watch: SignalWatch, signals: FakeSignals) -> None:
    web = policy(alerts=ALERTS)
    await watch.look("web", web)
    await watch.baseline("web", web)
    await watch.baseline("api", web)
    await watch.look("api", web)

    assert signals.asked == {"firing": 1, "active": 2}


async def test_an_edit_does_not_wait_for_a_slow_prometheus(
    watch: SignalWatch, signals: FakeSignals, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BASELINE_SECONDS", 0.05)
    web = policy("a", alerts=ALERTS)
    signals.hold = asyncio.Event()

    noise = await asyncio.wait_for(watch.baseline("web", web), timeout=5)

    signals.hold.set()
    signals.answers["a"], signals.alerts = True, [HIGH]
    assert (await watch.look("web", web, noise=noise)).evidence == ()


async def test_prometheus_is_away_only_while_nothing_is_answered(
    watch: SignalWatch, signals: FakeSignals, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    web = policy("a", "b", alerts=ALERTS)
    caplog.set_level(logging.INFO, "prodbreaker.signals")
    signals.answers, signals.alerts = {"a": AWAY, "b": AWAY}, AWAY
    for _ in range(3):
        await watch.look("web", web)
        clock.advance(10)
    assert watch.away_seconds == 30
    await watch.look("idle", policy())
    assert watch.away_seconds == 30

    signals.answers["b"] = WRONG
    await watch.look("web", web)
    assert watch.away_seconds == 0
    clock.advance(10)
    await watch.look("web", web)
    assert watch.away_seconds == 0
    assert [record.getMessage() for record in caplog.records] == ["prometheus away", "prometheus back", "no sound answer"]


async def test_what_is_known_of_prometheus_grows_old_when_nobody_asks(
    watch: SignalWatch, signals: FakeSignals, clock: FakeClock
) -> None:
    signals.answers["a"] = AWAY
    for _ in range(3):
        await watch.look("web", policy("a"))
        clock.advance(UNASKED_SECONDS)
    assert watch.away_seconds == 3 * UNASKED_SECONDS

    clock.advance(1)
    assert watch.away_seconds == 0
    await watch.look("web", policy("a"))
    assert watch.away_seconds == 0
    clock.advance(5)
    assert watch.away_seconds == 5


async def test_a_query_that_says_nothing_is_told_once_for_each_revision(
    watch: SignalWatch, signals: FakeSignals, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    web = policy("a", "b")
    for answer in (WRONG, WRONG, True, WRONG, AWAY):
        signals.answers["b"] = answer
        await watch.look("web", web)
        clock.advance(1)
    assert [record.getMessage() for record in caplog.records] == ["no sound answer"] * 2

    signals.answers["b"] = WRONG
    await watch.baseline("web", web)
    await watch.look("web", web)
    records: list[Any] = caplog.records
    assert [record.fields for record in records] == [{"service": "web", "reasons": [str(WRONG)]}] * 3


async def test_questions_that_nobody_asks_any_more_are_dropped(
    watch: SignalWatch, signals: FakeSignals, clock: FakeClock
) -> None:
    for number in range(100):
        await watch.look("web", policy(f"a > {number}"))
        clock.advance(1)

    assert len(watch._conditions) == 1
    assert signals.asked.total() == 100


async def test_a_defect_is_not_taken_for_silence(watch: SignalWatch, signals: FakeSignals) -> None:
    signals.answers["a"] = ZeroDivisionError("a bug")

    with pytest.raises(ZeroDivisionError):
        await watch.look("web", policy("a"))
