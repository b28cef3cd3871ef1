"""Exchanges over the engine's unix socket by the standard library alone.

Docker's SDK, requests and urllib3 take longer to import than a plan of a thousand services takes to make, and their sessions,
cookies and redirects, which mean nothing on a socket, cost more than the exchange itself.
"""

from __future__ import annotations

import http.client
import select
import socket
from collections.abc import Mapping
from urllib.parse import urlencode


class SocketClient:
    """One kept-alive connection, made when it is first needed; not thread-safe, so one per thread."""

    def __init__(self, path: str, *, headers: Mapping[str, str], timeout_seconds: float) -> None:
        self._headers = headers
        self._connection = _Connection(path, timeout_seconds)

    def exchange(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, bytes]:
        """Send one request and return status and whole body; a body cut short raises HTTPException, anything else OSError."""
        self._connection.drop_if_stale()
        sent = {**self._headers, **(headers or {}), **({"Content-Type": "application/json"} if body is not None else {})}
        try:
            self._connection.request(method, f"{path}?{urlencode(params)}" if params else path, body=body, headers=sent)
            with self._connection.getresponse() as answer:
                return answer.status, answer.read()
        except BaseException:
            self._connection.close()  # half an exchange is on it
            raise

    def close(self) -> None:
        self._connection.close()


class _Connection(http.client.HTTPConnection):
    sock: socket.socket | None

    def __init__(self, path: str, timeout_seconds: float) -> None:
        super().__init__("localhost", timeout=timeout_seconds)
        self._path = path

    def connect(self) -> None:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.settimeout(self.timeout)
            sock.connect(self._path)
        except BaseException:
            sock.close()
            raise
        self.sock = sock

    def drop_if_stale(self) -> None:
        """Leave a connection that the engine closed meanwhile, as a restarted one did; a write on it would be in doubt."""
        if self.sock is None:
            return
        poller = select.poll()
        poller.register(self.sock, select.POLLIN)
        if poller.poll(0):  # between exchanges nothing is to be read: this is the end, or what no request asked for
            self.close()
