"""Prometheus' HTTP API, two questions of it: does an expression have a result now, and which alerts fire.

An answer that is not whole, or not of the kind that was asked for, is no answer. Messages show the address without its
credentials and are one line each.
"""

from __future__ import annotations

import base64
import contextlib
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import aiohttp
from yarl import URL

from controller.errors import InconclusiveError, SignalsUnavailableError

CALL_SECONDS = 10.0
BODY_LIMIT = 1024 * 1024  # bytes; about 8,000 series or 2,000 alerts
_CONNECTIONS = 8
_SHOWN = 200  # characters of what Prometheus said, or of a query


class Prometheus:
    """Implements `controller.engine.ports.Signals`.

    `base_url` may carry `user:password@` and a path before `/api`; `token` is sent as a bearer token instead. Redirects
    are not followed and proxies of the environment not used: both could carry the credentials elsewhere.
    """

    def __init__(self, base_url: str, *, token: str | None = None, seconds: float = CALL_SECONDS) -> None:
        url = URL(base_url)
        self._base = url.with_user(None)
        self._headers = {"Accept": "application/json", **_authorization(url, token)}
        self._seconds = seconds
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Drop the connections; may be called twice."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def holds(self, query: str) -> bool:
        """Whether the expression, which must give a vector, has a sample that is not NaN. Raises SignalsUnavailableError."""
        try:
            data = await self._ask("POST", "query", {"query": query, "timeout": f"{self._seconds:g}"})
            return _has_result(data)
        except InconclusiveError as error:
            raise InconclusiveError(f"query {_line(query)}: {error}") from error

    async def firing(self) -> Sequence[Mapping[str, str]]:
        return await self._alerts("firing")

    async def active(self) -> Sequence[Mapping[str, str]]:
        return await self._alerts("firing", "pending")

    async def _alerts(self, *states: str) -> Sequence[Mapping[str, str]]:
        data = await self._ask("GET", "alerts", None)
        alerts = data.get("alerts") if isinstance(data, dict) else None
        if not isinstance(alerts, list) or not all(map(_is_alert, alerts)):
            raise self._unavailable("answered something that is no list of alerts")
        return [alert["labels"] for alert in alerts if alert["state"] in states]

    async def _ask(self, method: str, path: str, form: Mapping[str, str] | None) -> Any:
        """The `data` of a whole and successful answer."""
        try:
            async with self._opened().request(
                method, self._base / "api/v1" / path, data=form, headers=self._headers, allow_redirects=False
            ) as response:
                return self._read(response.status, await _body(response))
        except TimeoutError:
            raise self._unavailable(f"did not answer within {self._seconds:g} s") from None
        except aiohttp.ClientError as error:
            raise self._unavailable(f"cannot be asked: {_line(error) or type(error).__name__}") from error

    def _read(self, status: int, body: bytes) -> Any:
        try:
            answer = json.loads(body)
        except (ValueError, RecursionError):
            answer = None
        if not isinstance(answer, dict):
            raise self._unavailable(f"answered {status}{'' if status != 200 else ' with something that is no JSON object'}")
        if status in (400, 422) and answer.get("status") == "error":
            raise InconclusiveError(f"Prometheus refuses it: {_line(answer.get('error'))}")
        if status != 200 or answer.get("status") != "success" or "data" not in answer:
            raise self._unavailable(f"answered {status}: {_line(answer.get('error') or answer.get('status'))}")
        if answer.get("warnings"):
            raise InconclusiveError(f"Prometheus warns that the answer is not sound: {_line(answer['warnings'])}")
        return answer["data"]

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=_CONNECTIONS),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=self._seconds),
                trust_env=False,
            )
        return self._session

    def _unavailable(self, reason: str) -> SignalsUnavailableError:
        return SignalsUnavailableError(f"Prometheus at {self._base} {reason}")


def _authorization(url: URL, token: str | None) -> dict[str, str]:
    if token is not None:
        return {"Authorization": f"Bearer {token}"}
    if url.user is None:
        return {}
    pair = f"{url.user}:{url.password or ''}".encode()
    return {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}


async def _body(response: aiohttp.ClientResponse) -> bytes:
    found = bytearray()
    async for chunk in response.content.iter_chunked(64 * 1024):
        found += chunk
        if len(found) > BODY_LIMIT:
            raise InconclusiveError(f"the answer is longer than {BODY_LIMIT // 1024} KiB")
    return bytes(found)


def _has_result(data: Any) -> bool:
    """A native histogram is a sample; NaN, and nothing, are none."""
    kind, result = (data.get("resultType"), data.get("result")) if isinstance(data, dict) else (None, None)
    if kind != "vector" or not isinstance(result, list):
        raise InconclusiveError(f"gives a {_line(kind)}; only a vector has a result or none, such as `rate(x[1m]) > 0.1` gives")
    return True in [_is_number(sample) for sample in result]  # each is looked at, lest half an answer will do


def _is_number(sample: Any) -> bool:
    """Whether a sample is anything but NaN. Raises InconclusiveError when it is no sample."""
    match sample:
        case {"histogram": _}:
            return True
        case {"value": [_, str(text)]}:
            with contextlib.suppress(ValueError):
                return not math.isnan(float(text))
    raise InconclusiveError("gives a vector with a sample that is none")


def _is_alert(alert: Any) -> bool:
    return (
        isinstance(alert, dict)
        and isinstance(alert.get("state"), str)
        and isinstance(alert.get("labels"), dict)
        and all(isinstance(value, str) for value in alert["labels"].values())
    )


def _line(text: object) -> str:
    line = " ".join(str(text).split())
    return line if len(line) <= _SHOWN else f"{line[: _SHOWN - 1]}…"
