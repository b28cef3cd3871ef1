"""Putting the service together."""

from __future__ import annotations

import time
from collections.abc import Mapping

from flask import Flask, Response, jsonify

from app.access_log import install_access_log
from app.api import events, health, openapi, redirects, urls, users
from app.api.errors import install_errors
from app.counter import HitCounter, connect
from app.services import Services
from app.settings import Settings


def create_app(env: Mapping[str, str]) -> Flask:
    """See `app.create_app`."""
    settings = Settings.of(env)
    services = Services.of(settings)
    app = Flask(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = settings.max_body_bytes
    app.json.sort_keys = False  # type: ignore[attr-defined]  # of the provider that Flask brings
    app.extensions["services"] = services
    install_access_log(app, version=settings.version, replica=settings.replica, clock=time.monotonic)
    install_errors(app)
    counter = HitCounter(connect(settings.redis_url))

    @app.get("/")
    def visit() -> Response:
        hits = counter.visit()
        return jsonify(service="shop", version=settings.version, replica=settings.replica, hits=hits, stored=hits is not None)

    for module in (users, urls, events, health, openapi, redirects):
        app.register_blueprint(module.blueprint(services))

    @app.teardown_appcontext
    def give_back(_error: BaseException | None) -> None:
        services.database.close()

    return app
