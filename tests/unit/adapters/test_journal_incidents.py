"""What the journal keeps of incidents, and that it takes over files which knew none."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from controller.adapters.journal import file as file_module
from controller.model.incident import Entry, EntryKind, FaultKind, Incident, IncidentState
from tests.unit.adapters.conftest import Open


def _incident(number: int, *, ended: float | None = None, **more: object) -> Incident:
    fields: dict[str, object] = {
        "id": number,
        "service": "shop_web",
        "kind": FaultKind.DRIFT,
        "state": IncidentState.OPEN if ended is None else IncidentState.RECOVERED,
        "opened": 1000.25,
        "summary": "was changed by hand",
        "ended": ended,
        "entries": (Entry(1000.25, EntryKind.OBSERVATION, "geändert"), Entry(1000.5, EntryKind.ACTION, "updated")),
        **more,
    }
    return Incident(**fields)  # type: ignore[arg-type] # built from parts


async def test_incidents_come_back_whole_those_that_have_not_ended_first(opened: Open) -> None:
    journal = await opened()
    old = _incident(1, began=999.5, acted=1000.5)
    held = _incident(3, service="shop_db", kind=FaultKind.BAD_REVISION, state=IncidentState.HELD)
    await journal.keep_incidents([old, _incident(2, ended=1100.0), held, _incident(4, ended=1200.0)])

    assert await journal.incidents(limit=9) == [held, old, _incident(4, ended=1200.0), _incident(2, ended=1100.0)]
    assert await journal.incidents(limit=9, service="shop_db") == [held]
    assert await journal.incidents(limit=1, states=(IncidentState.RECOVERED,)) == [_incident(4, ended=1200.0)]
    assert (await journal.incident(1), await journal.incident(7)) == (old, None)


async def test_an_incident_takes_the_place_of_what_was_known_of_it(opened: Open) -> None:
    journal = await opened()
    await journal.keep_incidents([_incident(1)])
    await journal.keep_incidents([_incident(1, ended=1100.0)])
    await journal.close()

    assert await (await opened()).incidents(limit=9) == [_incident(1, ended=1100.0)]


async def test_the_oldest_incidents_go_and_those_that_have_not_ended_stay(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_module, "PRUNED_EVERY", 10)
    monkeypatch.setattr(file_module, "KEPT_INCIDENTS", 5)
    journal = await opened()

    await journal.keep_incidents([_incident(number, ended=None if number == 2 else 1.0) for number in range(1, 21)])

    assert [item.id for item in await journal.incidents(limit=99)] == [2, 20, 19, 18, 17, 16]


def _first_schema(path: Path) -> None:
    """The file as the version before incidents made it."""
    path.parent.mkdir()
    connection = sqlite3.connect(path)
    connection.executescript("""
        CREATE TABLE passes (id INTEGER NOT NULL PRIMARY KEY, reconcile_id TEXT NOT NULL, "key" TEXT NOT NULL,
            started DOUBLE PRECISION NOT NULL, seconds DOUBLE PRECISION NOT NULL, result TEXT NOT NULL, reason TEXT NOT NULL);
        CREATE TABLE actions (id INTEGER NOT NULL PRIMARY KEY, reconcile_id TEXT NOT NULL, "key" TEXT NOT NULL,
            verb TEXT NOT NULL,
            kind TEXT NOT NULL, name TEXT NOT NULL, reason TEXT NOT NULL, outcome TEXT NOT NULL, time DOUBLE PRECISION NOT NULL,
            seconds DOUBLE PRECISION NOT NULL, changes TEXT NOT NULL, message TEXT NOT NULL);
        CREATE TABLE notes (name TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL);
        INSERT INTO notes VALUES ('salt', 'kept');
        PRAGMA user_version = 1;
    """)
    connection.close()


async def test_a_file_of_the_first_schema_is_taken_over_in_place(opened: Open, path: Path) -> None:
    _first_schema(path)

    journal = await opened()
    await journal.keep_incidents([_incident(1)])

    assert await journal.notes() == {"salt": "kept"}
    assert await journal.incidents(limit=9) == [_incident(1)]
    assert [file.name for file in path.parent.iterdir() if "damaged" in file.name] == []
    await journal.close()
    assert await (await opened()).incidents(limit=9) == [_incident(1)]
