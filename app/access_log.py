"""One JSON line per request on stdout, with a request id that the client and nginx see too."""

from __future__ import annotations

import json
import logging
import re
import sys
import uuid
from collections.abc import Callable
from datetime import UTC, datetime

from flask import Flask, Response, g, request

# What a caller may choose as its request id: nothing that could break a log line or a header.
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
# Asked every few seconds by the engine: a line for each would drown the rest.
_SILENT_ROUTES = frozenset({"/livez"})


class JsonFormatter(logging.Formatter):
    """Renders a record, its `fields` and its traceback as one line."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "ts": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line)


def log_to_stdout(name: str) -> None:
    """Let the logger of this name, and those below it, write JSON lines on stdout and nowhere else."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter())
    logger = logging.getLogger(name)
    logger.handlers[:] = [handler]
    logger.setLevel(logging.INFO)
    logger.propagate = False


def install_access_log(app: Flask, *, version: str, replica: str, clock: Callable[[], float]) -> None:
    """Log every request of `app` once it is answered and echo its id in X-Request-ID; `clock` counts seconds."""
    log_to_stdout(app.logger.name)

    @app.before_request
    def start() -> None:
        given = request.headers.get("X-Request-ID", "")
        g.request_id = given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        g.started = clock()

    @app.after_request
    def finish(response: Response) -> Response:
        response.headers["X-Request-ID"] = g.request_id
        # The rule, never the path: paths are chosen by callers and have no bound.
        route = request.url_rule.rule if request.url_rule else "unmatched"
        if route not in _SILENT_ROUTES:
            fields = {
                "request_id": g.request_id, "method": request.method, "route": route, "status": response.status_code,
                "duration_ms": round((clock() - g.started) * 1000, 1), "replica": replica, "version": version,
            }  # fmt: skip
            app.logger.info("request", extra={"fields": fields})
        return response
