"""/events"""

from __future__ import annotations

from contextlib import suppress
from functools import partial

from flask import Blueprint, Response, jsonify, request
from flask.typing import ResponseReturnValue

from app import worker
from app.api.bodies import json_object, known_event_id, wanted_id
from app.api.paging import listed
from app.api.shown import shown
from app.cache.client import CacheAway
from app.domain.events import event_type, new_event
from app.services import Services
from app.store import events as store
from app.store.events import Wanted


def blueprint(services: Services) -> Blueprint:
    """The routes of events."""
    routes = Blueprint("events", __name__)
    database = services.database

    @routes.post("/events")
    def create() -> ResponseReturnValue:
        row = store.add(database, new_event(json_object()), now=services.now())
        return jsonify(shown(row)), 201, {"Location": f"/events/{row['id']}"}

    @routes.get("/events")
    def index() -> Response:
        kind = request.args.get("event_type")
        wanted = Wanted(wanted_id("url_id"), wanted_id("user_id"), None if kind is None else event_type("event_type", kind))
        # Who was redirected and then asks finds the click, even if no worker runs.
        with suppress(CacheAway):
            worker.move(services.clicks, database)
        return listed(partial(store.page, database, wanted), shown)

    @routes.get("/events/<int:event_id>")
    def read(event_id: int) -> Response:
        return jsonify(shown(store.find(database, known_event_id(event_id))))

    return routes
