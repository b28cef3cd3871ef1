"""Incidents over HTTP and on the page."""

from __future__ import annotations

from typing import Any

import pytest

from controller.errors import JournalError
from controller.model.incident import Entry, EntryKind, FaultKind, Incident, IncidentState
from tests.unit.web.conftest import Client, Connect, ScriptedController

OPENED = 1_767_225_600.25
MISSING = Incident(
    7,
    "shop_web",
    FaultKind.MISSING,
    IncidentState.OPEN,
    OPENED,
    "is not there",
    began=OPENED - 0.1,
    acted=OPENED + 0.5,
    entries=(Entry(OPENED, EntryKind.OBSERVATION, "is not there"), Entry(OPENED + 0.5, EntryKind.ACTION, "created <now>")),
)
ENDED = Incident(3, "shop_db", FaultKind.DRIFT, IncidentState.RECOVERED, OPENED, "was changed", ended=OPENED + 4.0)
BRAKE = Incident(
    2, "", FaultKind.BRAKE, IncidentState.HELD, OPENED, "x", entries=(Entry(OPENED, EntryKind.OBSERVATION, "a node is lost"),)
)


@pytest.fixture
def controller() -> ScriptedController:
    return ScriptedController(known=[MISSING, BRAKE, ENDED])


async def _ids(client: Client, query: str) -> list[int]:
    async with client.get(f"/api/v1/incidents{query}") as response:
        assert response.status == 200
        return [incident["id"] for incident in (await response.json())["incidents"]]


async def test_the_list_tells_each_incident_without_its_timeline(connect: Connect) -> None:
    async with (await connect()).get("/api/v1/incidents") as response:
        found: list[dict[str, Any]] = (await response.json())["incidents"]

    assert [incident["id"] for incident in found] == [7, 2, 3]
    assert found[0] == {
        "id": 7,
        "service": "shop_web",
        "kind": "missing",
        "state": "open",
        "summary": "is not there",
        "opened": "2026-01-01T00:00:00.250Z",
        "began": "2026-01-01T00:00:00.150Z",
        "acted": "2026-01-01T00:00:00.750Z",
        "ended": None,
        "seconds_to_detect": 0.1,
        "seconds_to_act": 0.5,
        "seconds_to_recover": None,
    }
    assert found[2]["seconds_to_recover"] == 4.0


async def test_the_list_can_be_asked_by_state_service_and_number(connect: Connect) -> None:
    client = await connect()

    assert await _ids(client, "?state=recovered") == [3]
    assert await _ids(client, "?state=open,held") == [7, 2]
    assert await _ids(client, "?service=shop_db") == [3]
    assert await _ids(client, "?limit=1") == [7]


@pytest.mark.parametrize(
    "query", ["state=", "state=closed", "state=open,", "limit=0", "limit=2001", "limit=-1", "limit=x", "limit=²"]
)
async def test_a_question_that_makes_no_sense_is_refused_in_one_line(connect: Connect, query: str) -> None:
    async with (await connect()).get(f"/api/v1/incidents?{query}") as response:
        assert response.status == 400
        assert query.split("=")[0] in (await response.json())["error"]


async def test_one_incident_comes_with_its_timeline(connect: Connect) -> None:
    async with (await connect()).get("/api/v1/incidents/7") as response:
        found = await response.json()

    assert found["timeline"] == [
        {"time": "2026-01-01T00:00:00.250Z", "kind": "observation", "text": "is not there"},
        {"time": "2026-01-01T00:00:00.750Z", "kind": "action", "text": "created <now>"},
    ]


@pytest.mark.parametrize("number", ["4", "999999999999999", "x", "-1"])
async def test_an_incident_that_is_not_there_is_not_found(connect: Connect, number: str) -> None:
    async with (await connect()).get(f"/api/v1/incidents/{number}") as response:
        assert response.status == 404


async def test_a_journal_that_cannot_be_read_is_no_missing_incident(connect: Connect, controller: ScriptedController) -> None:
    controller.failure = JournalError("the disk is gone")

    async with (await connect()).get("/api/v1/incidents/7") as response:
        assert response.status == 503
        assert await response.json() == {"error": "the disk is gone"}


async def test_the_page_shows_what_has_not_ended(connect: Connect, controller: ScriptedController) -> None:
    client = await connect()
    async with client.get("/") as response:
        page = await response.text()

    assert "<td>7</td><td>shop_web</td><td>missing</td>" in page
    assert "<td>created &lt;now&gt;</td>" in page
    assert '<td>the Swarm</td><td>brake</td><td class="held">held</td>' in page
    assert "shop_db" not in page

    controller.known = [ENDED]
    async with client.get("/") as response:
        assert "Incident" not in await response.text()
