"""/<short_code>: the redirect, and its click."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import NamedTuple

from flask import Blueprint, Response, request
from werkzeug.exceptions import Gone, NotFound
from werkzeug.urls import iri_to_uri

from app.cache.client import CacheAway
from app.cache.urls import Known, Target
from app.click import Click
from app.domain.codes import is_code
from app.services import Services
from app.store import events, urls

ROUTE = "/<code>"
# Where the environment of a request holds the `Followed` that was found before Flask had it.
FOLLOWED = "app.followed"
# nginx keeps the answer, expired from the start: it asks again, and repeats it while nobody else can give one.
REPEATABLE = ("X-Accel-Expires", "@1")


class Followed(NamedTuple):
    """What Redis knew of a code, with the click that it wrote if that was a URL; None if it did not answer."""

    known: str | Known | None
    click_id: str
    at: datetime


def blueprint(services: Services) -> Blueprint:
    """The route of the short codes."""
    routes = Blueprint("redirects", __name__)

    @routes.get(ROUTE, endpoint="follow")
    def visit(code: str) -> Response:
        if not is_code(code):
            raise NotFound()  # nobody can have it: not worth a question
        return Response(status=302, headers=found_headers(_target(services, code)))

    return routes


def follow(services: Services, code: str) -> Followed:
    """Ask Redis, once for each request."""
    click_id, now = str(uuid.uuid4()), services.now()
    try:
        return Followed(services.urls.follow(code, click_id=click_id, at=now), click_id, now)
    except CacheAway:
        return Followed(None, click_id, now)


def found_headers(url: str) -> list[tuple[str, str]]:
    """The URL goes out as it is; one that is not ASCII is encoded, its scheme and host then in lower case."""
    location = url if url.isascii() else iri_to_uri(url)
    # A browser that remembers would hide clicks and changes.
    return [("Content-Type", "text/plain"), ("Content-Length", "0"), ("Location", location), ("Cache-Control", "no-store")]


def _target(services: Services, code: str) -> str:
    """Where the code leads, its click written. Raises NotFound, Gone, and Unavailable if neither store can tell."""
    known, click_id, now = request.environ.get(FOLLOWED) or follow(services, code)
    if isinstance(known, str):
        return known
    if known is Known.ABSENT:
        raise NotFound()
    if known is Known.INACTIVE:
        raise _gone()
    row = urls.by_code(services.database, code)
    target = Target(row["id"], row["user_id"], row["original_url"], row["is_active"]) if row else None
    click = Click(click_id, target.url_id, target.user_id, code, now) if target and target.is_active else None
    _write(services, code, target, click, cached=known is not None)
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
