"""Who is let in."""

from __future__ import annotations

from typing import Any

import pytest
from multidict import CIMultiDict

from tests.unit.web.conftest import TOKEN, Client, Connect, ScriptedController

READING = [
    "/",
    "/metrics",
    "/api/v1/stacks",
    "/api/v1/services",
    "/api/v1/plan",
    "/api/v1/incidents",
    "/api/v1/services/shop_web/history",
]
CHANGING = [
    "/api/v1/services/shop_web/pause",
    "/api/v1/services/shop_web/resume",
    "/api/v1/services/shop_web/rollback",
    "/api/v1/services/shop_web/release",
    "/api/v1/stacks/shop/pause",
    "/api/v1/stacks/shop/resume",
]
PROBES = ["/healthz", "/readyz"]


async def _status(client: Client, method: str, path: str, **more: Any) -> int:
    async with client.request(method, path, **more) as response:
        body = await response.text()
        if response.status >= 400:
            assert set(await response.json()) == {"error"}
        assert TOKEN not in body
        assert "aiohttp" not in str(response.headers)
        status: int = response.status
    return status


@pytest.mark.parametrize("path", PROBES)
async def test_probes_ask_for_nothing(connect: Connect, path: str) -> None:
    assert await _status(await connect(knows=None), "GET", path) == 200


@pytest.mark.parametrize(("method", "path"), [("GET", path) for path in READING] + [("POST", path) for path in CHANGING])
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer "},
        {"Authorization": f"Basic {TOKEN}"},
        {"Authorization": TOKEN},
        {"Authorization": f"Bearer {TOKEN}x"},
        {"Authorization": f"Bearer {TOKEN[:-1]}"},
        {"Authorization": "Bearer \udcff"},
    ],
)
async def test_without_the_token_nothing_is_shown_or_changed(
    connect: Connect, controller: ScriptedController, method: str, path: str, headers: dict[str, str]
) -> None:
    assert await _status(await connect(knows=None), method, path, headers=headers) == 401
    assert controller.switched == []
    assert controller.ordered == []


async def test_two_tokens_at_once_are_none(connect: Connect) -> None:
    headers = CIMultiDict([("Authorization", f"Bearer {TOKEN}"), ("Authorization", "Bearer wrong")])

    assert await _status(await connect(knows=None), "GET", "/api/v1/stacks", headers=headers) == 401


@pytest.mark.parametrize(("method", "path"), [("GET", path) for path in READING] + [("POST", path) for path in CHANGING])
async def test_with_the_token_everything_is_open(connect: Connect, method: str, path: str) -> None:
    assert await _status(await connect(), method, path) == 200


@pytest.mark.parametrize("path", CHANGING)
@pytest.mark.parametrize("loopback_only", [True, False])
async def test_without_a_configured_token_nothing_can_be_changed(
    connect: Connect, controller: ScriptedController, path: str, *, loopback_only: bool
) -> None:
    client = await connect(token=None, loopback_only=loopback_only)

    assert await _status(client, "POST", path) == 403
    assert controller.switched == []
    assert controller.ordered == []


@pytest.mark.parametrize("path", READING)
async def test_without_a_configured_token_this_host_may_read(connect: Connect, path: str) -> None:
    assert await _status(await connect(token=None, knows=None), "GET", path) == 200


@pytest.mark.parametrize("path", READING)
async def test_without_a_configured_token_other_hosts_may_not_read(connect: Connect, path: str) -> None:
    assert await _status(await connect(token=None, knows=None, loopback_only=False), "GET", path) == 401


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8900", "127.0.0.1.evil.example", "[::1"])
async def test_a_page_that_points_its_name_at_this_host_may_not_read(connect: Connect, host: str) -> None:
    client = await connect(token=None, knows=None)

    assert await _status(client, "GET", "/api/v1/services", headers={"Host": host}) == 401


@pytest.mark.parametrize(("method", "path"), [("GET", "/nothing"), ("GET", "/api/v1/"), ("POST", "/api/v1/services/x/explode")])
async def test_an_unknown_route_is_told_to_those_with_a_token_only(connect: Connect, method: str, path: str) -> None:
    assert await _status(await connect(), method, path) == 404
    assert await _status(await connect(knows=None), method, path) == 401


@pytest.mark.parametrize("path", CHANGING)
async def test_changing_by_get_is_not_possible(connect: Connect, path: str) -> None:
    assert await _status(await connect(), "GET", path) == 405
