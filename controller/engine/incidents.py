"""Incidents: each fault of a service from its first sign to its end, told line by line.

The calls that passes make are cheap and do no I/O; `save` writes what changed, and a journal that cannot be written costs
the memory of it and nothing else. A line is added when it says something new, never once per pass.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import TypeAlias

from controller.core.faults import Finding, Standing, action_text
from controller.engine.executor import ActionResult
from controller.engine.ports import Clock
from controller.engine.records import ActionOutcome, Journal, Recorder
from controller.errors import JournalError
from controller.model.incident import Entry, EntryKind, FaultKind, Incident, IncidentState

log = logging.getLogger("prodbreaker.engine")

LINES_KEPT = 200  # of one incident
_FIRST_LINES_KEPT = 40  # of these: how it began tells more than its middle
LONGEST_LINE = 1_000  # characters
FLAPPING_SECONDS = 60.0  # what comes back so soon after its recovery is the same incident
UNSAVED_KEPT = 2_000  # while the journal cannot be written
_LEFT_OUT = re.compile(r"(\d+) lines are left out here")

# What passes find and see the end of. A bad revision is over, too, when another one is declared and well; else, as with the
# kinds that are not here, whoever opened it says so.
_FOLLOWED = (FaultKind.MISSING, FaultKind.DRIFT, FaultKind.DEGRADED, FaultKind.REFUSED)

Listener: TypeAlias = Callable[[Incident], None]


class Incidents:
    """Belongs to one event loop. Texts come masked. Kind None means every open incident of the service."""

    def __init__(self, journal: Journal, recorder: Recorder, clock: Clock) -> None:
        self._journal, self._recorder, self._clock = journal, recorder, clock
        self._kept: dict[int, Incident] = {}  # not ended, ended a moment ago, or not saved yet
        self._latest: dict[tuple[str, FaultKind], int] = {}  # of those, the newest of each key
        self._next = int(clock.wall())  # far above what a journal that could not be read may hold
        self._unsaved: set[int] = set()
        self._untold: set[int] = set()
        self._reopened: dict[int, float] = {}  # wall clock
        self._sound: dict[str, float] = {}  # by service: when a look last found nothing wrong, wall clock
        self._listeners: list[Listener] = []

    # What the loop tells.

    def follow(self, service: str, finding: Finding, *, decision: str = "") -> None:
        """What a pass found, and what it decided: opens, continues or ends the incidents of the service."""
        if finding.standing in (Standing.WELL, Standing.PAUSED):
            self._sound[service] = self._clock.wall()
        if finding.fault is not None:
            kind = self._explained(service, finding.fault.kind)
            self.observed(service, kind, finding.text, began=finding.fault.began)
            if decision:
                self.decided(service, kind, decision)
            return
        for incident in self.open_of(service):
            if finding.standing is not Standing.WELL:
                self.observed(service, incident.kind, finding.text)
            elif incident.kind in _FOLLOWED or (incident.kind is FaultKind.BAD_REVISION and finding.is_as_declared):
                self.recovered(service, incident.kind, finding.text)
        if decision:
            self.decided(service, None, decision)

    def took(self, service: str, results: Sequence[ActionResult]) -> None:
        """What came of the actions on the service."""
        for result in results:
            action, outcome = result.action, result.outcome
            if outcome is ActionOutcome.DONE:
                self.acted(service, None, action_text(action, seconds=result.seconds))
            elif outcome is ActionOutcome.REFUSED:
                self.observed(service, FaultKind.REFUSED, f"{action.verb} was refused: {result.message}")
            else:
                for incident in self.open_of(service):
                    self.observed(service, incident.kind, f"{action.verb}: {outcome}: {result.message}")

    def observed(self, service: str, kind: FaultKind, text: str, *, began: float | None = None) -> None:
        """A fault is there: open an incident, or add what is new. `began` is the engine's stamp in seconds, if it has one."""
        incident = self._find(service, kind)
        if incident is None:
            self._open(service, kind, text, began)
        elif incident.ended is not None:
            self._reopen(incident, text)
        else:
            if began is not None and began <= incident.opened:  # else it is the time of something that came after
                self._learn_beginning(incident, began)
            self._add(self._kept[incident.id], EntryKind.OBSERVATION, text)

    def decided(self, service: str, kind: FaultKind | None, text: str) -> None:
        """What is going to be done about it, or why nothing is; without an open incident it is nobody's news."""
        for incident in self._open_ones(service, kind):
            self._add(incident, EntryKind.DECISION, text)

    def acted(self, service: str, kind: FaultKind | None, text: str) -> None:
        """Something was done; the first time counts as the time to act."""
        for incident in self._open_ones(service, kind):
            if incident.acted is None:
                incident = replace(incident, acted=self._clock.wall())
                self._recorder.incident_acted(incident.kind, incident.seconds_to_act or 0.0)
            self._append(incident, EntryKind.ACTION, text)

    def held(self, service: str, kind: FaultKind, text: str) -> None:
        """Nothing more is done about it by itself; opens the incident if there is none."""
        if not self._open_ones(service, kind):
            self.observed(service, kind, text)
        for incident in self._open_ones(service, kind):
            if incident.state is not IncidentState.HELD:
                self._append(replace(incident, state=IncidentState.HELD), EntryKind.DECISION, f"held: {text}")

    def recovered(self, service: str, kind: FaultKind | None, text: str) -> None:
        """It is over."""
        for incident in self._open_ones(service, kind):
            ended = replace(incident, state=IncidentState.RECOVERED, ended=self._clock.wall())
            self._append(ended, EntryKind.OBSERVATION, f"recovered: {text}")
            since = self._reopened.pop(incident.id, None)
            seconds = ended.seconds_to_recover if since is None else self._clock.wall() - since
            self._recorder.incident_recovered(incident.kind, max(0.0, seconds or 0.0))
            self._count(incident.kind)

    def dropped(self, service: str, text: str = "is not declared any more") -> None:
        """Nobody asks for the service any more: its incidents end, and no recovery is counted."""
        for incident in self.open_of(service):
            ended = replace(incident, state=IncidentState.RECOVERED, ended=self._clock.wall())
            self._append(ended, EntryKind.OBSERVATION, text)
            self._count(incident.kind)
        self._sound.pop(service, None)

    def retain(self, declared: Collection[str]) -> None:
        """Drop what a restart took up and nobody declares any more; `declared` are real names, complete."""
        for service in {item.service for item in self.open_ones()} - {"", *declared}:
            self.dropped(service)

    # What others ask.

    def open_of(self, service: str) -> list[Incident]:
        """Those of one service that have not ended."""
        return self._open_ones(service, None)

    def open_ones(self) -> list[Incident]:
        """All that have not ended, newest first."""
        return sorted((item for item in self._kept.values() if item.ended is None), key=lambda item: -item.id)

    async def recent(
        self, *, limit: int, service: str | None = None, states: Collection[IncidentState] = tuple(IncidentState)
    ) -> list[Incident]:
        """Those that have not ended first, then the newest; from memory alone where the journal cannot be read."""
        found = {item.id: item for item in self._kept.values() if item.state in states and service in (None, item.service)}
        try:
            stored = await self._journal.incidents(limit=limit, service=service, states=states)
        except JournalError as error:
            log.error("journal", extra={"fields": {"reason": str(error)}})  # noqa: TRY400 - a full disk is no bug to trace
            stored = ()
        found |= {item.id: item for item in stored if item.id not in self._kept}
        return sorted(found.values(), key=lambda item: (item.ended is not None, -item.id))[:limit]

    async def get(self, number: int) -> Incident | None:
        """Raises JournalError."""
        return self._kept.get(number) or await self._journal.incident(number)

    def subscribe(self, listener: Listener) -> None:
        """Have each incident that changed told, once per `save`. The listener must neither wait nor raise."""
        self._listeners.append(listener)

    # The journal.

    async def load(self) -> None:
        """Take up what has not ended, and what ended a moment ago. Raises JournalError; it then goes on without."""
        states = (IncidentState.OPEN, IncidentState.HELD)
        unended = await self._journal.incidents(limit=UNSAVED_KEPT, states=states)
        ended = await self._journal.incidents(limit=LINES_KEPT, states=(IncidentState.RECOVERED,))
        self._next = max((item.id for item in (*unended, *ended)), default=0) + 1
        for incident in sorted((*unended, *ended), key=lambda item: (item.ended is None, item.id)):
            earlier = self._find(incident.service, incident.kind)
            self._kept[incident.id] = incident
            self._latest[incident.service, incident.kind] = incident.id
            if earlier is not None and earlier.ended is None:  # of a time when the journal could not be read
                over = replace(earlier, state=IncidentState.RECOVERED, ended=self._clock.wall())
                self._append(over, EntryKind.OBSERVATION, f"goes on as incident {incident.id}")
        self._let_go()
        for kind in FaultKind:
            self._count(kind)

    async def save(self) -> None:
        """Write each incident that changed since the last call, then tell the listeners, also when it could not be written.

        Raises JournalError; what could not be written stays for the next call.
        """
        changed, self._unsaved = self._unsaved, set()
        try:
            if changed:
                await self._journal.keep_incidents([self._kept[number] for number in sorted(changed)])
        except (JournalError, asyncio.CancelledError):
            self._unsaved |= changed & self._kept.keys()
            raise
        finally:
            self._tell()
            self._let_go()

    def _tell(self) -> None:
        untold, self._untold = self._untold, set()
        for incident in [self._kept[number] for number in sorted(untold)]:
            for listener in self._listeners:
                listener(incident)

    def _let_go(self) -> None:
        """Forget what has ended and is saved, once it can come back as another incident only."""
        old = self._clock.wall() - FLAPPING_SECONDS
        ended = [item for item in self._kept.values() if item.ended is not None]
        surplus = len(self._kept) - UNSAVED_KEPT
        for position, item in enumerate(sorted(ended, key=lambda item: item.id)):
            is_over = (item.ended or 0.0) < old and item.id not in self._unsaved
            if is_over or position < surplus:
                del self._kept[item.id]
                self._unsaved.discard(item.id)
                self._reopened.pop(item.id, None)
                if self._latest.get((item.service, item.kind)) == item.id:
                    del self._latest[item.service, item.kind]

    # One incident.

    def _find(self, service: str, kind: FaultKind) -> Incident | None:
        """The open incident of this key, or one that ended so short a time ago that it would be the same again."""
        incident = self._kept.get(self._latest.get((service, kind), -1))
        if incident is None or incident.ended is None or self._clock.wall() - incident.ended <= FLAPPING_SECONDS:
            return incident
        return None

    def _open_ones(self, service: str, kind: FaultKind | None) -> list[Incident]:
        kinds = FaultKind if kind is None else (kind,)
        found = (self._find(service, each) for each in kinds)
        return [incident for incident in found if incident is not None and incident.ended is None]

    def _explained(self, service: str, kind: FaultKind) -> FaultKind:
        """Replicas that a bad revision lacks are that revision's doing and no incident of their own."""
        bad = FaultKind.BAD_REVISION
        return bad if kind is FaultKind.DEGRADED and self._open_ones(service, bad) else kind

    def _open(self, service: str, kind: FaultKind, text: str, began: float | None) -> None:
        now, text = self._clock.wall(), text[:LONGEST_LINE]
        incident = Incident(self._next, service, kind, IncidentState.OPEN, now, summary=text)
        self._next += 1
        self._latest[service, kind] = incident.id
        self._append(incident, EntryKind.OBSERVATION, text)
        self._learn_beginning(self._kept[incident.id], began)
        self._count(kind)

    def _reopen(self, incident: Incident, text: str) -> None:
        now = self._clock.wall()
        well = now - (incident.ended or now)
        self._reopened[incident.id] = now
        again = replace(incident, state=IncidentState.OPEN, ended=None)
        self._append(again, EntryKind.OBSERVATION, f"came back after {well:.0f} s: {text}")
        self._count(incident.kind)

    def _learn_beginning(self, incident: Incident, began: float | None) -> None:
        """Take the stamp, within what our own clock knows: after the last look that found nothing wrong, before the detection."""
        if began is None or incident.began is not None:
            return
        began = min(max(began, self._sound.get(incident.service, began)), incident.opened)
        incident = replace(incident, began=began)
        self._put(incident)
        self._recorder.incident_detected(incident.kind, incident.seconds_to_detect or 0.0)

    def _add(self, incident: Incident, kind: EntryKind, text: str) -> None:
        """Append it if it is news: not told since the last action."""
        text = text[:LONGEST_LINE]
        for entry in reversed(incident.entries):
            if entry.kind is EntryKind.ACTION:
                break
            if (entry.kind, entry.text) == (kind, text):
                return
        self._append(incident, kind, text)

    def _append(self, incident: Incident, kind: EntryKind, text: str) -> None:
        entries = (*incident.entries, Entry(self._clock.wall(), kind, text[:LONGEST_LINE]))
        self._put(replace(incident, entries=_bounded(entries)))

    def _put(self, incident: Incident) -> None:
        self._kept[incident.id] = incident
        self._unsaved.add(incident.id)
        self._untold.add(incident.id)

    def _count(self, kind: FaultKind) -> None:
        counts = Counter(item.kind for item in self._kept.values() if item.ended is None)
        self._recorder.incidents_open(kind, counts[kind])


def _bounded(entries: tuple[Entry, ...]) -> tuple[Entry, ...]:
    """Drop the middle of what is too long, and say in its place how much of it."""
    if len(entries) <= LINES_KEPT:
        return entries
    first, rest = entries[:_FIRST_LINES_KEPT], entries[_FIRST_LINES_KEPT:]
    before = _LEFT_OUT.fullmatch(rest[0].text)
    last = rest[-(LINES_KEPT - _FIRST_LINES_KEPT - 1) :]
    dropped = rest[1 if before else 0 : -len(last)]
    count = len(dropped) + (int(before[1]) if before else 0)
    return (*first, Entry(dropped[-1].time, EntryKind.OBSERVATION, f"{count} lines are left out here"), *last)
