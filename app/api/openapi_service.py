"""What the service says of itself."""

from __future__ import annotations

from app.api.openapi_parts import answer, operation
from app.api.schemas import Json, ref, row, text

SCHEMAS: Json = {
    "Visit": row(
        {
            "service": text(), "version": text(), "replica": text(), "hits": {"type": ["integer", "null"], "minimum": 1},
            "stored": {"type": "boolean", "description": "Whether Redis could count."},
        }
    ),
    "Readiness": row(
        {
            "status": {"enum": ["ok", "degraded", "unavailable", "draining"]},
            "missing": {"type": "object", "additionalProperties": text()},
        }
    ),
}  # fmt: skip

PATHS: Json = {
    "/": {
        "get": operation("visit", "Count a visitor", {200: answer("How many visitors there were.", ref("Visit"))}),
    },
    "/livez": {
        "get": operation(
            "livez", "Whether the process answers; no I/O",
            {200: answer("It does.", row({"status": {"const": "ok"}, "version": text()}))},
        ),
    },
    "/readyz": {
        "get": operation(
            "readyz", "What keeps this replica from its work",
            {
                200: answer("Nothing, or nothing that it cannot do without (`degraded`).", ref("Readiness")),
                503: answer("Something that it needs, which `missing` names; or it was told to end.", ref("Readiness")),
            },
        ),
    },
    "/health": {
        "get": operation(
            "health", "How the service is; always 200",
            {200: answer("It answers.", row({"status": {"enum": ["ok", "degraded"]}}))},
        ),
    },
    "/openapi.json": {
        "get": operation("openapi", "This document", {200: answer("OpenAPI 3.1.", {"type": "object"})}),
    },
}  # fmt: skip
