"""Revisions over HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from controller.errors import EngineUnavailableError, ProdBreakerError
from tests.unit.web.conftest import Client, Connect, ScriptedController

WEB = "/api/v1/services/shop_web"


async def _answer(client: Client, method: str, path: str, **more: Any) -> tuple[int, Any]:
    async with client.request(method, path, **more) as response:
        return response.status, await response.json()


async def test_a_history_tells_what_ran_what_runs_and_what_each_changed(connect: Connect) -> None:
    status, found = await _answer(await connect(), "GET", f"{WEB}/history")

    assert (status, found["service"]) == (200, "shop_web")
    old, new = found["revisions"]
    assert old == {
        "number": 1, "state": "stable", "since": "2026-01-01T12:00:00Z", "live": False,
        "why": "all replicas up for 10 s", "target": None, "changes": [],
    }  # fmt: skip
    assert (new["number"], new["live"]) == (2, True)
    assert new["changes"] == [{"field": "image", "old": "app:1", "new": "app:2"}]


@pytest.mark.parametrize(("body", "to"), [(b"", None), (b" \n", None), (b"{}", None), (b'{"to": null}', None), (b'{"to": 1}', 1)])
async def test_a_rollback_is_ordered_of_what_the_body_names(
    connect: Connect, controller: ScriptedController, body: bytes, to: int | None
) -> None:
    answer = await _answer(await connect(), "POST", f"{WEB}/rollback", data=body)

    assert answer == (200, {"service": "shop_web", "refused": 2, "target": 1, "written": True})
    assert controller.ordered == [("rollback", "shop/web", to)]


async def test_a_rollback_ordered_twice_is_no_error(connect: Connect) -> None:
    client = await connect()

    answers = [await _answer(client, "POST", f"{WEB}/rollback") for _ in range(2)]

    assert [(status, found["written"]) for status, found in answers] == [(200, True), (200, False)]


@pytest.mark.parametrize(
    "body",
    [b"{", b"[]", b"1", b'{"to": "1"}', b'{"to": true}', b'{"to": 0}', b'{"to": 1.0}', b'{"to": 1e99}', b'{"to": 1000000000}',
     b'{"to": 1, "why": ""}', b"\xff", b"[" * 100_000],
    ids=lambda body: body[:20],
)  # fmt: skip
async def test_a_body_that_names_no_revision_is_refused_with_the_reason(
    connect: Connect, controller: ScriptedController, body: bytes
) -> None:
    status, found = await _answer(await connect(), "POST", f"{WEB}/rollback", data=body)

    assert status == 400
    assert "body" in found["error"] or "`to`" in found["error"]
    assert controller.ordered == []


@pytest.mark.parametrize(("is_refused", "number"), [(True, 2), (False, None)])
async def test_a_release_tells_which_revision_is_free_again(
    connect: Connect, controller: ScriptedController, *, is_refused: bool, number: int | None
) -> None:
    controller.is_refused = is_refused

    assert await _answer(await connect(), "POST", f"{WEB}/release") == (200, {"service": "shop_web", "released": number})


@pytest.mark.parametrize(("error", "status"), [(ProdBreakerError("no way back"), 409), (EngineUnavailableError("away"), 503)])
async def test_why_there_is_no_way_back_is_told(
    connect: Connect, controller: ScriptedController, error: Exception, status: int
) -> None:
    controller.failure = error

    assert await _answer(await connect(), "POST", f"{WEB}/rollback") == (status, {"error": str(error)})


@pytest.mark.parametrize(("method", "what"), [("GET", "history"), ("POST", "rollback"), ("POST", "release"), ("POST", "pause")])
@pytest.mark.parametrize("name", ["nobody", "shop_stray"])
async def test_only_a_declared_service_has_them(
    connect: Connect, controller: ScriptedController, method: str, what: str, name: str
) -> None:
    status, found = await _answer(await connect(), method, f"/api/v1/services/{name}/{what}")

    assert (status, found) == (404, {"error": "no service of this name is declared"})
    assert controller.switched == []
