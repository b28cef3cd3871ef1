"""What the operations of the OpenAPI document are made of: parameters, headers, answers."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus

from app.api.paging import MOST_PAGES, PER_PAGE
from app.api.schemas import LARGEST_BIGINT, Json, ref, text, whole
from app.domain.values import LARGEST_ID

_REASONS = {
    400: "The body, or a field or parameter of it, is refused; `field` and `code` say which and why.",
    401: "The token is missing or wrong.",
    404: "There is none of this name; where a token is needed, also: it is switched off.",
    409: "Something else has this already; `field` says what.",
    410: "The short URL is switched off.",
    413: "The body is too large.",
    415: "The body is of another type.",
    422: "The key was used for something else.",
    429: "Too many requests; answered by nginx, not by the application.",
    500: "The service failed; `request_id` names the log line.",
    503: "PostgreSQL or Redis is not available; ask again after Retry-After seconds. A write that was answered so may be repeated"
    " after a look at what is there.",
}

_REQUEST_ID: Json = {"X-Request-ID": ref("X-Request-ID", "headers")}

HEADERS: Json = {
    "X-Request-ID": {
        "description": "The caller's own, if it is 8 to 64 characters of A-Z, a-z, 0-9, dot, _ and -; else a new one.",
        "required": True,
        "schema": text(pattern="^[A-Za-z0-9._-]{8,64}$"),
    },
    "Location": {"required": True, "schema": text(minLength=1)},
    "Link": {"description": 'The next page, as `</users?page=2&per_page=20>; rel="next"`, if there is one.', "schema": text()},
    "X-Cache": {"description": "Whether Redis had it.", "required": True, "schema": {"enum": ["HIT", "MISS"]}},
    "Retry-After": {"description": "Seconds.", "required": True, "schema": whole(1, 3600)},
}

PARAMETERS: Json = {
    "page": {"name": "page", "in": "query", "schema": whole(1, MOST_PAGES, default=1)},
    "per_page": {
        "name": "per_page", "in": "query", "schema": whole(1, 2**31, default=PER_PAGE),
        "description": "More than 100 are cut to 100.",
    },
}  # fmt: skip

PAGED: list[Json] = [ref("page", "parameters"), ref("per_page", "parameters")]
ERROR_NAMES = {status: HTTPStatus(status).phrase.replace(" ", "") for status in _REASONS}


def errors() -> Json:
    """The document's `components/responses`."""
    return {ERROR_NAMES[status]: _error(status, reason) for status, reason in _REASONS.items()}


def _error(status: int, reason: str) -> Json:
    headers = {**_REQUEST_ID, **({"Retry-After": ref("Retry-After", "headers")} if status in (429, 503) else {})}
    return {"description": reason, "headers": headers, "content": {"application/json": {"schema": ref("Error")}}}


def answer(description: str, schema: Json | None = None, *, headers: str = "", media_type: str = "application/json") -> Json:
    """What is answered if all is well; `headers` are names of `HEADERS` with spaces between them."""
    made = {"description": description, "headers": {**_REQUEST_ID, **{name: ref(name, "headers") for name in headers.split()}}}
    return made if schema is None else {**made, "content": {media_type: {"schema": schema}}}


def listing(of: str, *, order: str = "By id") -> Json:
    """One page of a list."""
    return answer(f"One page. {order}.", {"type": "array", "items": ref(of), "maxItems": 100}, headers="Link")


def json_body(of: str) -> Json:
    return {"required": True, "content": {"application/json": {"schema": ref(of)}}}


def operation(
    name: str, summary: str, answers: dict[int, Json], *, errors: Sequence[int] = (), body: Json | None = None,
    parameters: Sequence[Json] = (), tag: str = "service", **more: object,
) -> Json:  # fmt: skip
    """`errors` are statuses beside those that every operation may have."""
    statuses = {*errors, 429, 500, *((400, 413, 415) if body else ())}
    refused = {str(status): ref(ERROR_NAMES[status], "responses") for status in sorted(statuses)}
    responses = {**{str(status): one for status, one in answers.items()}, **refused}
    made: Json = {"operationId": name, "summary": summary, "tags": [tag], "parameters": list(parameters), "responses": responses}
    return {**made, **({"requestBody": body} if body else {}), **more}


def path_id(name: str, *, big: bool = False) -> Json:
    """A whole number in the path."""
    return {"name": name, "in": "path", "required": True, "schema": whole(1, LARGEST_BIGINT if big else LARGEST_ID)}


def query(name: str, schema: Json, description: str = "", *, required: bool = False) -> Json:
    return {"name": name, "in": "query", "required": required, "schema": schema, "description": description}
