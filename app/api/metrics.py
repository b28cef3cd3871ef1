"""/metrics on the service's own port. Prometheus asks the port of its own, which answers when all threads are busy."""

from __future__ import annotations

from flask import Blueprint, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from app.telemetry.exposition import registry


def blueprint() -> Blueprint:
    """The metrics of this replica."""
    routes = Blueprint("metrics", __name__)

    @routes.get("/metrics")
    def metrics() -> Response:
        return Response(generate_latest(registry()), content_type=CONTENT_TYPE_LATEST)

    return routes
