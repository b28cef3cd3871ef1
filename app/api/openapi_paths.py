"""The operations on users, URLs, events and short codes."""

from __future__ import annotations

from app.api.openapi_parts import PAGED, answer, json_body, listing, operation, path_id, query
from app.api.schemas import SHORT_CODE, Json, ref, text, whole
from app.domain.values import LARGEST_ID

_ID = whole(1, LARGEST_ID)
_USER, _URL, _EVENT = path_id("user_id"), path_id("url_id"), path_id("event_id", big=True)
_GONE = answer("Deleted.")


def _made(what: str) -> dict[int, Json]:
    return {201: answer("Made; Location is its path.", ref(what), headers="Location")}


def _found(what: str) -> dict[int, Json]:
    return {200: answer("As it is now.", ref(what))}


_USERS: Json = {
    "/users": {
        "get": operation("listUsers", "List users", {200: listing("User")}, errors=[400, 503], parameters=PAGED, tag="users"),
        "post": operation(
            "makeUser", "Make a user", _made("User"), errors=[409, 503], body=json_body("NewUser"), tag="users",
        ),
    },
    "/users/{user_id}": {
        "parameters": [_USER],
        "get": operation("readUser", "Read a user", _found("User"), errors=[404, 503], tag="users"),
        "put": operation(
            "changeUser", "Change a user", _found("User"), errors=[404, 409, 503], body=json_body("UserChanges"), tag="users",
        ),
        "delete": operation(
            "deleteUser", "Delete a user and its URLs; events stay", {204: _GONE}, errors=[404, 503], tag="users",
        ),
    },
    "/users/{user_id}/urls": {
        "parameters": [_USER],
        "get": operation(
            "listUrlsOfUser", "List the URLs of a user", {200: listing("Url")}, errors=[400, 404, 503], parameters=PAGED,
            tag="users",
        ),
    },
}  # fmt: skip

_URLS: Json = {
    "/urls": {
        "get": operation(
            "listUrls", "List URLs", {200: listing("Url")}, errors=[400, 503], parameters=[query("user_id", _ID), *PAGED],
            tag="urls",
        ),
        "post": operation(
            "makeUrl", "Shorten a URL, for a user that exists", _made("Url"), errors=[404, 409, 503], body=json_body("NewUrl"),
            tag="urls",
        ),
    },
    "/urls/{url_id}": {
        "parameters": [_URL],
        "get": operation("readUrl", "Read a URL", _found("Url"), errors=[404, 503], tag="urls"),
        "put": operation(
            "changeUrl", "Change a URL", _found("Url"), errors=[404, 503], body=json_body("UrlChanges"), tag="urls",
        ),
        "delete": operation(
            "deleteUrl", "Delete a URL; a `deleted` event stays", {204: _GONE}, errors=[404, 503], tag="urls",
        ),
    },
    "/{short_code}": {
        "parameters": [{"name": "short_code", "in": "path", "required": True, "schema": text(pattern=SHORT_CODE)}],
        "get": operation(
            "follow", "Redirect, and write a `clicked` event",
            {302: answer("The target is in Location.", headers="Location")}, errors=[404, 410, 503], tag="urls",
        ),
    },
}  # fmt: skip

_EVENTS: Json = {
    "/events": {
        "get": operation(
            "listEvents", "List events", {200: listing("Event")}, errors=[400, 503], tag="events",
            parameters=[query("url_id", _ID), query("user_id", _ID), query("event_type", ref("EventType")), *PAGED],
        ),
        "post": operation(
            "makeEvent", "Write an event", _made("Event"), errors=[404, 503], body=json_body("NewEvent"), tag="events",
        ),
    },
    "/events/{event_id}": {
        "parameters": [_EVENT],
        "get": operation("readEvent", "Read an event", _found("Event"), errors=[404, 503], tag="events"),
    },
}  # fmt: skip

PATHS: Json = {**_USERS, **_URLS, **_EVENTS}
