"""The application that the controller keeps alive: a Flask service that counts its visitors in Redis."""

from __future__ import annotations

import time
from collections.abc import Mapping
from os import environ

from flask import Flask, Response, g, jsonify
from redis import RedisError
from werkzeug.exceptions import HTTPException

from app.access_log import install_access_log
from app.counter import HitCounter, connect


def create_app(env: Mapping[str, str] = environ) -> Flask:
    """Build the service from REDIS_URL, APP_VERSION and APP_REPLICA; touches no network."""
    app = Flask(__name__)
    version, replica = env.get("APP_VERSION", "unknown"), env.get("APP_REPLICA", "unknown")
    counter = HitCounter(connect(env.get("REDIS_URL", "redis://redis:6379/0")))
    install_access_log(app, version=version, replica=replica, clock=time.monotonic)
    _install_errors(app)

    @app.get("/")
    def visit() -> Response:
        hits = counter.visit()
        return jsonify(service="shop", version=version, replica=replica, hits=hits, stored=hits is not None)

    @app.get("/livez")
    def livez() -> Response:
        """The process answers; no I/O, so that an outage of Redis restarts nothing."""
        return jsonify(status="ok", version=version)

    @app.get("/readyz")
    def readyz() -> tuple[Response, int]:
        """503 with what is missing when this replica cannot do its whole work."""
        try:
            counter.ping()
        except RedisError as error:
            return jsonify(status="unavailable", missing={"redis": type(error).__name__}), 503
        return jsonify(status="ok", missing={}), 200

    return app


def _install_errors(app: Flask) -> None:
    @app.errorhandler(HTTPException)
    def known(error: HTTPException) -> Response:
        answer = jsonify(error=error.name, message=error.description)
        answer.status_code = error.code or 500
        # Headers that belong to the status, as Allow does to 405; those of the HTML body do not apply.
        answer.headers.extend([pair for pair in error.get_headers() if pair[0] != "Content-Type"])
        return answer

    @app.errorhandler(Exception)
    def unknown(error: Exception) -> tuple[Response, int]:
        app.logger.error("unhandled", exc_info=error, extra={"fields": {"request_id": g.request_id}})
        return jsonify(error="Internal Server Error", message="The server failed; the request id names the log line."), 500
