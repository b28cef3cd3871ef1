"""The way of most requests: a code that Redis knows, answered without what Flask does for requests of every kind.

Whatever else comes goes on to Flask, with what was found out on the way, so that nothing is asked or counted twice.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from app.access_log import STARTED, chosen_id, note_request
from app.api.redirects import FOLLOWED, REPEATABLE, ROUTE, follow, found_headers
from app.domain.codes import is_code
from app.replica import BOARD, Board
from app.services import Services

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


def shortcut(
    application: WSGIApplication, services: Services, logger: logging.Logger, *,
    board: Board = BOARD, clock: Callable[[], float] = time.monotonic,
) -> WSGIApplication:  # fmt: skip
    """The application, with its redirects on a shorter way. While Chaos Mode disturbs requests, all go the long one."""

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        code = environ["PATH_INFO"][1:]
        if environ["REQUEST_METHOD"] != "GET" or not is_code(code) or not board.is_calm():
            return application(environ, start_response)
        started = clock()
        followed = follow(services, code)
        if not isinstance(followed.known, str):
            environ[FOLLOWED], environ[STARTED] = followed, started
            return application(environ, start_response)
        request_id = chosen_id(environ.get("HTTP_X_REQUEST_ID", ""))
        start_response("302 FOUND", [*found_headers(followed.known), REPEATABLE, ("X-Request-ID", request_id)])
        note_request(logger, request_id=request_id, method="GET", route=ROUTE, status=302, seconds=clock() - started)
        return []

    return answer
