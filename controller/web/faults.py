"""Every failure ends as `{"error": "one sentence"}`; what nobody foresaw goes to the log and not to the client."""

from __future__ import annotations

import logging

from aiohttp import web
from aiohttp.typedefs import Handler

from controller.errors import (
    EngineUnavailableError,
    NotFoundError,
    NotLeaderError,
    NotManagerError,
    ProdBreakerError,
    RegistryError,
)

log = logging.getLogger("prodbreaker.web")

_AWAY = (EngineUnavailableError, NotLeaderError, NotManagerError, RegistryError)
_REASONS = {404: "there is nothing here", 405: "not with this method", 413: "the body is too large"}


@web.middleware
async def explain(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn what is raised below into a JSON answer."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        # aiohttp's own texts repeat the status; ours, given where the fault is known, explain it.
        given = error.text if error.text and not error.text.startswith(f"{error.status}:") and error.status != 413 else None
        headers = {name: error.headers[name] for name in ("Allow", "WWW-Authenticate") if name in error.headers}
        return _answer(error.status, given or _REASONS.get(error.status) or error.reason, headers)
    except TimeoutError:
        return _answer(408, "the request did not come in time")
    except NotFoundError as error:
        return _answer(404, str(error))
    except _AWAY as error:
        return _answer(503, str(error))
    except ProdBreakerError as error:
        return _answer(409, str(error))
    except Exception:
        log.exception("request failed", extra={"fields": {"method": request.method, "path": request.path}})
        return _answer(500, "an error inside the controller; its log says more")


def _answer(status: int, reason: str, headers: dict[str, str] | None = None) -> web.Response:
    return web.json_response({"error": reason}, status=status, headers=headers)
