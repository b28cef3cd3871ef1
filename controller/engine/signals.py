"""Asks Prometheus for services whose revision is new, and for no others.

One question is asked once a second at most, however many services have it, and a service is told what was answered last.
"""

from __future__ import annotations

import asyncio
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
    """What measurements say of the services under watch. Without Prometheus it says nothing against anybody. Never raises."""

    def __init__(self, signals: Signals | None, clock: Clock) -> None:
        self._signals, self._clock = signals, clock
        self._conditions: dict[str, _Question[bool]] = {}
        self._firing: _Question[Sequence[Mapping[str, str]]] | None = None
        self._since: dict[str, dict[str, float]] = {}  # by service and name
        self._away_since: float | None = None

    @property
    def away_seconds(self) -> float:
        """For how long Prometheus has answered nothing at all; 0 while it answers, and while nobody asks."""
        return 0.0 if self._away_since is None else self._clock.monotonic() - self._away_since

    async def look(self, service: str, policy: ServicePolicy, *, noise: Collection[str] = ()) -> Reading:
        """Ask what the policy names; `noise` is the `baseline` of the revision that is judged."""
        answers, problems = await self._ask(policy)
        now = self._clock.monotonic()
        since = held_since(policy, answers, before=self._since.get(service, {}), now=now)
        self._since[service] = since
        return replace(weigh(policy, answers, noise=noise, since=since, now=now), problems=problems)

    async def baseline(self, service: str, policy: ServicePolicy) -> tuple[str, ...]:
        """Names of what cannot speak against a revision that is about to go live; a few seconds at most."""
        self.forget(service)
        try:
            async with asyncio.timeout(BASELINE_SECONDS):
                (answers, _), pending = await asyncio.gather(self._ask(policy), self._pending(policy))
        except TimeoutError:
            answers, pending = Answers({}, None), None
        return noise_of(policy, answers, pending=pending)

    def forget(self, service: str) -> None:
        """Nothing has held for any time: the service is not watched any more, or begins anew."""
        self._since.pop(service, None)

    async def _ask(self, policy: ServicePolicy) -> tuple[Answers, tuple[str, ...]]:
        if self._signals is None:
            return Answers(dict.fromkeys(queries(policy), False)), ()
        self._conditions = {query: question for query, question in self._conditions.items() if not question.is_over}
        asked = queries(policy)
        holds = await asyncio.gather(*(self._condition(query, self._signals).answer() for query in asked))
        firing = await self._alerts(self._signals).answer() if policy.alerts else ()
        self._note([*holds, *([firing] if policy.alerts else [])])
        problems = [str(answer) for answer in (*holds, firing) if isinstance(answer, SignalsUnavailableError)]
        answers = Answers(
            holds={query: None if isinstance(one, Exception) else one for query, one in zip(asked, holds, strict=True)},
            firing=None if isinstance(firing, SignalsUnavailableError) else firing,
        )
        return answers, tuple(dict.fromkeys(problems))

    async def _pending(self, policy: ServicePolicy) -> Sequence[Mapping[str, str]] | None:
        if self._signals is None or not policy.alerts:
            return ()
        try:
            return await self._signals.pending()
        except SignalsUnavailableError:
            return None  # no news either: `_ask` tells

    def _condition(self, query: str, signals: Signals) -> _Question[bool]:
        if query not in self._conditions:
            self._conditions[query] = _Question(lambda: signals.holds(query), self._clock)
        return self._conditions[query]

    def _alerts(self, signals: Signals) -> _Question[Sequence[Mapping[str, str]]]:
        if self._firing is None:
            self._firing = _Question(signals.firing, self._clock)
        return self._firing

    def _note(self, answers: Sequence[object]) -> None:
        """Tell once that Prometheus is away, and once that it is back; a useless answer is an answer."""
        silent = [one for one in answers if isinstance(one, SignalsUnavailableError) and not isinstance(one, InconclusiveError)]
        if len(silent) < len(answers):
            if self._away_since is not None:
                log.info("prometheus back", extra={"fields": {"seconds": round(self.away_seconds, 1)}})
            self._away_since = None
        elif silent and self._away_since is None:
            self._away_since = self._clock.monotonic()
            log.warning("prometheus away", extra={"fields": {"reason": str(silent[0])}})
