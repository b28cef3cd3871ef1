"""/chaos: ordering faults, and seeing and ending them. Only where Chaos Mode is on, and only for who has its token."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Response, g, jsonify
from flask.typing import ResponseReturnValue

from app.api.bodies import json_object
from app.api.tokens import require_token
from app.chaos import CRASH_SECONDS
from app.domain.errors import Code, FieldError
from app.domain.values import wrong_type
from app.replica import BOARD, Fault, Order
from app.services import Services

DEFAULT_SECONDS = 30.0
# The least and the most of each measure.
LIMITS = {"share": (0.001, 1.0), "delay": (0.001, 30.0), "megabytes": (1.0, 4096.0)}

_log = logging.getLogger("app.chaos")


def blueprint(services: Services) -> Blueprint:
    """It acts on the replica that answers, and the answer names it."""
    routes = Blueprint("chaos", __name__)
    settings = services.settings

    @routes.before_request
    def check() -> None:
        require_token(settings.chaos_token)

    @routes.get("/chaos")
    def active() -> Response:
        shown = [
            {"fault": fault, "seconds_left": round(BOARD.left(order), 1), **{name: getattr(order, name) for name in LIMITS}}
            for fault, order in BOARD.active().items()
        ]
        return jsonify(replica=settings.replica, active=shown)

    @routes.post("/chaos")
    def order() -> ResponseReturnValue:
        fault, ordered = _ordered(json_object(), most_seconds=settings.chaos_seconds)
        BOARD.start(fault, ordered)
        fields = {"request_id": g.request_id, "fault": fault, **ordered._asdict(), "seconds": round(BOARD.left(ordered), 1)}
        _log.warning("chaos ordered", extra={"fields": fields})
        return active(), 202

    @routes.delete("/chaos")
    def end() -> ResponseReturnValue:
        BOARD.end()
        _log.warning("chaos called off", extra={"fields": {"request_id": g.request_id}})
        return "", 204

    return routes


def _ordered(body: Mapping[str, Any], *, most_seconds: float) -> tuple[Fault, Order]:
    """Raises FieldError."""
    if "fault" not in body:
        raise FieldError("fault", Code.MISSING, "is missing")
    if body["fault"] not in list(Fault):
        raise FieldError("fault", Code.FORMAT, f"must be one of {', '.join(Fault)}")
    fault = Fault(body["fault"])
    measures = {name: _measure(body, name, least, most) for name, (least, most) in LIMITS.items() if name in body}
    seconds = _measure(body, "seconds", 0.1, most_seconds) if "seconds" in body else min(DEFAULT_SECONDS, most_seconds)
    return fault, Order(time.monotonic() + (CRASH_SECONDS if fault is Fault.CRASH else seconds), **measures)


def _measure(body: Mapping[str, Any], name: str, least: float, most: float) -> float:
    value = body[name]
    if type(value) not in (int, float):
        raise wrong_type(name, "a number", value)
    if not least <= value <= most:
        raise FieldError(name, Code.RANGE, f"must be from {least:g} to {most:g}")
    return float(value)
