"""Who may ask what is not for everybody."""

from __future__ import annotations

from hmac import compare_digest

from flask import request
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import NotFound, Unauthorized


def require_token(token: str) -> None:
    """The request must carry `Authorization: Bearer TOKEN`; where no token is set, there is nothing to ask for.

    Raises NotFound and Unauthorized.
    """
    if not token:
        raise NotFound()
    given = request.headers.get("Authorization", "")
    if not compare_digest(given.encode("utf-8", "replace"), f"Bearer {token}".encode()):
        raise Unauthorized("This needs a token.", www_authenticate=WWWAuthenticate("bearer"))
