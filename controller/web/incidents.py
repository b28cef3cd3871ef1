"""Incidents over HTTP: the list, and one with its timeline."""

from __future__ import annotations

from aiohttp import web

from controller.errors import JournalError
from controller.model.forms import incident_form
from controller.model.incident import IncidentState
from controller.web.ports import Controller

USUAL_LIMIT, LARGEST_LIMIT = 100, 2_000
_NUMBER = r"{number:[0-9]{1,15}}"


class IncidentRoutes:
    """The handlers."""

    def __init__(self, controller: Controller) -> None:
        self._controller = controller

    def add_to(self, app: web.Application) -> None:
        app.router.add_get("/api/v1/incidents", self._list)
        app.router.add_get(f"/api/v1/incidents/{_NUMBER}", self._show)

    async def _list(self, request: web.Request) -> web.Response:
        found = await self._controller.incidents(
            limit=_limit(request), service=request.query.get("service"), states=_states(request)
        )
        return web.json_response({"incidents": [incident_form(incident) for incident in found]})

    async def _show(self, request: web.Request) -> web.Response:
        try:
            incident = await self._controller.incident(int(request.match_info["number"]))
        except JournalError as error:
            raise web.HTTPServiceUnavailable(text=str(error)) from error
        if incident is None:
            raise web.HTTPNotFound(text="there is no incident of this number")
        return web.json_response(incident_form(incident, timeline=True))


def _limit(request: web.Request) -> int:
    given = request.query.get("limit", str(USUAL_LIMIT))
    if not (given.isascii() and given.isdecimal() and 1 <= int(given[:9]) <= LARGEST_LIMIT):
        raise web.HTTPBadRequest(text=f"limit is a number from 1 to {LARGEST_LIMIT}")
    return int(given)


def _states(request: web.Request) -> tuple[IncidentState, ...]:
    """`?state=open,held`; all of them where nothing is said."""
    given = request.query.get("state")
    if given is None:
        return tuple(IncidentState)
    try:
        return tuple(IncidentState(word) for word in given.split(","))
    except ValueError:
        raise web.HTTPBadRequest(text=f"state is one or more of {', '.join(IncidentState)}, with commas between") from None
