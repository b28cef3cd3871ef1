"""What can be asked."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from functools import partial

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from controller.model.forms import plan_form, status_form
from controller.model.plan import Plan
from controller.model.status import Key
from controller.web.page import POLICY, status_page
from controller.web.ports import Controller

log = logging.getLogger("prodbreaker.web")

BODY_SECONDS = 10.0
TARGET = r"{name:[A-Za-z0-9][A-Za-z0-9_.-]*}"


def declared_key(controller: Controller, request: web.Request) -> Key:
    """The key of the service that a path names. Raises HTTPNotFound, also for what is only in a declared stack."""
    key = controller.owner(request.match_info["name"])
    if key is None or key.service is None:
        raise web.HTTPNotFound(text="no service of this name is declared")
    return key


class Routes:
    """The handlers. Reading costs no call to the engine, except for plans, of which one is made at a time for all who ask."""

    def __init__(self, controller: Controller, registry: CollectorRegistry) -> None:
        self._controller = controller
        self._registry = registry
        self._planning: asyncio.Task[Sequence[Plan]] | None = None

    def add_to(self, app: web.Application) -> None:
        app.router.add_get("/healthz", self._alive)
        app.router.add_get("/readyz", self._ready)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/api/v1/stacks", self._stacks)
        app.router.add_get("/api/v1/services", self._services)
        app.router.add_get("/api/v1/plan", self._plan)
        for paused, verb in ((True, "pause"), (False, "resume")):
            app.router.add_post(f"/api/v1/services/{TARGET}/{verb}", partial(self._switch_service, paused=paused))
            app.router.add_post(f"/api/v1/stacks/{TARGET}/{verb}", partial(self._switch_stack, paused=paused))
        app.router.add_get("/", self._page)
        app.on_cleanup.append(self._stop_planning)

    async def _alive(self, _: web.Request) -> web.Response:
        return web.json_response({"status": "alive"})

    async def _ready(self, _: web.Request) -> web.Response:
        checks = dict(self._controller.readiness())
        missing = [check for check, holds in checks.items() if not holds]
        body = {"ready": not missing, "checks": checks, "missing": missing, "leads": self._controller.leads()}
        return web.json_response(body, status=503 if missing else 200)

    async def _metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=generate_latest(self._registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _stacks(self, _: web.Request) -> web.Response:
        stacks = [{"name": name, "error": fault or None} for name, fault in self._controller.stacks().items()]
        return web.json_response({"stacks": stacks})

    async def _services(self, _: web.Request) -> web.Response:
        return web.json_response({"services": [status_form(status) for status in self._controller.statuses()]})

    async def _plan(self, _: web.Request) -> web.Response:
        if self._planning is None or self._planning.done():
            self._planning = asyncio.create_task(self._make_plans(), name="plan for the web")
        plans = await asyncio.shield(self._planning)
        return web.json_response({"plans": [plan_form(plan) for plan in plans]})

    async def _make_plans(self) -> Sequence[Plan]:
        return await self._controller.plans()

    async def _stop_planning(self, _: web.Application) -> None:
        if self._planning:
            self._planning.cancel()
            await asyncio.gather(self._planning, return_exceptions=True)

    async def _switch_service(self, request: web.Request, *, paused: bool) -> web.Response:
        return await self._switch(request, str(declared_key(self._controller, request)), paused=paused)

    async def _switch_stack(self, request: web.Request, *, paused: bool) -> web.Response:
        name = request.match_info["name"]
        if name not in self._controller.stacks():
            raise web.HTTPNotFound(text="no stack of this name is declared")
        return await self._switch(request, name, paused=paused)

    async def _switch(self, request: web.Request, target: str, *, paused: bool) -> web.Response:
        async with asyncio.timeout(BODY_SECONDS):
            await request.read()  # nothing is expected in it; a body too large or too slow is refused
        if paused:
            await self._controller.pause(target)
        else:
            await self._controller.resume(target)
        log.info("paused" if paused else "resumed", extra={"fields": {"target": target, "asked_by": request.remote}})
        return web.json_response({"target": target, "paused": paused})

    async def _page(self, _: web.Request) -> web.Response:
        asked = self._controller
        html = status_page(asked.statuses(), asked.open_incidents(), asked.stacks(), asked.readiness())
        return web.Response(text=html, content_type="text/html", headers={"Content-Security-Policy": POLICY})
