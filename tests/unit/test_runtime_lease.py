"""Two whole controllers in this process, over one simulated Swarm: one leads, the other looks on and then takes over."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import ClientSession

from controller.core.lease import LEASE_NAME
from controller.model.status import Sync
from controller.runtime import Controller
from controller.simulator.engine import Simulator
from controller.simulator.http import SocketServer
from tests.support.house import SERVICE, House, free_port, until

LEASE = 3.0  # the shortest: these controllers live in real time


@pytest_asyncio.fixture
async def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    for name in [name for name in os.environ if name.startswith(("PRODBREAKER_", "DOCKER_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/s.sock")
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    sim = Simulator(epoch_ns=time.time_ns())
    server = SocketServer(sim, tmp_path / "s.sock", speed=20.0)
    await server.start()
    yield House(tmp_path, sim)
    await server.stop()


def is_synced(controller: Controller) -> bool:
    return [item.sync for item in controller.statuses()] == [Sync.SYNCED] * 2


def writes_beside_the_lease(house: House) -> list[str]:
    return [write for write in house.writes if LEASE_NAME not in write]


async def test_a_controller_without_a_lease_leads_and_writes_none(house: House) -> None:
    async with house.running() as controller:
        await until(lambda: is_synced(controller), "synced")

        assert (controller.leads(), controller.leader()) == (True, "")
    assert not any(LEASE_NAME in write for write in house.writes)


async def test_a_standby_looks_on_and_takes_over_when_the_leader_ends(house: House, tmp_path: Path) -> None:
    address = f"127.0.0.1:{free_port()}"
    mine = {"lease_seconds": LEASE, "journal": tmp_path / "standby.db", "listen": address, "token": "t0ken"}
    async with AsyncExitStack() as first_s_life:
        first = await first_s_life.enter_async_context(house.running(lease_seconds=LEASE))
        await until(lambda: first.leads() and is_synced(first), "the first one leads", seconds=3 * LEASE)
        house.sim.gate.forget()

        headers = {"Authorization": "Bearer t0ken"}
        async with house.running(**mine) as standby, ClientSession(f"http://{address}", headers=headers) as client:
            await until(lambda: is_synced(standby) and standby.leader(), "the standby has seen the Swarm and who leads")
            async with client.post("/api/v1/stacks/shop/pause") as refused, client.get("/readyz") as ready:
                told = await refused.json()
                assert (refused.status, told) == (503, {"error": f"this controller is a standby; {standby.leader()} leads"})
                assert (ready.status, (await ready.json())["leads"]) == (200, False)
            assert writes_beside_the_lease(house) == []

            await first_s_life.aclose()
            await until(standby.leads, "the standby leads long before the lease would have ended", seconds=LEASE / 2)
            house.sim.remove(SERVICE, "shop_web")
            await until(lambda: "shop_web" in house.names(), "healed")
            async with client.post("/api/v1/stacks/shop/pause") as paused:
                assert paused.status == 200
    healed = [write for write in writes_beside_the_lease(house) if "service" in write]
    assert healed == ["create service/shop_web"]


async def test_whoever_begins_to_lead_looks_at_what_the_one_before_it_left_undone(house: House, tmp_path: Path) -> None:
    async with AsyncExitStack() as first_s_life:
        first = await first_s_life.enter_async_context(house.running(lease_seconds=LEASE))
        await until(lambda: first.leads() and is_synced(first), "the first one leads", seconds=3 * LEASE)
        async with house.running(lease_seconds=LEASE, journal=tmp_path / "standby.db") as standby:
            await until(lambda: is_synced(standby), "the standby has seen the Swarm")
            house.sim.events.is_silent = True  # nothing but the lead itself says that it is time to look
            house.sim.remove(SERVICE, "shop_web")
            await first_s_life.aclose()

            await until(lambda: "shop_web" in house.names(), "healed long before the resync of 30 s", seconds=LEASE)
