"""From a fault's first sign to its end: what is told once, timed, kept, and taken up again."""

from __future__ import annotations

from dataclasses import replace

from controller.core.faults import Fault, Finding, Standing
from controller.engine.incidents import FLAPPING_SECONDS, LINES_KEPT
from controller.engine.records import ActionOutcome
from controller.model.incident import FaultKind, IncidentState
from tests.unit.engine.scene import (
    ACTION,
    DECISION,
    DRIFT,
    MISSING,
    OBSERVATION,
    PAUSED,
    WEB,
    WELL,
    Scene,
    absent,
    moving,
    result,
    told,
)


async def test_a_fault_is_told_from_its_first_sign_to_its_end_with_its_three_times(scene: Scene) -> None:
    scene.incidents.follow(WEB, WELL)
    began = scene.clock.wall() + 1.0
    scene.after(3.0).follow(WEB, absent(began), decision="create it (missing)")
    scene.after(0.5).took(WEB, [result()])
    scene.after(1.0).follow(WEB, moving("1 of 3 replicas run"))
    scene.after(1.0).follow(WEB, WELL)

    (incident,) = await scene.incidents.recent(limit=5)
    assert incident.state is IncidentState.RECOVERED
    assert (incident.id, incident.service, incident.kind, incident.summary) == (1, WEB, MISSING, "is not there")
    assert told(incident) == [
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
        scene.after(1.0).follow(WEB, absent(), decision="create it")
        scene.after(1.0).follow(WEB, moving("0 of 3 replicas run"))
    assert [text for _, text in told(scene.only)] == ["is not there", "create it", "0 of 3 replicas run"]

    scene.incidents.took(WEB, [result()])
    scene.incidents.follow(WEB, absent(), decision="create it")

    assert [text for _, text in told(scene.only)][3:] == ["created in 0.250 s (missing)", "is not there", "create it"]


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
    scene.incidents.follow(WEB, moving("1 of 3 replicas run"), decision="update it (edited)")
    scene.incidents.took(WEB, [result(ActionOutcome.UNKNOWN, "no answer")])

    assert await scene.incidents.recent(limit=5) == []


async def test_an_edit_under_way_is_told_in_the_incident_that_it_may_end(scene: Scene) -> None:
    scene.incidents.observed(WEB, FaultKind.DEGRADED, "1 of 3 replicas run")

    scene.incidents.follow(WEB, moving("2 of 3 replicas run"), decision="update it (edited)")

    assert told(scene.only)[1:] == [(OBSERVATION, "2 of 3 replicas run"), (DECISION, "update it (edited)")]


async def test_a_refused_write_is_an_incident_and_one_without_an_answer_is_a_line(scene: Scene) -> None:
    scene.incidents.follow(WEB, absent())
    scene.incidents.took(WEB, [result(ActionOutcome.UNKNOWN, "timeout"), result(ActionOutcome.REFUSED, "invalid mount")])

    refused, missing = scene.incidents.open_of(WEB)[::-1]
    assert (refused.kind, refused.summary) == (FaultKind.REFUSED, "create was refused: invalid mount")
    assert told(missing)[1:] == [(OBSERVATION, "create: unknown: timeout")]
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
    assert (scene.only.state, told(scene.only)) == (
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
    assert told(scene.only)[-1] == (OBSERVATION, "0 of 3")


# When it began.


async def test_a_fault_cannot_have_begun_before_the_last_look_that_found_nothing_wrong(scene: Scene) -> None:
    scene.incidents.follow(WEB, WELL)
    scene.after(30.0).follow(WEB, absent(began=scene.clock.wall() - 600.0))

    assert scene.only.seconds_to_detect == 30.0


async def test_time_in_which_it_was_paused_is_not_time_to_detect(scene: Scene) -> None:
    scene.incidents.follow(WEB, WELL)
    began = scene.after(1.0)._clock.wall()
    scene.after(3600.0).follow(WEB, PAUSED)
    scene.after(2.0).follow(WEB, Finding(Standing.FAULTY, "x", Fault(DRIFT, "x", began)))

    assert scene.only.seconds_to_detect == 2.0


async def test_an_engine_whose_clock_is_ahead_makes_no_negative_times(scene: Scene) -> None:
    scene.incidents.follow(WEB, absent(began=scene.clock.wall() + 60.0))
    scene.after(2.0).follow(WEB, WELL)

    assert scene.recorder.timed == [("detected", MISSING, 0.0), ("recovered", MISSING, 2.0)]


async def test_a_stamp_that_comes_a_pass_late_is_taken_if_it_is_of_the_fault(scene: Scene) -> None:
    opened = scene.clock.wall()
    scene.incidents.follow(WEB, absent())
    scene.after(1.0).follow(WEB, absent(began=opened + 0.5))  # of something that came after
    assert scene.only.began is None

    scene.incidents.follow(WEB, absent(began=opened - 0.5))
    scene.incidents.follow(WEB, absent(began=opened - 5.0))

    assert (scene.only.seconds_to_detect, scene.recorder.timed) == (0.5, [("detected", MISSING, 0.5)])


async def test_without_a_stamp_no_time_to_detect_is_counted(scene: Scene) -> None:
    scene.incidents.follow(WEB, absent())
    scene.after(4.0).follow(WEB, WELL)

    assert scene.recorder.timed == [("recovered", MISSING, 4.0)]


# Flapping.


async def test_what_comes_back_at_once_is_the_same_incident_and_timed_anew(scene: Scene) -> None:
    scene.incidents.follow(WEB, absent())
    scene.after(10.0).follow(WEB, WELL)
    await scene.incidents.save()
    scene.after(FLAPPING_SECONDS).follow(WEB, absent())
    assert (scene.only.id, scene.only.state, scene.only.ended) == (1, IncidentState.OPEN, None)
    assert told(scene.only)[-1] == (OBSERVATION, "came back after 60 s: is not there")
    assert scene.recorder.open_incidents[MISSING] == 1

    scene.after(5.0).follow(WEB, WELL)

    assert scene.recorder.timed == [("recovered", MISSING, 10.0), ("recovered", MISSING, 5.0)]


async def test_what_comes_back_later_is_another_incident(scene: Scene) -> None:
    scene.incidents.follow(WEB, absent())
    scene.incidents.follow(WEB, WELL)
    scene.after(FLAPPING_SECONDS + 0.1).follow(WEB, absent())

    assert [(item.id, item.state) for item in await scene.incidents.recent(limit=5)] == [
        (2, IncidentState.OPEN),
        (1, IncidentState.RECOVERED),
    ]


# Bounds.


async def test_a_long_timeline_loses_its_middle_and_says_so(scene: Scene) -> None:
    scene.incidents.observed(WEB, DRIFT, "line 0")
    for number in range(1, 500):
        scene.after(1.0).acted(WEB, DRIFT, f"line {number}")

    lines = [text for _, text in told(scene.only)]
    assert len(lines) == LINES_KEPT
    assert lines[:40] == [f"line {number}" for number in range(40)]
    assert lines[40] == "301 lines are left out here"
    assert lines[41:] == [f"line {number}" for number in range(341, 500)]
    assert scene.only.entries[40].time == scene.only.entries[41].time - 1.0


async def test_a_long_line_is_cut(scene: Scene) -> None:
    for _ in range(2):
        scene.incidents.observed(WEB, DRIFT, "x" * 5000)

    assert [len(text) for _, text in told(scene.only)] == [1000]


async def test_what_has_ended_and_is_saved_is_let_go(scene: Scene) -> None:
    scene.incidents.follow(WEB, absent())
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
