"""Revisions over HTTP: what ran of a service, going back by hand, and releasing what is refused."""

from __future__ import annotations

import asyncio
import json
import logging

from aiohttp import web

from controller.model.forms import revision_form
from controller.web.ports import Controller
from controller.web.routes import BODY_SECONDS, TARGET, declared_key

log = logging.getLogger("prodbreaker.web")

_LARGEST_NUMBER = 999_999_999


class RevisionRoutes:
    """The handlers."""

    def __init__(self, controller: Controller) -> None:
        self._controller = controller

    def add_to(self, app: web.Application) -> None:
        app.router.add_get(f"/api/v1/services/{TARGET}/history", self._history)
        app.router.add_post(f"/api/v1/services/{TARGET}/rollback", self._roll_back)
        app.router.add_post(f"/api/v1/services/{TARGET}/release", self._release)

    async def _history(self, request: web.Request) -> web.Response:
        declared_key(self._controller, request)
        name = request.match_info["name"]
        entries = await self._controller.history(name)
        forms = [revision_form(item.revision, is_live=item.is_live, since=item.since) for item in entries]
        return web.json_response({"service": name, "revisions": forms})

    async def _roll_back(self, request: web.Request) -> web.Response:
        key = declared_key(self._controller, request)
        order = await self._controller.roll_back(key, to=_number(await _body(request)))
        refused, target = order.refused.number, order.target.number
        fields = {"key": str(key), "refused": refused, "target": target, "asked_by": request.remote}
        log.info("rollback ordered", extra={"fields": fields})
        found = {"service": request.match_info["name"], "refused": refused, "target": target, "written": bool(order.actions)}
        return web.json_response(found)

    async def _release(self, request: web.Request) -> web.Response:
        key = declared_key(self._controller, request)
        await _body(request)  # nothing is expected in it
        revision = (await self._controller.release(key)).revision
        number = revision.number if revision else None
        log.info("release ordered", extra={"fields": {"key": str(key), "released": number, "asked_by": request.remote}})
        return web.json_response({"service": request.match_info["name"], "released": number})


async def _body(request: web.Request) -> bytes:
    async with asyncio.timeout(BODY_SECONDS):
        return await request.read()


def _number(body: bytes) -> int | None:
    """Of the revision to go back to; None where the body leaves that open. Raises HTTPBadRequest."""
    if not body.strip():
        return None
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        raise web.HTTPBadRequest(text="the body is no JSON") from None
    if not isinstance(found, dict) or not found.keys() <= {"to"}:
        raise web.HTTPBadRequest(text='the body is empty or {"to": N}')
    to = found.get("to")
    if to is not None and (not isinstance(to, int) or isinstance(to, bool) or not 1 <= to <= _LARGEST_NUMBER):
        raise web.HTTPBadRequest(text="`to` is the number of a revision")
    return to
