"""From a fault's first sign to its end: what is told once, timed, kept, and taken up again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from controller.core.faults import Fault, Finding, Standing
from controller.engine.executor import ActionResult
from controller.engine.incidents import FLAPPING_SECONDS, LINES_KEPT, UNSAVED_KEPT, Incidents
from controller.engine.records import ActionOutcome
from controller.errors import JournalError
from controller.model.incident import EntryKind, FaultKind, Incident, IncidentState
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


@pytest.fixture
async def scene() -> Scene:
    made = Scene()
    await made.incidents.load()
    return made


def _missing(began: float | None = None) -> Finding:
    return Finding(Standing.FAULTY, "is not there", Fault(MISSING, "is not there", began))


def _moving(text: str) -> Finding:
    return Finding(Standing.MOVING, text)


def _result(outcome: ActionOutcome = ActionOutcome.DONE, message: str = "") -> ActionResult:
    action = Action(Verb.CREATE, ObjectKind.SERVICE, WEB, Reason.MISSING)
    return ActionResult(action, outcome, 0.25, message)


def _lines(incident: Incident) -> list[tuple[EntryKind, str]]:
    return [(entry.kind, entry.text) for entry in incident.entries]


async def test_a_fault_is_told_from_its_first_sign_to_its_end_with_its_three_times(scene: Scene) -> None:
    scene.incidents.follow(WEB, WELL)
    began = scene.clock.wall() + 1.0
    scene.after(3.0).follow(WEB, _missing(began), decision="create it (missing)")
    scene.after(0.5).took(WEB, [_result()])
    scene.after(1.0).follow(WEB, _moving("1 of 3 replicas run"))
    scene.after(1.0).follow(WEB, WELL)

    (incident,) = await scene.incidents.recent(limit=5)
    assert incident.state is IncidentState.RECOVERED
    assert (incident.id, incident.service, incident.kind, incident.summary) == (1, WEB, MISSING, "is not there")
    assert _lines(incident) == [
        (OBSERVATION, "is not there"),
        (DECISION, "create it (missing)"),
        (ACTION, "created in 0.250 s (missing)"),
        (OBSERVATION, "1 of 3 replicas run"),
        (OBSERVATION, "recovered: 3 of 3 replicas run"),
    ]
    assert (incident.seconds_to_detect, incident.seconds_to_act, incident.seconds_to_recover) == (2.0, 0.5, 4.5)
    assert scene.recorder.timed == [("detected", MISSING, 2.0), ("acted", MISSING, 0.5), ("recovered", MISSING, 4.5)]
    assert scene.recorder.open_incidents[MISSING] == 0


async def test_no_pass_repeats_what_was_told_since_the_last_action(scene: Scene) -> None:
    for _ in range(3):
        scene.after(1.0).follow(WEB, _missing(), decision="create it")
        scene.after(1.0).follow(WEB, _moving("0 of 3 replicas run"))
    assert [text for _, text in _lines(scene.only)] == ["is not there", "create it", "0 of 3 replicas run"]

    scene.incidents.took(WEB, [_result()])
    scene.incidents.follow(WEB, _missing(), decision="create it")

    assert [text for _, text in _lines(scene.only)][3:] == ["created in 0.250 s (missing)", "is not there", "create it"]


async def test_one_incident_per_service_and_kind(scene: Scene) -> None:
    scene.incidents.observed(WEB, DRIFT, "a")
    scene.incidents.observed(WEB, MISSING, "b")
    scene.incidents.observed("shop_db", DRIFT, "c")
    scene.incidents.observed(WEB, DRIFT, "d")

    assert [(item.id, item.service, item.kind) for item in scene.incidents.open_ones()] == [
        (3, "shop_db", DRIFT),
        (2, WEB, MISSING),
        (1, WEB, DRIFT),
    ]
    assert scene.recorder.open_incidents[DRIFT] == 2
    assert {item.kind for item in scene.incidents.open_of(WEB)} == {DRIFT, MISSING}


async def test_recovery_ends_what_passes_follow_and_leaves_the_rest_to_its_owner(scene: Scene) -> None:
    for kind in (MISSING, DRIFT, FaultKind.DEGRADED, FaultKind.REFUSED, FaultKind.BAD_REVISION, FaultKind.HELD):
        scene.incidents.observed(WEB, kind, "x")

    scene.incidents.follow(WEB, WELL)

    assert {item.kind for item in scene.incidents.open_of(WEB)} == {FaultKind.BAD_REVISION, FaultKind.HELD}
    scene.incidents.recovered(WEB, FaultKind.BAD_REVISION, "revision 3 serves")
    assert {item.kind for item in scene.incidents.open_of(WEB)} == {FaultKind.HELD}


async def test_a_bad_revision_is_over_when_another_one_is_declared_and_well(scene: Scene) -> None:
    scene.incidents.held(WEB, FaultKind.BAD_REVISION, "nothing earlier was stable")
    scene.incidents.follow(WEB, WELL)
    assert scene.only.state is IncidentState.HELD

    scene.incidents.follow(WEB, replace(WELL, is_as_declared=True))

    assert scene.incidents.open_ones() == []


async def test_what_is_said_without_an_open_incident_is_nobodys_news(scene: Scene) -> None:
    scene.incidents.decided(WEB, DRIFT, "update it")
    scene.incidents.acted(WEB, None, "updated")
    scene.incidents.recovered(WEB, None, "fine")
    scene.incidents.follow(WEB, _moving("1 of 3 replicas run"), decision="update it (edited)")
    scene.incidents.took(WEB, [_result(ActionOutcome.UNKNOWN, "no answer")])

    assert await scene.incidents.recent(limit=5) == []


async def test_an_edit_under_way_is_told_in_the_incident_that_it_may_end(scene: Scene) -> None:
    scene.incidents.observed(WEB, FaultKind.DEGRADED, "1 of 3 replicas run")

    scene.incidents.follow(WEB, _moving("2 of 3 replicas run"), decision="update it (edited)")

    assert _lines(scene.only)[1:] == [(OBSERVATION, "2 of 3 replicas run"), (DECISION, "update it (edited)")]


async def test_a_refused_write_is_an_incident_and_one_without_an_answer_is_a_line(scene: Scene) -> None:
    scene.incidents.follow(WEB, _missing())
    scene.incidents.took(WEB, [_result(ActionOutcome.UNKNOWN, "timeout"), _result(ActionOutcome.REFUSED, "invalid mount")])

    refused, missing = scene.incidents.open_of(WEB)[::-1]
    assert (refused.kind, refused.summary) == (FaultKind.REFUSED, "create was refused: invalid mount")
    assert _lines(missing)[1:] == [(OBSERVATION, "create: unknown: timeout")]
    assert missing.acted is None


async def test_only_the_first_action_counts_as_the_time_to_act(scene: Scene) -> None:
    scene.incidents.observed(WEB, DRIFT, "x")
    scene.after(1.0).acted(WEB, DRIFT, "one")
    scene.after(1.0).acted(WEB, DRIFT, "two")

    assert scene.only.seconds_to_act == 1.0
    assert scene.recorder.timed == [("acted", DRIFT, 1.0)]


async def test_held_is_open_until_it_is_well_again(scene: Scene) -> None:
    scene.incidents.held(WEB, DRIFT, "5 actions in 10 min")
    scene.incidents.held(WEB, DRIFT, "5 actions in 10 min")
    assert (scene.only.state, _lines(scene.only)) == (
        IncidentState.HELD,
        [(OBSERVATION, "5 actions in 10 min"), (DECISION, "held: 5 actions in 10 min")],
    )
    scene.incidents.observed(WEB, DRIFT, "x")
    assert scene.only.state is IncidentState.HELD

    scene.incidents.follow(WEB, WELL)

    assert [item.state for item in await scene.incidents.recent(limit=5)] == [IncidentState.RECOVERED]


async def test_replicas_that_a_bad_revision_lacks_are_told_in_its_incident(scene: Scene) -> None:
    scene.incidents.observed(WEB, FaultKind.BAD_REVISION, "revision 4 does not start")

    scene.incidents.follow(WEB, Finding(Standing.FAULTY, "0 of 3", Fault(FaultKind.DEGRADED, "0 of 3", 5.0)))

    assert scene.only.kind is FaultKind.BAD_REVISION
    assert _lines(scene.only)[-1] == (OBSERVATION, "0 of 3")


# When it began.


async def test_a_fault_cannot_have_begun_before_the_last_look_that_found_nothing_wrong(scene: Scene) -> None:
    scene.incidents.follow(WEB, WELL)
    scene.after(30.0).follow(WEB, _missing(began=scene.clock.wall() - 600.0))

    assert scene.only.seconds_to_detect == 30.0


async def test_time_in_which_it_was_paused_is_not_time_to_detect(scene: Scene) -> None:
    scene.incidents.follow(WEB, WELL)
    began = scene.after(1.0)._clock.wall()
    scene.after(3600.0).follow(WEB, PAUSED)
    scene.after(2.0).follow(WEB, Finding(Standing.FAULTY, "x", Fault(DRIFT, "x", began)))

    assert scene.only.seconds_to_detect == 2.0


async def test_an_engine_whose_clock_is_ahead_makes_no_negative_times(scene: Scene) -> None:
    scene.incidents.follow(WEB, _missing(began=scene.clock.wall() + 60.0))
    scene.after(2.0).follow(WEB, WELL)

    assert scene.recorder.timed == [("detected", MISSING, 0.0), ("recovered", MISSING, 2.0)]


async def test_a_stamp_that_comes_a_pass_late_is_taken_if_it_is_of_the_fault(scene: Scene) -> None:
    opened = scene.clock.wall()
    scene.incidents.follow(WEB, _missing())
    scene.after(1.0).follow(WEB, _missing(began=opened + 0.5))  # of something that came after
    assert scene.only.began is None

    scene.incidents.follow(WEB, _missing(began=opened - 0.5))
    scene.incidents.follow(WEB, _missing(began=opened - 5.0))

    assert (scene.only.seconds_to_detect, scene.recorder.timed) == (0.5, [("detected", MISSING, 0.5)])


async def test_without_a_stamp_no_time_to_detect_is_counted(scene: Scene) -> None:
    scene.incidents.follow(WEB, _missing())
    scene.after(4.0).follow(WEB, WELL)

    assert scene.recorder.timed == [("recovered", MISSING, 4.0)]


# Flapping.


async def test_what_comes_back_at_once_is_the_same_incident_and_timed_anew(scene: Scene) -> None:
    scene.incidents.follow(WEB, _missing())
    scene.after(10.0).follow(WEB, WELL)
    await scene.incidents.save()
    scene.after(FLAPPING_SECONDS).follow(WEB, _missing())
    assert (scene.only.id, scene.only.state, scene.only.ended) == (1, IncidentState.OPEN, None)
    assert _lines(scene.only)[-1] == (OBSERVATION, "came back after 60 s: is not there")
    assert scene.recorder.open_incidents[MISSING] == 1

    scene.after(5.0).follow(WEB, WELL)

    assert scene.recorder.timed == [("recovered", MISSING, 10.0), ("recovered", MISSING, 5.0)]


async def test_what_comes_back_later_is_another_incident(scene: Scene) -> None:
    scene.incidents.follow(WEB, _missing())
    scene.incidents.follow(WEB, WELL)
    scene.after(FLAPPING_SECONDS + 0.1).follow(WEB, _missing())

    assert [(item.id, item.state) for item in await scene.incidents.recent(limit=5)] == [
        (2, IncidentState.OPEN),
        (1, IncidentState.RECOVERED),
    ]


# Bounds.


async def test_a_long_timeline_loses_its_middle_and_says_so(scene: Scene) -> None:
    scene.incidents.observed(WEB, DRIFT, "line 0")
    for number in range(1, 500):
        scene.after(1.0).acted(WEB, DRIFT, f"line {number}")

    lines = [text for _, text in _lines(scene.only)]
    assert len(lines) == LINES_KEPT
    assert lines[:40] == [f"line {number}" for number in range(40)]
    assert lines[40] == "301 lines are left out here"
    assert lines[41:] == [f"line {number}" for number in range(341, 500)]
    assert scene.only.entries[40].time == scene.only.entries[41].time - 1.0


async def test_a_long_line_is_cut(scene: Scene) -> None:
    for _ in range(2):
        scene.incidents.observed(WEB, DRIFT, "x" * 5000)

    assert [len(text) for _, text in _lines(scene.only)] == [1000]


async def test_what_has_ended_and_is_saved_is_let_go(scene: Scene) -> None:
    scene.incidents.follow(WEB, _missing())
    scene.incidents.follow(WEB, WELL)
    await scene.incidents.save()
    assert set(scene.incidents._kept) == {1}

    scene.clock.advance(FLAPPING_SECONDS + 1.0)
    await scene.incidents.save()

    assert (scene.incidents._kept, scene.incidents._latest) == ({}, {})
    found = await scene.incidents.get(1)
    assert found is not None
    assert found.summary == "is not there"
    assert await scene.incidents.get(2) is None


# The journal.


async def test_an_incident_survives_a_restart_and_goes_on_under_its_id(scene: Scene) -> None:
    scene.incidents.observed("shop_db", DRIFT, "x")
    scene.incidents.follow(WEB, _missing(), decision="create it")
    scene.incidents.held("shop_api", DRIFT, "too much")
    await scene.incidents.save()

    later = await scene.restarted()
    later.incidents.follow("shop_db", WELL)
    later.after(3.0).follow(WEB, _missing(), decision="create it")
    later.incidents.observed("shop_x", DRIFT, "new")

    assert [(item.id, item.service, item.state) for item in later.incidents.open_ones()] == [
        (4, "shop_x", IncidentState.OPEN),
        (3, "shop_api", IncidentState.HELD),
        (2, WEB, IncidentState.OPEN),
    ]
    assert len(later.incidents.open_of(WEB)[0].entries) == 2
    assert later.recorder.open_incidents == {kind: {DRIFT: 2, MISSING: 1}.get(kind, 0) for kind in FaultKind}


async def test_flapping_is_recognised_over_a_restart(scene: Scene) -> None:
    scene.incidents.follow(WEB, _missing())
    scene.incidents.follow(WEB, WELL)
    await scene.incidents.save()

    later = await scene.restarted()
    later.after(10.0).follow(WEB, _missing())

    assert later.only.id == 1


async def test_only_what_changed_is_written(scene: Scene) -> None:
    scene.incidents.observed(WEB, DRIFT, "x")
    await scene.incidents.save()
    scene.journal.known.clear()

    scene.incidents.observed(WEB, DRIFT, "x")
    await scene.incidents.save()

    assert scene.journal.known == {}


async def test_a_journal_that_cannot_be_written_stops_nothing_and_loses_nothing(scene: Scene) -> None:
    told: list[int] = []
    scene.incidents.subscribe(lambda incident: told.append(incident.id))
    scene.journal.broken = True
    scene.incidents.follow(WEB, _missing())
    with pytest.raises(JournalError):
        await scene.incidents.save()
    scene.after(5.0).follow(WEB, WELL)
    with pytest.raises(JournalError):
        await scene.after(FLAPPING_SECONDS + 1.0).save()
    assert [item.id for item in await scene.incidents.recent(limit=5)] == [1]
    assert told == [1, 1]

    scene.journal.broken = False
    await scene.incidents.save()

    assert [item.state for item in scene.journal.known.values()] == [IncidentState.RECOVERED]
    assert told == [1, 1]


async def test_what_cannot_be_written_for_very_long_is_bounded(scene: Scene) -> None:
    scene.journal.broken = True
    for number in range(UNSAVED_KEPT + 10):
        scene.incidents.observed(f"s{number}", DRIFT, "x")
        scene.incidents.recovered(f"s{number}", DRIFT, "y")

    with pytest.raises(JournalError):
        await scene.incidents.save()
    scene.journal.broken = False
    await scene.incidents.save()

    assert len(scene.journal.known) == UNSAVED_KEPT
    assert min(scene.journal.known) == 11


async def test_ids_given_without_a_journal_collide_with_none_of_it(scene: Scene) -> None:
    scene.incidents.observed(WEB, DRIFT, "before")
    await scene.incidents.save()
    scene.journal.broken = True
    blind = Scene(scene.journal, scene.clock)
    with pytest.raises(JournalError):
        await blind.incidents.load()
    blind.incidents.observed(WEB, DRIFT, "after")
    scene.journal.broken = False
    await blind.incidents.save()
    assert {item.summary for item in scene.journal.known.values()} == {"before", "after"}

    later = await scene.restarted()

    assert later.only.summary == "after"
    earlier = await later.incidents.get(1)
    assert earlier is not None
    assert earlier.entries[-1].text == f"goes on as incident {later.only.id}"


async def test_listeners_hear_of_each_change_once_and_with_the_newest_state(scene: Scene) -> None:
    told: list[Incident] = []
    scene.incidents.subscribe(told.append)
    scene.incidents.follow(WEB, _missing(), decision="create it")
    scene.incidents.took(WEB, [_result()])
    assert told == []

    await scene.incidents.save()
    await scene.incidents.save()

    assert [(item.id, len(item.entries)) for item in told] == [(1, 3)]


async def test_recent_merges_what_memory_and_journal_know(scene: Scene) -> None:
    for service in ("a", "b", "c"):
        scene.incidents.observed(service, DRIFT, "x")
        scene.incidents.recovered(service, DRIFT, "y")
    await scene.incidents.save()
    scene.after(FLAPPING_SECONDS + 1.0).observed("a", DRIFT, "again")
    await scene.incidents.save()
    scene.incidents.observed("b", DRIFT, "unsaved")

    assert [item.id for item in await scene.incidents.recent(limit=9)] == [5, 4, 3, 2, 1]
    assert [item.id for item in await scene.incidents.recent(limit=9, service="a")] == [4, 1]
    assert [item.id for item in await scene.incidents.recent(limit=9, states=(IncidentState.RECOVERED,))] == [3, 2, 1]
    assert [item.id for item in await scene.incidents.recent(limit=2)] == [5, 4]


async def test_what_nobody_declares_any_more_ends_and_counts_as_no_recovery(scene: Scene) -> None:
    scene.incidents.follow(WEB, _missing())

    scene.incidents.dropped(WEB)

    assert scene.incidents.open_ones() == []
    assert scene.recorder.timed == []
    assert scene.recorder.open_incidents[MISSING] == 0


async def test_a_restart_drops_what_is_not_declared_any_more_and_keeps_what_is_the_whole_swarms(scene: Scene) -> None:
    for service in (WEB, "shop_db", ""):
        scene.incidents.observed(service, DRIFT, "x")
    await scene.incidents.save()

    later = await scene.restarted()
    later.incidents.retain([WEB])

    assert [item.service for item in later.incidents.open_ones()] == ["", WEB]
