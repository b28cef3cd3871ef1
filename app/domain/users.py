"""What a user is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple, TypedDict

from app.domain.errors import Code, FieldError
from app.domain.fields import optional, required
from app.domain.values import line, moment

LONGEST_USERNAME = 100
LONGEST_EMAIL = 254  # RFC 5321, 4.5.3.1.3, less the angle brackets

# One @, something before it, a domain with a dot after it. Only a mail that arrives proves more.
# _PLAIN_EMAIL is the part of it that is ASCII, for speed.
_PLAIN_EMAIL = re.compile(r"[!-?A-~]{1,64}@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+")
_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s.]+(?:\.[^@\s.]+)+")


class NewUser(NamedTuple):
    """A user to create; `created_at` None is now."""

    username: str
    email: str
    created_at: datetime | None = None


class UserChanges(TypedDict, total=False):
    """The fields of a user to change; what is absent stays."""

    username: str
    email: str


def username(field: str, value: object) -> str:
    """A text of one line of at most 100 characters."""
    return line(field, value, longest=LONGEST_USERNAME)


def email(field: str, value: object) -> str:
    """An address with one @ and a domain with a dot, at most 254 characters; kept as written, upper case too."""
    if type(value) is str and len(value) <= LONGEST_EMAIL and _PLAIN_EMAIL.fullmatch(value):
        return value
    address = line(field, value, longest=LONGEST_EMAIL)
    if not _EMAIL.fullmatch(address):
        raise FieldError(field, Code.FORMAT, "must be an email address, as in name@example.com")
    return address


def new_user(body: Mapping[str, object]) -> NewUser:
    """The user that a JSON object describes; unknown keys mean nothing. Raises FieldError on the first bad field."""
    return NewUser(
        username=required(body, "username", username),
        email=required(body, "email", email),
        created_at=optional(body, "created_at", moment),
    )


def user_changes(body: Mapping[str, object]) -> UserChanges:
    """The changes that a JSON object asks for, perhaps none. Raises FieldError on the first bad field."""
    changes = UserChanges()
    if "username" in body:
        changes["username"] = username("username", body["username"])
    if "email" in body:
        changes["email"] = email("email", body["email"])
    return changes
