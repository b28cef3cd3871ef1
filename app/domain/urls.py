"""What a short URL is."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple, TypedDict

from app.domain.codes import short_code
from app.domain.fields import optional, required
from app.domain.links import target_url
from app.domain.values import flag, identifier, moment, text

LONGEST_TITLE = 255


class NewUrl(NamedTuple):
    """A URL to create; None is what the service chooses: a new code, no title, active, now."""

    user_id: int
    original_url: str
    title: str | None = None
    short_code: str | None = None
    is_active: bool | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None


class UrlChanges(TypedDict, total=False):
    """The fields of a URL to change; what is absent stays, and a title of None is removed."""

    user_id: int
    original_url: str
    title: str | None
    is_active: bool


def title(field: str, value: object) -> str:
    """Any text of at most 255 characters."""
    return text(field, value, longest=LONGEST_TITLE)


def new_url(body: Mapping[str, object]) -> NewUrl:
    """The URL that a JSON object describes; unknown keys mean nothing. Raises FieldError on the first bad field."""
    return NewUrl(
        user_id=required(body, "user_id", identifier),
        original_url=required(body, _target_field(body), target_url),
        title=optional(body, "title", title),
        short_code=optional(body, "short_code", short_code),
        is_active=optional(body, "is_active", flag),
        created_at=optional(body, "created_at", moment),
        updated_at=optional(body, "updated_at", moment),
    )


def url_changes(body: Mapping[str, object]) -> UrlChanges:
    """The changes that a JSON object asks for, perhaps none. Raises FieldError on the first bad field."""
    changes = UrlChanges()
    if "user_id" in body:
        changes["user_id"] = identifier("user_id", body["user_id"])
    if (field := _target_field(body)) in body:
        changes["original_url"] = target_url(field, body[field])
    if "title" in body:
        changes["title"] = optional(body, "title", title)
    if "is_active" in body:
        changes["is_active"] = flag("is_active", body["is_active"])
    return changes


def _target_field(body: Mapping[str, object]) -> str:
    # `url` is what some of the hackathon's entries call it; the full name wins where both stand.
    return "url" if "url" in body and "original_url" not in body else "original_url"
