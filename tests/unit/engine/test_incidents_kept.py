"""What the journal keeps of incidents, over restarts and failures, and who hears of them."""

from __future__ import annotations

import pytest

from controller.engine.incidents import FLAPPING_SECONDS, UNSAVED_KEPT
from controller.errors import JournalError
from controller.model.incident import FaultKind, Incident, IncidentState
from tests.unit.engine.scene import DRIFT, MISSING, WEB, WELL, Scene, absent, result


async def test_an_incident_survives_a_restart_and_goes_on_under_its_id(scene: Scene) -> None:
    scene.incidents.observed("shop_db", DRIFT, "x")
    scene.incidents.follow(WEB, absent(), decision="create it")
    scene.incidents.held("shop_api", DRIFT, "too much")
    await scene.incidents.save()

    later = await scene.restarted()
    later.incidents.follow("shop_db", WELL)
    later.after(3.0).follow(WEB, absent(), decision="create it")
    later.incidents.observed("shop_x", DRIFT, "new")

    assert [(item.id, item.service, item.state) for item in later.incidents.open_ones()] == [
        (4, "shop_x", IncidentState.OPEN),
        (3, "shop_api", IncidentState.HELD),
        (2, WEB, IncidentState.OPEN),
    ]
    assert len(later.incidents.open_of(WEB)[0].entries) == 2
    assert later.recorder.open_incidents == {kind: {DRIFT: 2, MISSING: 1}.get(kind, 0) for kind in FaultKind}


async def test_flapping_is_recognised_over_a_restart(scene: Scene) -> None:
    scene.incidents.follow(WEB, absent())
    scene.incidents.follow(WEB, WELL)
    await scene.incidents.save()

    later = await scene.restarted()
    later.after(10.0).follow(WEB, absent())

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
    scene.incidents.follow(WEB, absent())
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
    scene.incidents.follow(WEB, absent(), decision="create it")
    scene.incidents.took(WEB, [result()])
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
    scene.incidents.follow(WEB, absent())

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
