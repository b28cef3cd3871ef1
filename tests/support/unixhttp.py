"""HTTP over a unix socket, with nothing but the standard library, so that tests see the engine without the code under test."""

from __future__ import annotations

import http.client
import json
import socket
from pathlib import Path
from typing import Any


class ApiError(Exception):
    """The engine answered with an error status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status


class UnixConnection(http.client.HTTPConnection):
    """`http.client` over a unix socket."""

    def __init__(self, path: Path, *, timeout: float = 30.0) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = str(path)

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def call(path: Path, method: str, target: str, body: object = None, *, timeout: float = 30.0) -> Any:
    """Send one request, return the decoded JSON (None without a body).

    Raises ApiError for a status of 400 and above, OSError or HTTPException where nobody answers.
    """
    connection = UnixConnection(path, timeout=timeout)
    try:
        payload = None if body is None else json.dumps(body).encode()
        connection.request(method, target, payload, {"Content-Type": "application/json"} if payload else {})
        response = connection.getresponse()
        text = response.read()
        if response.status >= 400:
            raise ApiError(response.status, text.decode(errors="replace").strip())
        is_json = "json" in (response.getheader("Content-Type") or "")
        return json.loads(text) if text and is_json else None
    finally:
        connection.close()
