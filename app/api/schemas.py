"""JSON Schemas of what goes in and out. Limits and words are the domain's own; a test holds every pattern against its rule."""

from __future__ import annotations

from typing import Any

from app.domain.codes import LONGEST_CODE, RESERVED, SHORTEST_CODE
from app.domain.errors import Code
from app.domain.events import LONGEST_DETAILS, LONGEST_TYPE
from app.domain.links import LONGEST_URL
from app.domain.urls import LONGEST_TITLE
from app.domain.users import LONGEST_EMAIL, LONGEST_USERNAME
from app.domain.values import FIRST_YEAR, LARGEST_ID, LAST_YEAR

Json = dict[str, Any]

LARGEST_BIGINT = 2**63 - 1

# Classes of characters as `str.isspace` and Unicode's Cc, Zl and Zp have them; \s differs between the dialects of patterns.
_SPACE = r"\x09-\x0d\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_CONTROL = r"\x00-\x1f\x7f-\x9f\u2028\u2029"
_PART = rf"[^@.{_SPACE}{_CONTROL}]+"

NO_NUL = r"^[^\x00]*$"
USERNAME = rf"^[^{_SPACE}{_CONTROL}]([^{_CONTROL}]*[^{_SPACE}{_CONTROL}])?$"
EMAIL = rf"^[^@{_SPACE}{_CONTROL}]{{1,64}}@{_PART}(\.{_PART})+$"
SHORT_CODE = rf"^[A-Za-z0-9_-]{{{SHORTEST_CODE},{LONGEST_CODE}}}$"
EVENT_TYPE = r"^[A-Za-z][A-Za-z0-9_.:-]*$"
TARGET = r"^[Hh][Tt][Tt][Pp][Ss]?://[^\x00-\x20\x7f]+$"
# Every day of the calendar and no other, in the years that the rule for moments names.
_YEAR, _LEAP_YEAR = r"(19[7-9][0-9]|20[0-9]{2}|2100)", r"(19(7[26]|8[048]|9[26])|20([02468][048]|[13579][26]))"
_DAY = r"(0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8])"
_TIME = r"([01][0-9]|2[0-3])(:[0-5][0-9]){2}"
MOMENT = rf"^({_YEAR}-({_DAY})|{_LEAP_YEAR}-02-29)[ T]{_TIME}Z?$"


def ref(name: str, kind: str = "schemas") -> Json:
    """A reference to a part of the document's `components`."""
    return {"$ref": f"#/components/{kind}/{name}"}


def text(**limits: Any) -> Json:
    return {"type": "string", **limits}


def whole(least: int, most: int, **more: Any) -> Json:
    return {"type": "integer", "minimum": least, "maximum": most, **more}


def form(required: str, properties: Json, **more: Any) -> Json:
    """An object; `required` are names with spaces between them. Other keys mean nothing."""
    return {"type": "object", "required": required.split(), "properties": properties, **more}


def row(properties: Json, **more: Any) -> Json:
    """An object that the service makes: all of its keys are there, and no other."""
    return {"type": "object", "required": list(properties), "properties": properties, "additionalProperties": False, **more}


def or_null(schema: Json) -> Json:
    return {"anyOf": [schema, {"type": "null"}]}


_ID = whole(1, LARGEST_ID)
_BIG_ID = whole(1, LARGEST_BIGINT, format="int64")
SHOWN_MOMENT = text(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}$", description="UTC, to the second.")
_TITLE = {"type": ["string", "null"], "maxLength": LONGEST_TITLE, "pattern": NO_NUL}

_VALUES: Json = {
    "Moment": text(
        pattern=MOMENT,
        description=f"A second in UTC of the years {FIRST_YEAR} to {LAST_YEAR}; a space may stand for the T.",
        examples=["2026-01-02T03:04:05", "2026-01-02 03:04:05"],
    ),
    "Username": text(
        minLength=1, maxLength=LONGEST_USERNAME, pattern=USERNAME,
        description="One line; no space at either end. Unique.",
    ),
    "Email": text(maxLength=LONGEST_EMAIL, pattern=EMAIL, description="Unique. Kept as written, upper case too."),
    "TargetUrl": text(
        maxLength=LONGEST_URL, pattern=TARGET, format="http-url",
        description="An absolute http or https URL with a host; no spaces or control characters. Kept as written.",
        examples=["https://example.com/a?b=c#d"],
    ),
    "ShortCode": text(pattern=SHORT_CODE, **{"not": {"enum": sorted(RESERVED)}}, description="None of the service's own paths."),
    "EventType": text(minLength=1, maxLength=LONGEST_TYPE, pattern=EVENT_TYPE, examples=["created", "clicked"]),
    "Detail": {
        "anyOf": [
            {"type": ["null", "boolean"]},
            {"type": "number", "minimum": -(2**63), "maximum": LARGEST_BIGINT},
            text(pattern=NO_NUL),
            {"type": "array", "items": ref("Detail")},
            ref("Details"),
        ]
    },
    "Details": {
        "type": "object", "propertyNames": {"pattern": NO_NUL}, "additionalProperties": ref("Detail"),
        "description": f"At most {LONGEST_DETAILS} bytes as JSON, 32 levels deep; integers of 64 bits.",
    },
}  # fmt: skip

_NEW_URL: Json = {
    "user_id": _ID, "title": _TITLE, "short_code": or_null(ref("ShortCode")), "is_active": {"type": ["boolean", "null"]},
    "created_at": or_null(ref("Moment")), "updated_at": or_null(ref("Moment")),
}  # fmt: skip
_URL_CHANGES: Json = {"user_id": _ID, "title": _TITLE, "is_active": {"type": "boolean"}}
_WITHOUT_FULL_NAME: Json = {"not": {"required": ["original_url"]}}
_EITHER = "`url` is taken for `original_url` where that is not given."

_BODIES: Json = {
    "NewUser": form(
        "username email", {"username": ref("Username"), "email": ref("Email"), "created_at": or_null(ref("Moment"))}
    ),
    "UserChanges": form("", {"username": ref("Username"), "email": ref("Email")}, description="What is absent stays."),
    "NewUrl": {
        "description": f"{_EITHER} Without a `short_code` the service draws one of six characters.",
        "anyOf": [
            form("user_id original_url", {**_NEW_URL, "original_url": ref("TargetUrl")}),
            form("user_id url", {**_NEW_URL, "url": ref("TargetUrl")}, **_WITHOUT_FULL_NAME),
        ],
        "examples": [{"user_id": 1, "original_url": "https://example.com/a", "title": "An example"}],
    },
    "UrlChanges": {
        "description": f"{_EITHER} What is absent stays; a `title` of null is removed.",
        "anyOf": [
            form("original_url", {**_URL_CHANGES, "original_url": ref("TargetUrl")}),
            form("", {**_URL_CHANGES, "url": ref("TargetUrl")}, **_WITHOUT_FULL_NAME),
        ],
        "examples": [{"title": None, "is_active": False}],
    },
    "NewEvent": form(
        "event_type",
        {
            "event_type": ref("EventType"), "url_id": or_null(_ID), "user_id": or_null(_ID),
            "details": or_null(ref("Details")), "timestamp": or_null(ref("Moment")),
        },
    ),
}  # fmt: skip

_ROWS: Json = {
    "User": row({"id": _ID, "username": text(), "email": text(), "created_at": SHOWN_MOMENT}),
    "Url": row(
        {
            "id": _ID, "user_id": _ID, "short_code": text(), "original_url": text(), "title": {"type": ["string", "null"]},
            "is_active": {"type": "boolean"}, "created_at": SHOWN_MOMENT, "updated_at": SHOWN_MOMENT,
        }
    ),
    "Event": row(
        {
            "id": _BIG_ID, "url_id": or_null(_ID), "user_id": or_null(_ID), "event_type": text(), "timestamp": SHOWN_MOMENT,
            "details": {"type": "object"},
        },
        description="The URL and the user that it names may be gone: events outlive them.",
    ),
    "Error": form(
        "error message request_id",
        {
            "error": text(description="The phrase of the status, as in `Not Found`."),
            "message": text(description="A sentence for a person."),
            "request_id": text(description="Also the X-Request-ID header, and in the log."),
            "field": text(description="Which field or parameter was refused."),
            "code": text(description=f"Why a value was refused: {', '.join(Code)}."),
        },
    ),
}  # fmt: skip

SCHEMAS: Json = {**_VALUES, **_BODIES, **_ROWS}
"""Those of users, URLs, events and errors; modules of operations add their own."""
