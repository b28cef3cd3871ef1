"""gunicorn's threads, with an end to what a slow client can do to one and to what a stopping replica can lose.

gunicorn itself waits for ever for the rest of a request that has begun: as many slow clients as there are threads would
stop a replica. nginx reads requests whole before it passes them on (uploads of files apart), so this is the second line.
"""

from __future__ import annotations

import errno
import socket
import struct
import time
from contextlib import suppress
from typing import Any

from gunicorn.workers.gthread import TConn, ThreadWorker  # type: ignore[import-untyped]  # gunicorn brings no types

from app.replica import BOARD


def limit_silence(listener: socket.socket, *, seconds: float) -> None:
    """Let no read or write on the listener's connections take longer; they inherit it, at no cost for each."""
    for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
        listener.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", int(seconds), int(seconds % 1 * 1e6)))


class Worker(ThreadWorker):  # type: ignore[misc]  # as above
    """A worker of gthread; see the module."""

    patience = 15.0
    """Seconds for all of a request's head."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._reading: dict[TConn, float] = {}
        self._looked = 0.0

    def handle(self, conn: TConn) -> Any:
        """One request, in a thread of the pool."""
        self._reading[conn] = time.monotonic() + self.patience
        try:
            return super().handle(conn)
        finally:
            self._reading.pop(conn, None)

    def handle_request(self, req: Any, conn: TConn) -> Any:
        """What follows the head."""
        self._reading.pop(conn, None)
        if BOARD.draining:
            req.force_close()
        return super().handle_request(req, conn)

    def notify(self) -> None:
        """Called by the main loop, at least once a second: tell the master of our life, and end heads that take too long."""
        super().notify()
        now = time.monotonic()
        if now - self._looked >= 1.0:
            self._looked = now
            for conn, until in list(self._reading.items()):
                if until < now:
                    self._reading.pop(conn, None)
                    with suppress(OSError):  # its client has gone
                        conn.sock.shutdown(socket.SHUT_RD)

    def accept(self, listener: socket.socket) -> None:
        """Take one connection."""
        try:
            super().accept(listener)
        except OSError as error:
            # EINVAL: another worker of this replica was told to end a moment earlier, and has shut the door.
            if error.errno != errno.EINVAL:
                raise

    def set_accept_enabled(self, enabled: bool) -> None:
        """Listen or not. A replica that ends answers who is at the door, then shuts it, so that nobody waits behind it."""
        listening = self._accepting
        super().set_accept_enabled(enabled)
        if listening and not enabled and not self.alive and BOARD.draining:
            for listener in self.sockets:
                waiting = -1
                while waiting != self.nr_conns:
                    waiting = self.nr_conns
                    self.accept(listener)
                with suppress(OSError):  # another worker was first
                    listener.sock.shutdown(socket.SHUT_RD)
