"""Putting the service together."""

from __future__ import annotations

import time
from collections.abc import Mapping

from flask import Flask, Response, jsonify, request

from app import chaos as chaos_mode
from app.access_log import install_access_log
from app.api import chaos, events, health, imports, logs, metrics, openapi, products, redirects, urls, users
from app.api.errors import install_errors
from app.api.shortcut import shortcut
from app.counter import HitCounter, connect
from app.services import Services
from app.settings import Settings
from app.telemetry.metrics import INFO, in_progress


def create_app(env: Mapping[str, str]) -> Flask:
    """See `app.create_app`."""
    settings = Settings.of(env)
    services = Services.of(settings)
    app = Flask("app", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = settings.max_body_bytes
    app.json.sort_keys = False  # type: ignore[attr-defined]  # of the provider that Flask brings
    app.extensions["services"] = services
    install_access_log(app, version=settings.version, replica=settings.replica, clock=time.monotonic)
    install_errors(app)
    if settings.chaos_token:
        chaos_mode.install_chaos(app)
        chaos_mode.worker_agent(services.database.pool).start()
    INFO.labels(settings.version, settings.replica).set(1)
    app.wsgi_app = in_progress(shortcut(app.wsgi_app, services, app.logger))  # type: ignore[assignment, method-assign]  # as Flask's documentation has it
    counter = HitCounter(connect(settings.redis_url))

    @app.get("/")
    def visit() -> Response:
        hits = counter.visit()
        return jsonify(service="shop", version=settings.version, replica=settings.replica, hits=hits, stored=hits is not None)

    for module in (users, urls, events, imports, health, openapi, logs, products, chaos, redirects):
        app.register_blueprint(module.blueprint(services))
    app.register_blueprint(metrics.blueprint())

    @app.after_request
    def may_be_repeated(answer: Response) -> Response:
        """nginx keeps what a short code answered, expired from the start: it asks again, and repeats it while we are away."""
        if request.endpoint == "redirects.follow" and answer.status_code in {302, 404, 410}:
            answer.headers.set(*redirects.REPEATABLE)
        return answer

    @app.teardown_appcontext
    def give_back(_error: BaseException | None) -> None:
        services.database.close()

    return app
