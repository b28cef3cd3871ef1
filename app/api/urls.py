"""/urls"""

from __future__ import annotations

import secrets
from functools import partial

from flask import Blueprint, Response, jsonify
from flask.typing import ResponseReturnValue

from app.api.bodies import json_object, known_id, wanted_id
from app.api.paging import listed
from app.api.shown import shown
from app.domain.codes import new_code
from app.domain.urls import NewUrl, new_url, url_changes
from app.errors import Conflict, Unavailable
from app.services import Services
from app.store import urls as store
from app.store.database import Row

# With 62^6 codes and a billion URLs, one draw in 57 is taken; ten in a row are not.
_DRAWS = 10


def blueprint(services: Services) -> Blueprint:
    """The routes of URLs."""
    routes = Blueprint("urls", __name__)
    database = services.database

    @routes.post("/urls")
    def create() -> ResponseReturnValue:
        row = _add(services, new_url(json_object()))
        return jsonify(shown(row)), 201, {"Location": f"/urls/{row['id']}"}

    @routes.get("/urls")
    def index() -> Response:
        return listed(partial(store.page, database, user_id=wanted_id("user_id")), shown)

    @routes.get("/urls/<int:url_id>")
    def read(url_id: int) -> Response:
        return jsonify(shown(store.find(database, known_id(url_id))))

    @routes.put("/urls/<int:url_id>")
    def change(url_id: int) -> Response:
        changes = url_changes(json_object())
        with database.atomic():
            row = store.change(database, known_id(url_id), changes, now=services.now())
            services.forget([row["short_code"]])
        return jsonify(shown(row))

    @routes.delete("/urls/<int:url_id>")
    def remove(url_id: int) -> ResponseReturnValue:
        with database.atomic():
            services.forget([store.remove(database, known_id(url_id), now=services.now())])
        return "", 204

    return routes


def _add(services: Services, url: NewUrl) -> Row:
    """Raises Conflict for a code that was asked for and is taken."""
    for code in [url.short_code] if url.short_code else (new_code(secrets.randbelow) for _ in range(_DRAWS)):
        row = store.add(services.database, url, code=code, now=services.now())
        if row:
            if url.short_code:
                services.forget([code])  # somebody may have asked for it before there was one
            return row
    if url.short_code:
        raise Conflict("URL", "short_code")
    raise Unavailable("urls", f"{_DRAWS} codes in a row are taken")
