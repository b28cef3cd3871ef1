"""What the engine, nginx and people ask about the service itself."""

from __future__ import annotations

import peewee
from flask import Blueprint, Response, jsonify
from redis import Redis

from app.cache.client import CacheAway
from app.errors import Unavailable
from app.replica import BOARD, Fault
from app.services import Services
from app.store.database import translated
from app.store.migrate import HEAD, version


def blueprint(services: Services) -> Blueprint:
    """/livez does no I/O; /readyz says what keeps this replica from its work; /health is the hackathon's."""
    routes = Blueprint("health", __name__)

    @routes.get("/livez")
    def livez() -> Response:
        return jsonify(status="ok", version=services.settings.version)

    @routes.get("/readyz")
    def readyz() -> tuple[Response, int]:
        if BOARD.draining:
            return jsonify(status="draining", missing={}), 503
        if not BOARD.is_calm() and BOARD.order(Fault.UNREADY):
            return jsonify(status="unavailable", missing={"chaos": "it was told not to be ready"}), 503
        missing = {**_database_trouble(services), **_cache_trouble(services)}
        # Without Redis the service is slower; without PostgreSQL it is not whole. A stack without one has nothing but Redis.
        needed = "postgresql" if services.settings.database_url else "redis"
        status = "unavailable" if needed in missing else "degraded" if missing else "ok"
        return jsonify(status=status, missing=missing), 503 if needed in missing else 200

    @routes.get("/health")
    def health() -> Response:
        troubled = _database_trouble(services) or _cache_trouble(services)
        return jsonify(status="degraded" if troubled else "ok")

    return routes


def _database_trouble(services: Services) -> dict[str, str]:
    if not services.settings.database_url:
        return {}
    try:
        at = version(services.database)
    except (Unavailable, peewee.PeeweeException) as error:
        meaning = translated(error) if isinstance(error, peewee.PeeweeException) else error
        return {"postgresql": meaning.reason if isinstance(meaning, Unavailable) else type(meaning).__name__}
    return {} if at >= HEAD else {"postgresql": f"is at migration {at}, not {HEAD}"}


def _cache_trouble(services: Services) -> dict[str, str]:
    try:
        services.cache.ask(Redis.ping)
    except CacheAway as error:
        return {"redis": str(error)}
    return {}
