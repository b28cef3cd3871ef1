"""Lists: bare arrays, `page` and `per_page`, and the way to the next page in the Link header (RFC 8288)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from flask import Response, jsonify, request

from app.api.bodies import number

PER_PAGE, MOST_PER_PAGE = 20, 100
MOST_PAGES = 10**9


def listed(read: Callable[..., list[Any]], show: Callable[[Any], Any]) -> Response:
    """The page that the request asks for, of what `read(limit=, offset=)` gives. More than 100 a page are cut to 100.

    Raises FieldError.
    """
    page = number("page", default=1, least=1, most=MOST_PAGES)
    per_page = min(number("per_page", default=PER_PAGE, least=1, most=2**31), MOST_PER_PAGE)
    # One more than shown tells whether there is a next page, without a count.
    rows = read(limit=per_page + 1, offset=(page - 1) * per_page)
    answer = jsonify([show(row) for row in rows[:per_page]])
    if len(rows) > per_page:
        query = urlencode({**request.args.to_dict(), "page": page + 1, "per_page": per_page})
        answer.headers["Link"] = f'<{request.path}?{query}>; rel="next"'
    return answer
