"""A bare reader of the engine's event stream: how early anybody could know."""

from __future__ import annotations

import json
import socket
import threading
import time
from pathlib import Path

from tests.support import processes


class EventTimes:
    """Notes when (time.monotonic()) events of one action on services arrive."""

    def __init__(self, engine: Path, action: str) -> None:
        self._engine, self._action = engine, action
        self._times: list[float] = []
        self._stream = socket.socket(socket.AF_UNIX)
        self._thread = threading.Thread(target=self._read, name="events")

    def start(self) -> None:
        self._stream.connect(str(self._engine))
        self._stream.sendall(b"GET /events HTTP/1.1\r\nHost: engine\r\n\r\n")
        self._stream.recv(1 << 16)  # the head of the answer
        self._thread.start()

    def stop(self) -> None:
        if self._thread.is_alive():
            self._stream.shutdown(socket.SHUT_RDWR)
            self._thread.join()
        self._stream.close()

    def clear(self) -> None:
        self._times.clear()

    def first(self) -> float:
        """Waits for it, if need be."""
        assert processes.wait_until(lambda: bool(self._times), seconds=60), "no event came"
        return self._times[0]

    def _read(self) -> None:
        while piece := self._stream.recv(1 << 16):
            now = time.monotonic()
            for line in piece.splitlines():
                if line.startswith(b"{") and _is(json.loads(line), self._action):
                    self._times.append(now)


def _is(event: dict[str, str], action: str) -> bool:
    return event.get("Type") == "service" and event.get("Action") == action
