"""Every refusal and every failure as JSON: {"error", "message", "request_id"}, and nothing of the inside."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Any

import peewee
from flask import Flask, Response, g, jsonify
from werkzeug.exceptions import HTTPException

from app.domain.errors import FieldError
from app.errors import Conflict, NotFound, Unavailable
from app.store.database import translated

_LONGEST_CAUSE = 300  # characters of a log line


def install_errors(app: Flask) -> None:
    """Answer every exception that a route lets through."""

    @app.errorhandler(Exception)
    def answer(error: Exception) -> Response:
        return _answer(translated(error) if isinstance(error, peewee.PeeweeException) else error, app.logger)


def _answer(error: Exception, log: logging.Logger) -> Response:
    match error:
        case HTTPException():
            answer = problem(error.code or 500, error.description or "")
            # Headers that belong to the status, as Allow does to 405; those of the HTML body do not apply.
            answer.headers.extend([pair for pair in error.get_headers() if pair[0] != "Content-Type"])
        case FieldError():
            answer = problem(400, str(error), field=error.field, code=error.code.value)
        case NotFound():
            answer = problem(404, str(error))
        case Conflict():
            answer = problem(409, str(error), field=error.field)
        case Unavailable():
            fields = {"request_id": g.request_id, "reason": str(error), "cause": str(error.__cause__ or "")[:_LONGEST_CAUSE]}
            log.warning("unavailable", extra={"fields": fields})
            answer = problem(503, f"{error.what} is not available at the moment.")
            answer.headers["Retry-After"] = str(error.retry_after)
        case _:
            log.error("unhandled", exc_info=error, extra={"fields": {"request_id": g.request_id}})
            answer = problem(500, "The server failed; the request id names the log line.")
    return answer


def problem(status: int, message: str, **more: Any) -> Response:
    """The JSON answer for an error."""
    answer = jsonify(error=HTTPStatus(status).phrase, message=message, request_id=g.request_id, **more)
    answer.status_code = status
    return answer
