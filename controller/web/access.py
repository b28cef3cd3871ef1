"""Who may ask for what.

With a token: everything but the probes asks for it. Without one nothing can be changed, and reading is for this host only.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from urllib.parse import urlsplit

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

PROBES = frozenset({"/healthz", "/readyz"})
_READING = frozenset({hdrs.METH_GET, hdrs.METH_HEAD})
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


def guard(*, token: str | None, loopback_only: bool) -> Middleware:
    """The middleware that turns away whoever may not ask."""
    expected = _digest(token) if token else None

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path in PROBES:
            return await handler(request)
        if expected is not None:
            _require_token(request, expected)
        elif request.method not in _READING:
            raise web.HTTPForbidden(text="no token is configured, so nothing can be changed here (PRODBREAKER_TOKEN_FILE)")
        elif not loopback_only or not _means_this_host(request.host):
            raise _unauthorized("no token is configured, so this can be read from this host only (PRODBREAKER_TOKEN_FILE)")
        return await handler(request)

    return check


def leaders_only(leads: Callable[[], bool], leader: Callable[[], str]) -> Middleware:
    """The middleware by which a standby turns away whoever wants something changed; 503 sends a proxy or Alertmanager on."""

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.method not in _READING and not leads():
            raise web.HTTPServiceUnavailable(text=f"this controller is a standby; {leader() or 'nobody'} leads")
        return await handler(request)

    return check


def _require_token(request: web.Request, expected: bytes) -> None:
    given = request.headers.getall(hdrs.AUTHORIZATION, [])
    scheme, _, credentials = (given[0] if len(given) == 1 else "").partition(" ")
    # Digests are of one length, so that the time of the comparison tells nothing of the token.
    matches = hmac.compare_digest(_digest(credentials.strip()), expected)
    if scheme.lower() != "bearer" or not matches:
        raise _unauthorized("this asks for the header `Authorization: Bearer TOKEN`")


def _unauthorized(reason: str) -> web.HTTPUnauthorized:
    return web.HTTPUnauthorized(text=reason, headers={hdrs.WWW_AUTHENTICATE: "Bearer"})


def _means_this_host(host: str) -> bool:
    """A browser that a foreign page sent here names that page's host, whatever address its DNS gave it."""
    try:
        return (urlsplit(f"//{host}").hostname or "") in _LOOPBACK
    except ValueError:
        return False


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode(errors="surrogateescape")).digest()
