"""The Prometheus adapter against a server that answers what a test says."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from controller.adapters.prometheus import BODY_LIMIT, Prometheus, _has_result
from controller.errors import InconclusiveError, SignalsUnavailableError

QUERY = 'rate(errors_total{service="web"}[1m]) > 0.05'
SECRET = "S3CR3T-in-the-url"

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Server:
    """Answers every path in the same way, and keeps what it was asked."""

    answer: Answer
    port: int = 0
    asked: list[tuple[str, str, dict[str, str], str | None]] = field(default_factory=list)  # method, path, form, Authorization

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def gives(self, body: object, *, status: int = 200, headers: dict[str, str] | None = None) -> None:
        async def answer(_: web.Request) -> web.Response:
            raw = body if isinstance(body, bytes) else json.dumps(body).encode()
            return web.Response(body=raw, status=status, headers=headers)

        self.answer = answer

    async def handle(self, request: web.Request) -> web.StreamResponse:
        form = {key: str(value) for key, value in (await request.post()).items()}
        self.asked.append((request.method, request.path, form, request.headers.get("Authorization")))
        return await self.answer(request)


async def _nothing(_: web.Request) -> web.Response:
    return web.Response(status=404)


@pytest_asyncio.fixture
async def server() -> AsyncIterator[Server]:
    found = Server(_nothing)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", found.handle)
    runner = web.AppRunner(app, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    found.port = runner.addresses[0][1]
    yield found
    await runner.cleanup()


@pytest_asyncio.fixture
async def prometheus(server: Server) -> AsyncIterator[Prometheus]:
    adapter = Prometheus(server.url, seconds=5)
    yield adapter
    await adapter.close()


def vector(*values: Any) -> dict[str, Any]:
    result = [{"metric": {"instance": str(number)}, "value": [1.5, value]} for number, value in enumerate(values)]
    return success({"resultType": "vector", "result": result})


def success(data: object, **more: object) -> dict[str, Any]:
    return {"status": "success", "data": data, **more}


def alert(state: str, **labels: str) -> dict[str, Any]:
    return {"state": state, "labels": labels, "annotations": {}, "activeAt": "2026-01-01T00:00:00Z", "value": "1e+00"}


@pytest.mark.parametrize(
    ("values", "holds"),
    [
        ((), False),
        (("0.07",), True),
        (("0",), True),
        (("NaN",), False),
        (("NaN", "1"), True),
        (("+Inf",), True),
        (("-Inf",), True),
    ],
)
async def test_a_vector_holds_when_it_has_a_sample_that_is_a_number(
    server: Server, prometheus: Prometheus, values: tuple[str, ...], holds: bool
) -> None:
    server.gives(vector(*values))

    assert await prometheus.holds(QUERY) is holds
    assert server.asked == [("POST", "/api/v1/query", {"query": QUERY, "timeout": "5"}, None)]


async def test_a_native_histogram_is_a_result(server: Server, prometheus: Prometheus) -> None:
    server.gives(success({"resultType": "vector", "result": [{"metric": {}, "histogram": [1.5, {"count": "1"}]}]}))

    assert await prometheus.holds("latency") is True


async def test_remarks_that_are_no_warnings_do_not_spoil_an_answer(server: Server, prometheus: Prometheus) -> None:
    server.gives({**vector("1"), "warnings": [], "infos": ["metric might not be a counter"]})

    assert await prometheus.holds(QUERY) is True


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        (success({"resultType": "scalar", "result": [1.5, "1"]}), 200, "gives a scalar; only a vector has a result"),
        (success({"resultType": "string", "result": [1.5, "1"]}), 200, "gives a string"),
        (success({"resultType": "matrix", "result": []}), 200, "gives a matrix"),
        (success([]), 200, "gives a None"),
        (success({"resultType": "vector", "result": None}), 200, "gives a vector"),
        (vector("much"), 200, "a sample that is none"),
        (success({"resultType": "vector", "result": [{"metric": {}}]}), 200, "a sample that is none"),
        (success({"resultType": "vector", "result": ["value", "histogram"]}), 200, "a sample that is none"),
        (vector(10**400), 200, "a sample that is none"),
        (vector("1", None), 200, "a sample that is none"),
        ({**vector("1"), "warnings": ["a store is away"]}, 200, "not sound: ['a store is away']"),
        ({"status": "error", "errorType": "bad_data", "error": "unexpected\nend of input"}, 400, "unexpected end of input"),
        ({"status": "error", "errorType": "execution", "error": "many-to-many matching"}, 422, "many-to-many matching"),
        (b'"' + b"x" * BODY_LIMIT + b'"', 200, "longer than 1024 KiB"),
    ],
)
async def test_an_answer_that_says_nothing_is_inconclusive_and_names_the_query(
    server: Server, prometheus: Prometheus, body: object, status: int, reason: str
) -> None:
    server.gives(body, status=status)

    with pytest.raises(InconclusiveError) as caught:
        await prometheus.holds(QUERY)

    assert reason in str(caught.value)
    assert str(caught.value).startswith(f"query {QUERY}: ")


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        (b"<html>", 200, "answered 200 with something that is no JSON object"),
        (b"[" * 100_000, 200, "no JSON object"),
        (b"\xff", 200, "no JSON object"),
        ([], 200, "no JSON object"),
        ({}, 200, "answered 200: None"),
        ({"status": "success"}, 200, "answered 200: success"),
        (b"Service Unavailable", 503, "answered 503"),
        ({"status": "error", "errorType": "timeout", "error": "query timed out"}, 503, "answered 503: query timed out"),
        (vector("1"), 500, "answered 500: success"),
        (b"who are you", 401, "answered 401"),
        (b"", 404, "answered 404"),
        (b"bad gateway's page", 400, "answered 400"),
    ],
)
async def test_what_is_no_answer_of_prometheus_leaves_it_away(
    server: Server, prometheus: Prometheus, body: object, status: int, reason: str
) -> None:
    server.gives(body, status=status)

    for ask in (lambda: prometheus.holds(QUERY), prometheus.firing):
        with pytest.raises(SignalsUnavailableError) as caught:
            await ask()
        assert not isinstance(caught.value, InconclusiveError)
        assert str(caught.value).startswith(f"Prometheus at {server.url}")
        assert reason in str(caught.value)


async def test_a_redirect_is_not_followed(server: Server, prometheus: Prometheus) -> None:
    server.gives(vector("1"), status=307, headers={"Location": f"{server.url}/elsewhere"})

    with pytest.raises(SignalsUnavailableError, match="answered 307"):
        await prometheus.holds(QUERY)

    assert [path for _, path, _, _ in server.asked] == ["/api/v1/query"]


async def test_one_that_takes_too_long_is_away(server: Server) -> None:
    handlers: list[asyncio.Task[Any] | None] = []

    async def never(_: web.Request) -> web.Response:
        handlers.append(asyncio.current_task())
        await asyncio.Event().wait()
        raise AssertionError

    server.answer = never

    hasty = Prometheus(server.url, seconds=0.5)
    with pytest.raises(SignalsUnavailableError, match=r"did not answer within 0\.5 s"):
        await hasty.holds(QUERY)
    await hasty.close()
    await asyncio.wait([task for task in handlers if task], timeout=5)  # the connection is dropped, and the server sees it


async def test_one_that_breaks_off_in_the_middle_is_away(server: Server, prometheus: Prometheus) -> None:
    async def breaks_off(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b'{"status": "success"')
        assert request.transport is not None
        request.transport.abort()
        return response

    server.answer = breaks_off

    with pytest.raises(SignalsUnavailableError, match="cannot be asked"):
        await prometheus.holds(QUERY)


async def test_one_that_is_not_there_is_away_and_comes_back(server: Server) -> None:
    absent = Prometheus("http://127.0.0.1:9", seconds=2)
    with pytest.raises(SignalsUnavailableError, match=r"Prometheus at http://127\.0\.0\.1:9/? cannot be asked: Cannot connect"):
        await absent.firing()
    await absent.close()
    await absent.close()

    back = Prometheus(server.url)
    server.gives(vector())
    assert await back.holds(QUERY) is False
    await back.close()
    assert await back.holds(QUERY) is False
    await back.close()


async def test_alerts_are_told_by_their_state(server: Server, prometheus: Prometheus) -> None:
    alerts = [
        alert("firing", alertname="A", service="web"),
        alert("pending", alertname="B"),
        alert("inactive", alertname="C"),
        alert("firing", alertname="A", service="db"),
    ]
    server.gives(success({"alerts": alerts}))

    assert await prometheus.firing() == [{"alertname": "A", "service": "web"}, {"alertname": "A", "service": "db"}]
    assert [labels["alertname"] for labels in await prometheus.active()] == ["A", "B", "A"]
    assert server.asked == [("GET", "/api/v1/alerts", {}, None)] * 2


@pytest.mark.parametrize(
    "data",
    [
        [],
        {},
        {"alerts": None},
        {"alerts": ["a"]},
        {"alerts": [{"labels": {}}]},
        {"alerts": [{"state": "firing"}]},
        {"alerts": [{"state": "firing", "labels": {"a": 1}}]},
    ],
)
async def test_alerts_of_another_shape_are_no_answer(server: Server, prometheus: Prometheus, data: object) -> None:
    server.gives(success(data))

    with pytest.raises(SignalsUnavailableError, match="no list of alerts"):
        await prometheus.firing()


async def test_credentials_and_path_of_the_address_are_used_and_never_shown(server: Server) -> None:
    adapter = Prometheus(f"http://me%40home:{SECRET}@127.0.0.1:{server.port}/behind/proxy/")
    server.gives(vector("1"))

    assert await adapter.holds(QUERY) is True
    assert [(path, auth) for _, path, _, auth in server.asked] == [
        ("/behind/proxy/api/v1/query", "Basic bWVAaG9tZTpTM0NSM1QtaW4tdGhlLXVybA==")
    ]
    server.gives(b"", status=403)
    with pytest.raises(SignalsUnavailableError) as refused:
        await adapter.firing()
    await adapter.close()

    absent = Prometheus(f"http://me:{SECRET}@127.0.0.1:9")
    with pytest.raises(SignalsUnavailableError) as away:
        await absent.firing()
    await absent.close()

    for text in (str(refused.value), str(away.value), repr(away.value.__cause__)):
        assert SECRET not in text
        assert "me@" not in text


async def test_a_token_is_sent_as_a_bearer(server: Server) -> None:
    adapter = Prometheus(server.url, token="t0ken")
    server.gives(vector())

    await adapter.holds(QUERY)
    await adapter.close()

    assert server.asked[0][3] == "Bearer t0ken"


async def test_proxies_of_the_environment_are_not_used(
    server: Server, prometheus: Prometheus, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    server.gives(vector("1"))

    assert await prometheus.holds(QUERY) is True


async def test_a_long_query_and_a_long_reason_are_cut_in_the_message(server: Server, prometheus: Prometheus) -> None:
    server.gives({"status": "error", "error": "why\n" * 1000}, status=400)

    with pytest.raises(InconclusiveError) as caught:
        await prometheus.holds("x" * 2000)

    assert len(str(caught.value)) < 500
    assert "\n" not in str(caught.value)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["alerts", "state", "labels", "resultType", "result", "value", "metric"]), inner, max_size=4
        )
    ),
    max_leaves=10,
)
_DATA = _JSON | st.fixed_dictionaries(
    {"resultType": st.just("vector"), "result": st.lists(st.fixed_dictionaries({"value": _JSON}))}
)


@given(st.sampled_from([200, 400, 500]), _DATA, _JSON)
def test_whatever_comes_back_is_a_result_or_said_to_be_none(status: int, data: object, warnings: object) -> None:
    adapter = Prometheus("http://p")
    body = json.dumps({"status": "success", "data": data, "warnings": warnings}).encode()
    with contextlib.suppress(SignalsUnavailableError):
        assert isinstance(_has_result(adapter._read(status, body)), bool)


@given(st.binary(max_size=50))
def test_bytes_that_are_no_answer_are_told_as_such(body: bytes) -> None:
    with pytest.raises(SignalsUnavailableError):
        Prometheus("http://p")._read(200, body)
