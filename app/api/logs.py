"""/logs: the last lines of this replica, without a shell on its host."""

from __future__ import annotations

from flask import Blueprint, Response, jsonify

from app.api.bodies import number
from app.api.tokens import require_token
from app.services import Services
from app.telemetry.ring import last_lines

MOST_LINES = 1000


def blueprint(services: Services) -> Blueprint:
    """Only for who has APP_OPS_TOKEN: lines name request ids, routes and reasons."""
    routes = Blueprint("logs", __name__)
    settings = services.settings

    @routes.get("/logs")
    def logs() -> Response:
        require_token(settings.ops_token)
        wanted = min(number("lines", default=100, least=1, most=2**31), MOST_LINES)
        return jsonify(replica=settings.replica, lines=last_lines(wanted))

    return routes
