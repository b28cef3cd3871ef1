"""One JSON line per request on stdout, with a request id that the client and nginx see too."""

from __future__ import annotations

import json
import logging
import re
import sys
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TextIO

from flask import Flask, Response, g, request

from app.telemetry.metrics import observe_request
from app.telemetry.ring import RING

# What a caller may choose as its request id: nothing that could break a log line or a header.
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
# Where the environment of a request holds when it began, if that was before Flask had it.
STARTED = "app.started"
# Asked every few seconds by the engine: a line for each would drown the rest.
_SILENT_ROUTES = frozenset({"/livez"})


class JsonFormatter(logging.Formatter):
    """Renders a record, its `fields` and its traceback as one line; `constant` fields are on each."""

    def __init__(self, **constant: str) -> None:
        super().__init__()
        self._constant = constant

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "ts": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
            **self._constant,
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line)


class LineHandler(logging.StreamHandler[TextIO]):
    """Writes lines on stdout, and keeps the last of them for GET /logs."""

    def __init__(self) -> None:
        super().__init__(sys.stdout)

    def format(self, record: logging.LogRecord) -> str:
        line = super().format(record)
        RING.write(line)
        return line


def log_to_stdout(name: str, **constant: str) -> None:
    """Let the logger of this name, and those below it, write JSON lines with these fields on stdout and nowhere else."""
    handler = LineHandler()
    handler.setFormatter(JsonFormatter(**constant))
    logger = logging.getLogger(name)
    logger.handlers[:] = [handler]
    logger.setLevel(logging.INFO)
    logger.propagate = False


def install_access_log(app: Flask, *, version: str, replica: str, clock: Callable[[], float]) -> None:
    """Log and count every request of `app` once it is answered and echo its id in X-Request-ID; `clock` counts seconds."""
    log_to_stdout(app.logger.name, replica=replica, version=version)

    @app.before_request
    def start() -> None:
        g.request_id = chosen_id(request.headers.get("X-Request-ID", ""))
        g.started = request.environ.get(STARTED) or clock()

    @app.after_request
    def finish(response: Response) -> Response:
        response.headers["X-Request-ID"] = g.request_id
        # The rule, never the path: paths are chosen by callers and have no bound.
        route = request.url_rule.rule if request.url_rule else "unmatched"
        note_request(
            app.logger, request_id=g.request_id, method=request.method, route=route, status=response.status_code,
            seconds=clock() - g.started,
        )  # fmt: skip
        return response


def chosen_id(given: str) -> str:
    """The request id that a caller gave, or one of our own."""
    return given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex


def note_request(logger: logging.Logger, *, request_id: str, method: str, route: str, status: int, seconds: float) -> None:
    """Count a request that was answered, and write its line."""
    observe_request(method, route, status, seconds)
    if route not in _SILENT_ROUTES:
        fields = {
            "request_id": request_id, "method": method, "route": route, "status": status, "duration_ms": round(seconds * 1000, 1),
        }  # fmt: skip
        logger.info("request", extra={"fields": fields})
