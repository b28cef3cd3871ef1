"""/<short_code>: the redirect, and its click."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from flask import Blueprint, Response
from werkzeug.datastructures import Headers
from werkzeug.exceptions import Gone, NotFound
from werkzeug.urls import iri_to_uri

from app.cache.client import CacheAway
from app.cache.urls import Known, Target
from app.click import Click
from app.domain.codes import short_code
from app.domain.errors import FieldError
from app.services import Services
from app.store import events, urls

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment


def blueprint(services: Services) -> Blueprint:
    """The route of the short codes."""
    routes = Blueprint("redirects", __name__)

    @routes.get("/<code>")
    def follow(code: str) -> Response:
        try:
            short_code("short_code", code)
        except FieldError:
            raise NotFound() from None  # nobody can have it: not worth a question
        return _to(_target(services, code))

    return routes


def _target(services: Services, code: str) -> str:
    """Where the code leads, its click written. Raises NotFound, Gone, and Unavailable if neither store can tell."""
    click_id, now = str(uuid.uuid4()), services.now()
    cached = True
    try:
        known = services.urls.follow(code, click_id=click_id, at=now)
    except CacheAway:
        known, cached = Known.NOTHING, False
    if isinstance(known, str):
        return known
    if known is Known.ABSENT:
        raise NotFound()
    if known is Known.INACTIVE:
        raise _gone()
    row = urls.by_code(services.database, code)
    target = Target(row["id"], row["user_id"], row["original_url"], row["is_active"]) if row else None
    click = Click(click_id, target.url_id, target.user_id, code, now) if target and target.is_active else None
    _write(services, code, target, click, cached=cached)
    if target is None:
        raise NotFound()
    if not target.is_active:
        raise _gone()
    return target.original_url


def _write(services: Services, code: str, target: Target | None, click: Click | None, *, cached: bool) -> None:
    """Keep the target in Redis and the click in the stream; the click in the database where Redis is away."""
    if cached:
        try:
            services.urls.remember(code, target, click=click)
        except CacheAway:
            pass
        else:
            return
    if click:
        events.record_clicks(services.database, [click])


def _gone() -> Gone:
    return Gone("This short URL is switched off.")


class _Found(Response):
    """302, put together without what Flask does for answers of every kind."""

    def get_wsgi_headers(self, environ: WSGIEnvironment) -> Headers:
        return self.headers


def _to(url: str) -> Response:
    """The URL goes out as it is, but what is not ASCII is encoded and its scheme and host then go out in lower case."""
    location = url if url.isascii() else iri_to_uri(url)
    # A browser that remembers would hide clicks and changes.
    return _Found(
        status=302,
        headers=[("Content-Type", "text/plain"), ("Content-Length", "0"), ("Location", location), ("Cache-Control", "no-store")],
    )
