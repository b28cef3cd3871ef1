"""A bounded pool of connections. peewee's own holds its locks while it connects, so that one hung attempt stops every thread."""

from __future__ import annotations

import select
from collections import deque
from collections.abc import Callable
from threading import BoundedSemaphore

import psycopg
from psycopg.pq import TransactionStatus

from app.breaker import Breaker
from app.errors import Unavailable
from app.store.connection import Connection
from app.telemetry.metrics import POOL_IN_USE, POOL_SIZE, POOL_TIMEOUTS, POOL_WAITS, watch_breaker

# After this many failed attempts in a row nobody tries for a second: threads that wait for a dead server answer nobody.
ATTEMPTS, PAUSE_SECONDS = 3, 1.0


class Pool:
    """At most `size` connections, made when they are needed; used last, given out first. Safe to share between threads."""

    def __init__(self, connect: Callable[[], Connection], *, size: int, wait_seconds: float) -> None:
        self._connect = connect
        self.size, self._wait_seconds = size, wait_seconds
        self._free = BoundedSemaphore(size)
        self._idle: deque[Connection] = deque()
        self._breaker = Breaker(threshold=ATTEMPTS, pause=PAUSE_SECONDS, changed=watch_breaker("postgresql"))
        POOL_SIZE.set(size)

    def take(self) -> Connection:
        """A live connection, to be given back. Raises Unavailable: all are in use, or the server takes no more."""
        if not self._free.acquire(blocking=False):
            POOL_WAITS.inc()
            if not self._free.acquire(timeout=self._wait_seconds):
                POOL_TIMEOUTS.inc()
                raise Unavailable("pool", f"all {self.size} connections are in use")
        try:
            connection = self._live() or self._new()
        except BaseException:
            self._free.release()
            raise
        POOL_IN_USE.inc()
        return connection

    def give(self, connection: Connection) -> None:
        """Take a connection back; one that is broken or in a transaction is closed."""
        try:
            if connection.info.transaction_status is TransactionStatus.IDLE:
                self._idle.append(connection)
            else:
                if connection.closed:  # by the server or by its own patience: the next attempt tells
                    self._breaker.failed()
                connection.close()
        finally:
            POOL_IN_USE.dec()
            self._free.release()

    def close(self) -> None:
        """Close what is idle; what is in use is closed by who uses it."""
        while self._idle:
            self._idle.pop().close()

    def _live(self) -> Connection | None:
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return None
            if not connection.closed and not _has_word(connection):
                return connection
            connection.close()

    def _new(self) -> Connection:
        if not self._breaker.allows():
            raise Unavailable("postgresql", "it did not answer a moment ago")
        try:
            connection = self._connect()
        except psycopg.Error as error:
            self._breaker.failed()
            raise Unavailable("postgresql", type(error).__name__) from error
        self._breaker.succeeded()
        return connection


def _has_word(connection: Connection) -> bool:
    """Whether the server has something to say that nobody asked for. Of an idle connection this is its end."""
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))
