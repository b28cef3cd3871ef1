"""The HTTP interface on a real socket, over a controller that says what a test tells it to."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client import CollectorRegistry, Counter

from controller.core.by_hand import Entry, Release, Rollback
from controller.model.incident import Incident, IncidentState
from controller.model.plan import Action, Change, ObjectKind, Plan, Reason, Verb
from controller.model.revision import Revision, RevisionState
from controller.model.status import Health, Key, ServiceStatus, Sync
from controller.web import make_app
from controller.web.ports import Controller

TOKEN = "S3CR3T-token"
Client: TypeAlias = TestClient[web.Request, web.Application]
Connect: TypeAlias = Callable[..., Awaitable[Client]]


OLD = Revision("shop_web", 1, "a" * 16, RevisionState.STABLE, "2026-01-01T12:00:00Z", why="all replicas up for 10 s")
NEW = Revision(
    "shop_web", 2, "b" * 16, RevisionState.PROGRESSING, "2026-01-01T13:00:00Z", changes=(Change("image", "app:1", "app:2"),)
)


@dataclass
class ScriptedController:
    ready: dict[str, bool] = field(default_factory=lambda: {"first pass done": True, "event stream up": True})
    switched: list[tuple[str, bool]] = field(default_factory=list)
    ordered: list[tuple[str, str, int | None]] = field(default_factory=list)
    is_refused: bool = True
    planned: int = 0
    failure: Exception | None = None
    message: str = ""
    known: list[Incident] = field(default_factory=list)
    plan_waits_for: Callable[[], Awaitable[object]] | None = None
    other_leader: str | None = None  # empty: another one leads, or nobody

    def leads(self) -> bool:
        return self.other_leader is None

    def leader(self) -> str:
        return self.other_leader or ""

    def readiness(self) -> Mapping[str, bool]:
        return self.ready

    def statuses(self) -> Sequence[ServiceStatus]:
        return [ServiceStatus("shop_web", Sync.OUT_OF_SYNC, Health.DEGRADED, 1, 3, self.message)]

    def stacks(self) -> Mapping[str, str]:
        return {"shop": "", "blog": "blog.yml:1:1: no"}

    def open_incidents(self) -> Sequence[Incident]:
        return [incident for incident in self.known if incident.ended is None]

    async def incidents(self, *, limit: int, service: str | None, states: Collection[IncidentState]) -> Sequence[Incident]:
        return [item for item in self.known if item.state in states and service in (None, item.service)][:limit]

    async def incident(self, number: int) -> Incident | None:
        if self.failure:
            raise self.failure
        return next((incident for incident in self.known if incident.id == number), None)

    def owner(self, service_name: str) -> Key | None:
        return {"shop_web": Key("shop", "web"), "shop_stray": Key("shop")}.get(service_name)

    async def plans(self) -> Sequence[Plan]:
        self.planned += 1
        if self.plan_waits_for:
            await self.plan_waits_for()
        if self.failure:
            raise self.failure
        change = Change("image", "app:1", "app:2")
        return [Plan("shop", (Action(Verb.UPDATE, ObjectKind.SERVICE, "shop_web", Reason.DRIFT, (change,)),))]

    async def pause(self, target: str) -> None:
        await self._switch(target, paused=True)

    async def resume(self, target: str) -> None:
        await self._switch(target, paused=False)

    async def history(self, service: str) -> Sequence[Entry]:
        if self.failure:
            raise self.failure
        return [Entry(OLD, is_live=False, since=OLD.since), Entry(NEW, is_live=True, since=NEW.since)]

    async def roll_back(self, key: Key, *, to: int | None) -> Rollback:
        if self.failure:
            raise self.failure
        self.ordered.append(("rollback", str(key), to))
        written = (
            (Action(Verb.UPDATE, ObjectKind.CONFIG, "c", Reason.REVISION),) if self.ordered.count(self.ordered[-1]) == 1 else ()
        )
        return Rollback(NEW, OLD, written)

    async def release(self, key: Key) -> Release:
        self.ordered.append(("release", str(key), None))
        return Release(NEW if self.is_refused else None)

    async def _switch(self, target: str, *, paused: bool) -> None:
        if self.failure:
            raise self.failure
        self.switched.append((target, paused))


@pytest.fixture
def controller() -> ScriptedController:
    return ScriptedController()


@pytest_asyncio.fixture
async def connect(controller: ScriptedController) -> AsyncIterator[Connect]:
    """A client of an interface with a token, or with none, that knows the token, or does not."""
    clients: list[Client] = []

    async def make(*, token: str | None = TOKEN, knows: str | None = TOKEN, loopback_only: bool = True) -> Client:
        registry = CollectorRegistry()
        Counter("seen", "x", registry=registry)
        asked: Controller = controller
        app = make_app(asked, token=token, registry=registry, loopback_only=loopback_only)
        headers = {"Authorization": f"Bearer {knows}"} if knows else {}
        client = TestClient(TestServer(app), headers=headers)
        clients.append(client)
        await client.start_server()
        return client

    yield make
    for client in clients:
        await client.close()
