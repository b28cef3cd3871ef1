"""A standby reads out what it sees and sends whoever wants something changed to the leader."""

from __future__ import annotations

import pytest

from tests.unit.web.conftest import Connect, ScriptedController

PATHS = ["/api/v1/stacks/shop/pause", "/api/v1/services/shop_web/resume", "/api/v1/services/shop_web/rollback"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("leader", ["node2-1f", ""])
async def test_what_changes_something_is_refused_and_the_leader_named(
    connect: Connect, controller: ScriptedController, path: str, leader: str
) -> None:
    controller.other_leader = leader

    async with (await connect()).post(path) as response:
        assert response.status == 503
        assert await response.json() == {"error": f"this controller is a standby; {leader or 'nobody'} leads"}
    assert controller.switched == []
    assert controller.ordered == []


async def test_who_leads_is_told_only_to_whoever_may_ask(connect: Connect, controller: ScriptedController) -> None:
    controller.other_leader = "node2-1f"

    async with (await connect(knows=None)).post(PATHS[0]) as response:
        assert response.status == 401
        assert "node2" not in await response.text()


@pytest.mark.parametrize(
    "path",
    ["/", "/metrics", "/api/v1/services", "/api/v1/stacks", "/api/v1/plan", "/api/v1/services/shop_web/history", "/healthz"],
)
async def test_everything_can_be_read(connect: Connect, controller: ScriptedController, path: str) -> None:
    controller.other_leader = "node2-1f"

    async with (await connect()).get(path) as response:
        assert response.status == 200


async def test_a_standby_is_ready_and_says_that_it_does_not_lead(connect: Connect, controller: ScriptedController) -> None:
    controller.other_leader = "node2-1f"

    async with (await connect(knows=None)).get("/readyz") as response:
        assert response.status == 200
        told = await response.json()
    assert (told["ready"], told["leads"]) == (True, False)
