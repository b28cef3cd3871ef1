"""/products: the hackathon's example of a list that is worth caching, and of a cache that may be missing."""

from __future__ import annotations

import json
from contextlib import suppress

from flask import Blueprint, Response

from app.cache.client import CacheAway
from app.services import Services

_KEY, _SECONDS = "products", 60
_PRODUCTS = [
    {"id": number, "name": name, "price_cents": cents}
    for number, (name, cents) in enumerate(
        [("short link", 0), ("named link", 100), ("link with statistics", 300), ("link on your own domain", 900)], start=1
    )
]


def blueprint(services: Services) -> Blueprint:
    """The list, and in X-Cache whether Redis had it."""
    routes = Blueprint("products", __name__)

    @routes.get("/products")
    def products() -> Response:
        body, state = _cached(services), "HIT"
        if body is None:
            body, state = json.dumps(_PRODUCTS).encode(), "MISS"
            made = body
            with suppress(CacheAway):
                services.cache.ask(lambda redis: redis.set(_KEY, made, ex=_SECONDS))
        return Response(body, content_type="application/json", headers={"X-Cache": state})

    return routes


def _cached(services: Services) -> bytes | None:
    with suppress(CacheAway):
        found: bytes | None = services.cache.ask(lambda redis: redis.get(_KEY))  # type: ignore[assignment]  # a client that decodes nothing
        return found
    return None
