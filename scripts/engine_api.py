"""The few questions that scripts ask the engine over its socket."""

from __future__ import annotations

import http.client
import json
import socket
from typing import Any
from urllib.parse import quote

from scripts.shell import SOCKET


class _UnixConnection(http.client.HTTPConnection):
    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(SOCKET))


def get(path: str, *, timeout: float = 20.0) -> tuple[int, Any]:
    """Status and decoded body of one GET; status 0 when the engine does not answer within `timeout` seconds."""
    connection = _UnixConnection("localhost", timeout=timeout)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        body = response.read()
    except (OSError, http.client.HTTPException):
        return 0, None
    finally:
        connection.close()
    try:
        return response.status, json.loads(body)
    except ValueError:
        return response.status, body.decode(errors="replace")


def answers(*, timeout: float = 5.0) -> bool:
    return get("/_ping", timeout=timeout)[0] == 200


def of_stack(kind: str, stack: str, **query: str) -> list[dict[str, Any]]:
    """The services, networks… of a stack; empty when the engine does not answer."""
    filters = quote(json.dumps({"label": [f"com.docker.stack.namespace={stack}"]}))
    more = "".join(f"&{name}={value}" for name, value in query.items())
    status, found = get(f"/{kind}?filters={filters}{more}")
    return found if status == 200 else []
