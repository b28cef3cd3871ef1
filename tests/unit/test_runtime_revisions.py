"""Going back and releasing, asked of a whole controller over HTTP."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import ClientSession

from controller.errors import ProdBreakerError
from controller.model.status import Key
from controller.simulator.engine import Simulator
from controller.simulator.http import SocketServer
from tests.support.house import SHOP, House, free_port, until

SPEED = 20.0
PAST_NS = 3_600_000_000_000  # the Swarm's time passes faster than ours; what it stamps must lie behind us all the same


@pytest.fixture(autouse=True)
def _surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("PRODBREAKER_", "DOCKER_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/s.sock")
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))


@pytest_asyncio.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    sim = Simulator(epoch_ns=time.time_ns() - PAST_NS)
    server = SocketServer(sim, tmp_path / "s.sock", speed=SPEED)
    await server.start()
    yield House(tmp_path, sim)
    await server.stop()


@pytest.mark.parametrize("is_silent", [False, True])
async def test_an_order_over_http_is_carried_out_at_once_and_taken_back_by_a_release(house: House, *, is_silent: bool) -> None:
    address = f"127.0.0.1:{free_port()}"
    headers = {"Authorization": "Bearer t0ken"}
    token = house.folder / "token"
    token.write_text("t0ken")
    service = "/api/v1/services/shop_db"
    async with (
        house.running(listen=address, token_file=token) as controller,
        ClientSession(f"http://{address}", headers=headers) as client,
    ):
        await until(lambda: "shop_db" in house.names() and len(house.sim.running("shop_db")) == 1, "running")
        house.declare(SHOP.replace("redis:7", "redis:8"))
        await until(lambda: house.image("shop_db") == "redis:8", "updated")
        house.sim.events.is_silent = is_silent

        async with client.post(f"{service}/rollback") as answer:
            assert (answer.status, await answer.json()) == (
                200, {"service": "shop_db", "refused": 2, "target": 1, "written": True},
            )  # fmt: skip
        await until(lambda: house.image("shop_db") == "redis:7", "gone back, long before the resync of 30 s")
        async with client.get(f"{service}/history") as answer:
            found = (await answer.json())["revisions"]
            assert [(item["number"], item["live"], item["target"]) for item in found] == [(1, True, None), (2, False, 1)]
        async with client.post(f"{service}/rollback", json={"to": 5}) as answer:
            assert (answer.status, (await answer.json())["error"][:26]) == (409, "shop_db has no revision 5;")

        async with client.post(f"{service}/release") as answer:
            assert (answer.status, await answer.json()) == (200, {"service": "shop_db", "released": 2})
        await until(lambda: house.image("shop_db") == "redis:8", "gone out again")

        with pytest.raises(ProdBreakerError, match="shop/none is not declared any more"):
            await controller.release(Key("shop", "none"))
