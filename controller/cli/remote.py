"""Asking a running controller over HTTP, with the standard library alone: a command should answer at once."""

from __future__ import annotations

import http.client
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from controller.errors import ProdBreakerError

DEFAULT_URL = "http://127.0.0.1:8900"
TIMEOUT_SECONDS = 10.0


def controller_url(given: str | None) -> str:
    """The address on the command line, else that of PRODBREAKER_URL, else the usual one."""
    return (given or os.environ.get("PRODBREAKER_URL") or DEFAULT_URL).rstrip("/")


def ask(url: str, path: str, query: Mapping[str, str | int] | None = None, *, holding: str) -> Any:
    """The JSON object with the key `holding` that the controller at `url` answers to a GET. Raises ProdBreakerError."""
    asked = f"{path}?{urlencode(query)}" if query else path
    token = _token()
    headers = {"Accept": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    connection, prefix = _connection(url)
    try:
        connection.request("GET", prefix + asked, headers=headers)
        response = connection.getresponse()
        body = response.read()
    except (OSError, http.client.HTTPException, ValueError) as error:  # ValueError: a path that no request can hold
        raise ProdBreakerError(f"no answer from {url}: {_reason(error)}") from error
    finally:
        connection.close()
    answer = _understood(url, response.status, body)
    if not isinstance(answer, dict) or holding not in answer:
        raise ProdBreakerError(f"{url} answers something else than {holding}: is it a controller?")
    return answer


def _connection(url: str) -> tuple[http.client.HTTPConnection, str]:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or parts.scheme not in ("http", "https"):
        raise ProdBreakerError(f"{url!r} is no address of a controller, such as {DEFAULT_URL}")
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    return kind(host, port, timeout=TIMEOUT_SECONDS), parts.path.rstrip("/")


def _understood(url: str, status: int, body: bytes) -> Any:
    try:
        answer = json.loads(body)
    except ValueError:
        raise ProdBreakerError(f"{url} answers {status} and no JSON: is it a controller?") from None
    if status == 200:
        return answer
    reason = answer.get("error") if isinstance(answer, dict) else None
    hint = "; set PRODBREAKER_TOKEN_FILE or PRODBREAKER_TOKEN" if status == 401 else ""
    raise ProdBreakerError(f"{url} answers {status}: {reason or 'without a reason'}{hint}")


def _token() -> str:
    """The same variables as the controller's own, the file first."""
    file = os.environ.get("PRODBREAKER_TOKEN_FILE")
    try:
        token = (Path(file).read_text() if file else os.environ.get("PRODBREAKER_TOKEN", "")).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ProdBreakerError(f"PRODBREAKER_TOKEN_FILE: {file} cannot be read: {error}") from error
    if not (token.isascii() and token.isprintable()):  # what a header refuses, its error would show
        raise ProdBreakerError("the token holds what no header can: line ends or letters beyond ASCII")
    return token


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return f"none came within {TIMEOUT_SECONDS:.0f} s"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
