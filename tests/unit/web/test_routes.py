"""What is answered."""

from __future__ import annotations

import asyncio
import logging
import resource

import pytest

from controller.errors import (
    EngineUnavailableError,
    NotFoundError,
    NotManagerError,
    OutOfSequenceError,
    ProdBreakerError,
    RegistryError,
)
from controller.web import make_runner
from controller.web import routes as routes_module
from tests.unit.web.conftest import TOKEN, Connect, ScriptedController


async def test_readiness_names_what_is_missing(connect: Connect, controller: ScriptedController) -> None:
    controller.ready["event stream up"] = False
    client = await connect(knows=None)

    async with client.get("/readyz") as response:
        assert response.status == 503
        assert (await response.json())["missing"] == ["event stream up"]

    controller.ready["event stream up"] = True
    async with client.get("/readyz") as response:
        assert response.status == 200
        assert await response.json() == {
            "ready": True,
            "checks": {"first pass done": True, "event stream up": True},
            "missing": [],
            "leads": True,
        }


async def test_services_are_told_in_status_words(connect: Connect) -> None:
    async with (await connect()).get("/api/v1/services") as response:
        (service,) = (await response.json())["services"]

    assert service == {"name": "shop_web", "sync": "OutOfSync", "health": "Degraded", "running": 1, "desired": 3, "message": ""}


async def test_stacks_say_what_is_wrong_with_their_manifest(connect: Connect) -> None:
    async with (await connect()).get("/api/v1/stacks") as response:
        assert await response.json() == {
            "stacks": [{"name": "shop", "error": None}, {"name": "blog", "error": "blog.yml:1:1: no"}]
        }


async def test_the_plan_is_told_with_its_changes(connect: Connect) -> None:
    async with (await connect()).get("/api/v1/plan") as response:
        (plan,) = (await response.json())["plans"]

    assert plan["stack"] == "shop"
    assert plan["actions"][0]["changes"] == [{"field": "image", "old": "app:1", "new": "app:2"}]


async def test_many_who_ask_for_the_plan_share_one(connect: Connect, controller: ScriptedController) -> None:
    go = asyncio.Event()
    controller.plan_waits_for = go.wait
    client = await connect()
    asked = [asyncio.create_task(client.get("/api/v1/plan")) for _ in range(20)]
    while controller.planned == 0:  # noqa: ASYNC110 - the server has no event to wait for
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)

    go.set()
    answers = await asyncio.gather(*asked)

    assert [answer.status for answer in answers] == [200] * 20
    assert controller.planned == 1


async def test_a_plan_under_way_does_not_outlive_the_server(connect: Connect, controller: ScriptedController) -> None:
    controller.plan_waits_for = asyncio.Event().wait
    client = await connect()
    asked = asyncio.create_task(client.get("/api/v1/plan"))
    await asyncio.sleep(0.1)

    await client.close()

    await asyncio.gather(asked, return_exceptions=True)
    assert controller.planned == 1


@pytest.mark.parametrize(
    ("path", "switched"),
    [
        ("/api/v1/services/shop_web/pause", ("shop/web", True)),
        ("/api/v1/services/shop_web/resume", ("shop/web", False)),
        ("/api/v1/stacks/shop/pause", ("shop", True)),
        ("/api/v1/stacks/blog/resume", ("blog", False)),
    ],
)
async def test_a_service_or_stack_is_paused_and_resumed(
    connect: Connect, controller: ScriptedController, path: str, switched: tuple[str, bool]
) -> None:
    async with (await connect()).post(path) as response:
        assert await response.json() == {"target": switched[0], "paused": switched[1]}

    assert controller.switched == [switched]


@pytest.mark.parametrize("path", ["/api/v1/services/shop_db/pause", "/api/v1/stacks/nope/pause", "/api/v1/stacks/%2e%2e/pause"])
async def test_what_is_not_declared_cannot_be_paused(connect: Connect, controller: ScriptedController, path: str) -> None:
    async with (await connect()).post(path) as response:
        assert response.status == 404

    assert controller.switched == []


@pytest.mark.parametrize(
    ("failure", "status"),
    [
        (EngineUnavailableError("engine away"), 503),
        (NotManagerError("engine away"), 503),
        (RegistryError("engine away"), 503),
        (NotFoundError("engine away"), 404),
        (OutOfSequenceError("engine away"), 409),
        (ProdBreakerError("engine away"), 409),
    ],
)
async def test_what_the_controller_cannot_do_is_said_in_one_line(
    connect: Connect, controller: ScriptedController, failure: Exception, status: int
) -> None:
    controller.failure = failure

    async with (await connect()).get("/api/v1/plan") as response:
        assert response.status == status
        assert await response.json() == {"error": "engine away"}


async def test_a_surprise_goes_to_the_log_and_not_to_the_client(
    connect: Connect, controller: ScriptedController, caplog: pytest.LogCaptureFixture
) -> None:
    controller.failure = ZeroDivisionError("S3CR3T inside")

    with caplog.at_level(logging.ERROR, "prodbreaker.web"):
        async with (await connect()).post("/api/v1/stacks/shop/pause") as response:
            text = await response.text()

    assert response.status == 500
    assert "inside the controller" in text
    assert "S3CR3T" not in text
    assert "Traceback" not in text
    assert [record.exc_info is not None for record in caplog.records] == [True]


@pytest.mark.parametrize("chunked", [True, False])
async def test_a_body_beyond_the_limit_is_refused(connect: Connect, controller: ScriptedController, *, chunked: bool) -> None:
    async def pieces() -> object:
        for _ in range(5):
            yield b"x" * 65536

    data = pieces() if chunked else b"x" * (256 * 1024 + 1)
    async with (await connect()).post("/api/v1/stacks/shop/pause", data=data) as response:
        assert response.status == 413
        assert await response.json() == {"error": "the body is too large"}

    assert controller.switched == []


async def test_a_body_of_the_limit_is_taken(connect: Connect) -> None:
    async with (await connect()).post("/api/v1/stacks/shop/pause", data=b"x" * (256 * 1024 - 1)) as response:
        assert response.status == 200


async def test_a_body_that_never_ends_is_given_up(
    connect: Connect, controller: ScriptedController, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes_module, "BODY_SECONDS", 0.2)
    client = await connect()
    reader, writer = await asyncio.open_connection(client.host, client.port)
    head = f"POST /api/v1/stacks/shop/pause HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: 100\r\n\r\n"
    writer.write(head.encode() + b"x")

    answer = await asyncio.wait_for(reader.readuntil(b"}"), 30)

    assert answer.startswith(b"HTTP/1.1 408")
    assert controller.switched == []
    writer.close()
    await writer.wait_closed()


async def test_metrics_are_in_prometheus_own_format(connect: Connect) -> None:
    async with (await connect()).get("/metrics") as response:
        assert "seen_total 0.0" in await response.text()
        assert response.headers["Content-Type"].startswith("text/plain")


async def test_the_page_escapes_and_needs_no_script(connect: Connect, controller: ScriptedController) -> None:
    controller.message = "<script>alert(1)</script>"

    async with (await connect()).get("/") as response:
        text = await response.text()

    assert "&lt;script&gt;" in text
    assert "<script" not in text
    assert "shop_web" in text
    assert "blog.yml:1:1: no" in text
    policy = response.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "script-src" not in policy
    assert response.headers["Cache-Control"] == "no-store"


async def test_what_is_no_http_gets_no_traceback(connect: Connect) -> None:
    client = await connect()
    reader, writer = await asyncio.open_connection(client.host, client.port)
    writer.write(b"\x16\x03\x01\x02\x00\x01 nonsense\r\n\r\n")

    answer = await asyncio.wait_for(reader.read(), 30)

    assert answer.startswith(b"HTTP/1.0 400")
    assert b"Traceback" not in answer
    assert b'File "' not in answer
    writer.close()
    await writer.wait_closed()


async def test_a_storm_of_requests_leaves_memory_and_probes_alone(connect: Connect) -> None:
    client = await connect(knows=None)

    async def storm(requests: int) -> None:
        for _ in range(requests):
            async with client.post("/api/v1/stacks/shop/pause", data=b"x" * 1024) as response:
                assert response.status == 401

    await asyncio.gather(*(storm(20) for _ in range(10)))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    await asyncio.gather(*(storm(100) for _ in range(10)))
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before

    async with client.get("/healthz") as response:
        assert response.status == 200
    assert grown < 8 * 1024  # KiB


async def test_a_connection_that_says_nothing_is_closed(controller: ScriptedController, monkeypatch: pytest.MonkeyPatch) -> None:
    from aiohttp import web
    from prometheus_client import CollectorRegistry

    from controller.web import app as app_module

    monkeypatch.setattr(app_module, "IDLE_SECONDS", 0.3)
    runner = make_runner(app_module.make_app(controller, token=None, registry=CollectorRegistry(), loopback_only=True))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    reader, writer = await asyncio.open_connection(*runner.addresses[0])
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: a\r\n")  # and never the rest

    assert await asyncio.wait_for(reader.read(), 30) == b""

    writer.close()
    await writer.wait_closed()
    await runner.cleanup()
