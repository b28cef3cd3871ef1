"""/users"""

from __future__ import annotations

from functools import partial

from flask import Blueprint, Response, jsonify
from flask.typing import ResponseReturnValue

from app.api import imports
from app.api.bodies import json_object, known_id
from app.api.paging import listed
from app.api.shown import shown
from app.domain.users import new_user, user_changes
from app.services import Services
from app.store import urls as url_store
from app.store import users as store


def blueprint(services: Services) -> Blueprint:
    """The routes of users and of the URLs of one."""
    routes = Blueprint("users", __name__)
    database = services.database

    @routes.post("/users")
    def create() -> ResponseReturnValue:
        row = store.add(database, new_user(json_object()), now=services.now())
        return jsonify(shown(row)), 201, {"Location": f"/users/{row['id']}"}

    @routes.post("/users/bulk")
    def bulk() -> ResponseReturnValue:
        return imports.bulk(services)

    @routes.get("/users")
    def index() -> Response:
        return listed(partial(store.page, database), shown)

    @routes.get("/users/<int:user_id>")
    def read(user_id: int) -> Response:
        return jsonify(shown(store.find(database, known_id(user_id))))

    @routes.put("/users/<int:user_id>")
    def change(user_id: int) -> Response:
        return jsonify(shown(store.change(database, known_id(user_id), user_changes(json_object()))))

    @routes.delete("/users/<int:user_id>")
    def remove(user_id: int) -> ResponseReturnValue:
        with database.atomic():
            services.forget(store.remove(database, known_id(user_id), now=services.now()))
        return "", 204

    @routes.get("/users/<int:user_id>/urls")
    def urls(user_id: int) -> Response:
        store.find(database, known_id(user_id))
        return listed(partial(url_store.page, database, user_id=user_id), shown)

    return routes
