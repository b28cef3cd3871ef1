"""Asks Prometheus for services whose revision is new, and for no others.

One question is asked once a second at most, however many services have it, and a service is told what was answered last.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Generic, TypeVar

from controller.core.signals import Answers, Reading, held_since, noise_of, queries, weigh
from controller.engine.ports import Clock, Signals
from controller.errors import InconclusiveError, SignalsUnavailableError
from controller.model.policy import ServicePolicy

log = logging.getLogger("prodbreaker.signals")

SHARED_SECONDS = 0.9  # below the second at which services are polled, or every other look would be an old one
BASELINE_SECONDS = 3.0  # an edit is not kept waiting for longer
UNASKED_SECONDS = 60.0  # after that, what is known of Prometheus itself is old; beyond any question's time and pause

Alerts = Sequence[Mapping[str, str]]

_Answer = TypeVar("_Answer")


class _Question(Generic[_Answer]):
    """One question: who has it while it is being asked waits for that answer."""

    def __init__(self, ask: Callable[[], Awaitable[_Answer]], clock: Clock) -> None:
        self._ask, self._clock = ask, clock
        self._lock = asyncio.Lock()
        self._asked = self._answered = -math.inf
        self._answer: _Answer | SignalsUnavailableError

    @property
    def is_over(self) -> bool:
        return not self._lock.locked() and self._clock.monotonic() - self._asked >= SHARED_SECONDS

    async def answer(self) -> _Answer | SignalsUnavailableError:
        """The answer, or the reason why there is none: that is shared too."""
        arrived = self._clock.monotonic()
        async with self._lock:
            if self._answered < arrived and arrived - self._asked >= SHARED_SECONDS:
                asked = self._clock.monotonic()
                try:
                    self._answer = await self._ask()
                except SignalsUnavailableError as error:
                    self._answer = error
                self._asked, self._answered = asked, self._clock.monotonic()  # only now: a question that was cut short is none
            return self._answer


class SignalWatch:
    """What measurements say of the services under watch. Without Prometheus it says nothing against anybody.

    Prometheus' silence raises nothing; a look at one that hangs takes as long as a question may.
    """

    def __init__(self, signals: Signals | None, clock: Clock) -> None:
        self._signals, self._clock = signals, clock
        self._conditions: dict[str, _Question[bool]] = {}
        self._firing: _Question[Alerts] | None = None
        self._since: dict[str, dict[str, float]] = {}  # by service and name
        self._told: dict[str, list[str]] = {}  # by service: reasons that stand in the log
        self._away_since: float | None = None
        self._noted = -math.inf

    @property
    def away_seconds(self) -> float:
        """For how long Prometheus has answered nothing at all; 0 while it answers, and when nobody asked lately."""
        now = self._clock.monotonic()
        return 0.0 if self._away_since is None or now - self._noted > UNASKED_SECONDS else now - self._away_since

    async def look(self, service: str, policy: ServicePolicy, *, noise: Collection[str] = ()) -> Reading:
        """Ask what the policy names; `noise` is the `baseline` of the revision that is judged."""
        if self._signals is None:
            return Reading()
        answers, problems = await self._ask(policy, self._signals)
        now = self._clock.monotonic()
        since = held_since(policy, answers, before=self._since.get(service, {}), now=now)
        self._since[service] = since
        self._tell(service, [str(problem) for problem in problems if isinstance(problem, InconclusiveError)])
        reading = weigh(policy, answers, noise=noise, since=since, now=now)
        return replace(reading, problems=tuple(dict.fromkeys(map(str, problems))))

    async def baseline(self, service: str, policy: ServicePolicy) -> tuple[str, ...]:
        """Names of what cannot speak against a revision that is about to go live; a few seconds at most."""
        self.forget(service)
        if self._signals is None:
            return ()
        answers = Answers({}, None)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(BASELINE_SECONDS):
                answers, _ = await self._ask(policy, self._signals, alerts=_Question(self._signals.active, self._clock))
        return noise_of(policy, answers)

    def forget(self, service: str) -> None:
        """Nothing has held for any time: the service is not watched any more, or begins anew."""
        self._since.pop(service, None)
        self._told.pop(service, None)

    async def _ask(
        self, policy: ServicePolicy, signals: Signals, *, alerts: _Question[Alerts] | None = None
    ) -> tuple[Answers, list[SignalsUnavailableError]]:
        """What is answered, and why the rest is not; `alerts` in place of the question which alerts fire."""
        self._firing = self._firing or _Question(signals.firing, self._clock)
        self._conditions = {query: question for query, question in self._conditions.items() if not question.is_over}
        asked = queries(policy)
        holds, fires = await asyncio.gather(
            asyncio.gather(*(self._condition(query, signals).answer() for query in asked)),
            (alerts or self._firing).answer() if policy.alerts else _nothing(),
        )
        said = [*holds, fires] if policy.alerts else holds
        problems = [answer for answer in said if isinstance(answer, SignalsUnavailableError)]
        self._note(problems, answered=len(said) > len([one for one in problems if not isinstance(one, InconclusiveError)]))
        answers = Answers(
            holds={query: one if isinstance(one, bool) else None for query, one in zip(asked, holds, strict=True)},
            alerts=None if isinstance(fires, SignalsUnavailableError) else fires,
        )
        return answers, problems

    def _condition(self, query: str, signals: Signals) -> _Question[bool]:
        if query not in self._conditions:
            self._conditions[query] = _Question(lambda: signals.holds(query), self._clock)
        return self._conditions[query]

    def _note(self, problems: Sequence[SignalsUnavailableError], *, answered: bool) -> None:
        """Tell once that Prometheus is away, and once that it is back; an answer that says nothing is an answer."""
        if not answered and not problems:
            return  # nothing was asked
        now = self._clock.monotonic()
        if answered:
            if self._away_since is not None:
                log.info("prometheus back")
            self._away_since = None
        elif self._away_since is None or now - self._noted > UNASKED_SECONDS:
            self._away_since = now
            log.warning("prometheus away", extra={"fields": {"reason": str(problems[0])}})
        self._noted = now

    def _tell(self, service: str, reasons: list[str]) -> None:
        if reasons != self._told.get(service, []):
            self._told[service] = reasons
            if reasons:
                log.warning("no sound answer", extra={"fields": {"service": service, "reasons": reasons}})


async def _nothing() -> Alerts:
    return ()
