"""The scenario for locust: `locust -f tests/load/locustfile.py --host http://127.0.0.1:8080`, or `python -m tests.load`."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from locust import FastHttpUser, constant, events
from locust.contrib.fasthttp import ResponseContextManager
from locust.env import Environment

from tests.load.scenario import Scenario, on_loopback

SCENARIO = Scenario.read()
# nginx lifts its rate limit for who sends this; the service behind it has none.
EXEMPTION = os.environ.get("LOAD_EXEMPTION", "")
_PAGES, _PER_PAGE = 5, 100
_NEW_TARGET, _CHANGED_TARGET = "https://example.com/made-by-the-load", "https://example.com/changed-by-the-load"


class Known(NamedTuple):
    """A URL that is not the load's own, and so never changes."""

    id: int
    user_id: int
    code: str
    target: str


KNOWN: list[Known] = []
_DRAW = random.Random()  # noqa: S311 - nobody gains by foreseeing who is visited


@events.test_start.add_listener  # type: ignore[untyped-decorator]  # of locust
def learn(environment: Environment, **_: Any) -> None:
    """Find the URLs to follow. Raises NotLoopbackError, and RuntimeError without any: `python -m app seed` makes some."""
    host = on_loopback(environment.host or "")
    KNOWN[:] = _known(host)
    if not KNOWN:
        raise RuntimeError(f"{host} has no active URLs: run `python -m app seed` first")


def _known(host: str) -> list[Known]:
    Visitor.host = host
    asking = Visitor(Environment()).client
    found = []
    for page in range(1, _PAGES + 1):
        answer = asking.get(f"/urls?per_page={_PER_PAGE}&page={page}", headers=_headers())
        if answer.status_code != 200:
            raise RuntimeError(f"{host}/urls answers {answer.status_code or 'nothing'}, so there is nothing to follow")
        rows = (row for row in answer.json() if row["is_active"])
        found += [Known(row["id"], row["user_id"], row["short_code"], row["original_url"]) for row in rows]
    return [url for url in found if url.target not in (_NEW_TARGET, _CHANGED_TARGET)]


def _headers() -> dict[str, str]:
    return {"X-Rate-Limit-Exemption": EXEMPTION} if EXEMPTION else {}


class Visitor(FastHttpUser):
    """Follows, reads and lists URLs that are there, and makes, changes and removes URLs of its own."""

    wait_time = constant(SCENARIO.think_seconds)
    connection_timeout = 5.0
    network_timeout = 10.0
    max_retries = 0  # what fails once has failed

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self._mine: list[int] = []

    def follow(self) -> None:
        url = _DRAW.choice(KNOWN)
        with self._ask("GET", f"/{url.code}", "/:code", expected=302) as answer:
            leads_to = answer.headers.get("Location") if answer.headers else None
            if answer.status_code == 302 and leads_to != url.target:
                answer.failure("leads elsewhere")  # type: ignore[no-untyped-call]  # of locust

    def read(self) -> None:
        url = _DRAW.choice(KNOWN)
        self._checked("GET", f"/urls/{url.id}", "/urls/:id", {"id": url.id, "original_url": url.target}, expected=200)

    def list(self) -> None:
        url = _DRAW.choice(KNOWN)
        with self._ask("GET", f"/urls?user_id={url.user_id}", "/urls", expected=200):
            pass

    def create(self) -> None:
        user_id = _DRAW.choice(KNOWN).user_id
        body = {"user_id": user_id, "original_url": _NEW_TARGET}
        made = self._checked("POST", "/urls", "/urls", body, expected=201, body=body)
        if made:
            self._mine.append(made["id"])

    def change(self) -> None:
        if not self._mine:
            self.create()
            return
        body = {"original_url": _CHANGED_TARGET, "is_active": _DRAW.random() < 0.5}
        self._checked("PUT", f"/urls/{_DRAW.choice(self._mine)}", "/urls/:id", body, expected=200, body=body)

    def remove(self) -> None:
        if not self._mine:
            self.create()
            return
        with self._ask("DELETE", f"/urls/{self._mine.pop()}", "/urls/:id", expected=204):
            pass

    def _checked(
        self, method: str, path: str, name: str, holds: Mapping[str, Any], *, expected: int, body: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """What was answered, if it holds what it must; else empty, and a failure."""
        with self._ask(method, path, name, expected=expected, body=body) as answer:
            if answer.status_code != expected:
                return {}
            row: dict[str, Any] = answer.json()
            if holds.items() <= row.items():
                return row
            answer.failure("answers something else")  # type: ignore[no-untyped-call]  # of locust
            return {}

    @contextmanager
    def _ask(
        self, method: str, path: str, name: str, *, expected: int, body: Mapping[str, Any] | None = None
    ) -> Iterator[ResponseContextManager]:
        """The answer, which counts as a failure if its status is another."""
        with self.client.request(
            method, path, name=name, json=body, headers=_headers(), allow_redirects=False, catch_response=True
        ) as answer:
            assert isinstance(answer, ResponseContextManager)  # because of catch_response
            if answer.status_code == expected:
                answer.success()  # type: ignore[no-untyped-call]  # of locust
            else:
                answer.failure(f"{answer.status_code}, not {expected}")  # type: ignore[no-untyped-call]  # of locust
            yield answer


Visitor.tasks = [getattr(Visitor, step) for step, weight in SCENARIO.mix.items() for _ in range(weight)]
