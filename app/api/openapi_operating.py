"""The operations for who runs the service: metrics, logs, Chaos Mode, and the hackathon's list."""

from __future__ import annotations

from typing import Any

from app.api.chaos import LIMITS
from app.api.logs import MOST_LINES
from app.api.openapi_parts import answer, json_body, operation, query
from app.api.schemas import Json, ref, row, text, whole
from app.replica import Fault

_TOKEN: list[Json] = [{"token": []}]
_SECONDS: Json = {"type": "number", "minimum": 0}

SECURITY: Json = {"token": {"type": "http", "scheme": "bearer", "description": "APP_OPS_TOKEN, APP_CHAOS_TOKEN for /chaos."}}

_MEASURES: dict[str, Any] = {
    name: {"type": "number", "minimum": least, "maximum": most} for name, (least, most) in LIMITS.items()
}
_FAULT: Json = {"enum": [fault.value for fault in Fault]}

_DURATION: Json = {
    **_SECONDS, "minimum": 0.1, "maximum": 3600, "default": 30,
    "description": "APP_CHAOS_MAX_SECONDS may allow less; it is 120 unless set.",
}  # fmt: skip

OPERATING_SCHEMAS: Json = {
    "Product": row({"id": whole(1, 1000), "name": text(), "price_cents": whole(0, 10**6)}),
    "ChaosOrder": {
        "type": "object",
        "required": ["fault"],
        "properties": {"fault": _FAULT, "seconds": _DURATION, **_MEASURES},
    },
    "Chaos": row(
        {"replica": text(), "active": {"type": "array", "items": row({"fault": _FAULT, "seconds_left": _SECONDS, **_MEASURES})}}
    ),
    "Logs": row({"replica": text(), "lines": {"type": "array", "maxItems": MOST_LINES, "items": {"type": "object"}}}),
}

OPERATING: Json = {
    "/products": {
        "get": operation(
            "listProducts", "A list that Redis keeps for a minute",
            {200: answer("All of it.", {"type": "array", "items": ref("Product")}, headers="X-Cache")},
        ),
    },
    "/metrics": {
        "get": operation(
            "metrics", "What this replica counts, for Prometheus",
            {200: answer("Its text format.", text(), media_type="text/plain")},
        ),
    },
    "/logs": {
        "get": operation(
            "logs", "The last log lines of this replica", {200: answer("Oldest first.", ref("Logs"))}, errors=[400, 401, 404],
            parameters=[query("lines", whole(1, 2**31, default=100), f"More than {MOST_LINES} are cut to {MOST_LINES}.")],
            security=_TOKEN,
        ),
    },
    "/chaos": {
        "get": operation(
            "readChaos", "What Chaos Mode does to this replica", {200: answer("What is active.", ref("Chaos"))},
            errors=[401, 404], security=_TOKEN,
        ),
        "post": operation(
            "orderChaos", "Do a fault to this replica for a while", {202: answer("What is active now.", ref("Chaos"))},
            errors=[401, 404], body=json_body("ChaosOrder"), security=_TOKEN,
        ),
        "delete": operation(
            "endChaos", "End every fault of this replica", {204: answer("Ended.")}, errors=[401, 404], security=_TOKEN,
        ),
    },
}  # fmt: skip
