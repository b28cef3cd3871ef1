"""The application and its limits."""

from __future__ import annotations

from aiohttp import hdrs, web
from prometheus_client import CollectorRegistry

from controller.web.access import guard, leaders_only
from controller.web.faults import explain
from controller.web.incidents import IncidentRoutes
from controller.web.ports import Controller
from controller.web.revisions import RevisionRoutes
from controller.web.routes import Routes

LARGEST_BODY = 256 * 1024
IDLE_SECONDS = 10.0  # for a request's head to come, and between requests of one connection


def make_app(controller: Controller, *, token: str | None, registry: CollectorRegistry, loopback_only: bool) -> web.Application:
    """Build it. `loopback_only` says that it will listen on loopback alone, where reading needs no token if there is none."""
    access = [guard(token=token, loopback_only=loopback_only), leaders_only(controller.leads, controller.leader)]
    app = web.Application(middlewares=[explain, *access], client_max_size=LARGEST_BODY)
    app.on_response_prepare.append(_finish_headers)
    Routes(controller, registry).add_to(app)
    IncidentRoutes(controller).add_to(app)
    RevisionRoutes(controller).add_to(app)
    return app


def make_runner(app: web.Application) -> web.AppRunner:
    """A runner with the limits that belong to connections rather than to requests."""
    return web.AppRunner(app, access_log=None, keepalive_timeout=IDLE_SECONDS, shutdown_timeout=1.0)


async def _finish_headers(_: web.Request, response: web.StreamResponse) -> None:
    response.headers.popall(hdrs.SERVER, None)
    response.headers.setdefault("Cache-Control", "no-store")
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    response.headers.setdefault("Referrer-Policy", "no-referrer")
