"""Incidents with a journal and a clock that stand still, and what may be found of a service."""

from __future__ import annotations

from controller.core.faults import Fault, Finding, Standing
from controller.engine.executor import ActionResult
from controller.engine.incidents import Incidents
from controller.engine.records import ActionOutcome
from controller.model.incident import EntryKind, FaultKind, Incident
from controller.model.plan import Action, ObjectKind, Reason, Verb
from tests.support.clock import FakeClock
from tests.support.fakes import FakeJournal, FakeRecorder

WEB, DRIFT, MISSING = "shop_web", FaultKind.DRIFT, FaultKind.MISSING
WELL = Finding(Standing.WELL, "3 of 3 replicas run")
PAUSED = Finding(Standing.PAUSED, "paused")
OBSERVATION, DECISION, ACTION = EntryKind.OBSERVATION, EntryKind.DECISION, EntryKind.ACTION


class Scene:
    def __init__(self, journal: FakeJournal | None = None, clock: FakeClock | None = None) -> None:
        self.journal, self.recorder, self.clock = journal or FakeJournal(), FakeRecorder(), clock or FakeClock()
        self.incidents = Incidents(self.journal, self.recorder, self.clock)

    async def restarted(self) -> Scene:
        later = Scene(self.journal, self.clock)
        await later.incidents.load()
        return later

    @property
    def only(self) -> Incident:
        (incident,) = self.incidents.open_ones()
        return incident

    def after(self, seconds: float) -> Incidents:
        self.clock.advance(seconds)
        return self.incidents


def absent(began: float | None = None) -> Finding:
    return Finding(Standing.FAULTY, "is not there", Fault(MISSING, "is not there", began))


def moving(text: str) -> Finding:
    return Finding(Standing.MOVING, text)


def result(outcome: ActionOutcome = ActionOutcome.DONE, message: str = "") -> ActionResult:
    action = Action(Verb.CREATE, ObjectKind.SERVICE, WEB, Reason.MISSING)
    return ActionResult(action, outcome, 0.25, message)


def told(incident: Incident) -> list[tuple[EntryKind, str]]:
    return [(entry.kind, entry.text) for entry in incident.entries]
