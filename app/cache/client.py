"""Redis behind a breaker: an answer, or CacheAway soon."""

from __future__ import annotations

import logging
from collections.abc import Callable
from threading import local
from typing import Any, TypeVar

from redis import ConnectionError, Redis, RedisError

from app.breaker import Breaker, State
from app.counter import connect
from app.telemetry.metrics import CACHE_ERRORS, watch_breaker

T = TypeVar("T")
_log = logging.getLogger("app.cache")

# So many failures in a row, each up to the client's timeouts long, before nobody asks for a while.
THRESHOLD, PAUSE_SECONDS = 3, 2.0


class CacheAway(Exception):
    """Redis did not answer, refused, or is left alone because it did so before."""


class Cache:
    """One process's way to Redis. Made without touching the network."""

    def __init__(self, url: str) -> None:
        self._redis = connect(url)
        self._own = local()
        self._breaker = Breaker(threshold=THRESHOLD, pause=PAUSE_SECONDS, changed=watch_breaker("redis"))

    @property
    def breaker(self) -> State:
        return self._breaker.state

    def ask(self, question: Callable[[Redis], T]) -> T:
        """The answer to one exchange with Redis. Raises CacheAway; the exchange may then have been carried out all the same."""
        return self._guarded(lambda: question(self._redis))

    def command(self, *words: str | int) -> Any:
        """The answer to one command, which may be carried out twice; at half the cost of `ask`. Raises CacheAway as that does."""
        return self._guarded(lambda: self._answer(words))

    def _guarded(self, exchange: Callable[[], T]) -> T:
        if not self._breaker.allows():
            raise CacheAway("left alone after failures")
        try:
            answer = exchange()
        except RedisError as error:
            self._breaker.failed()
            CACHE_ERRORS.inc()
            _log.warning("redis failed", extra={"fields": {"error": type(error).__name__, "breaker": self.breaker}})
            raise CacheAway(type(error).__name__) from error
        self._breaker.succeeded()
        return answer

    def _answer(self, words: tuple[str | int, ...]) -> Any:
        """On a connection of this thread, which spares the pool's lock and its look at the socket before each use."""
        connection = getattr(self._own, "connection", None)
        if connection is not None:
            try:
                connection.send_command(*words)
                return connection.read_response()
            except ConnectionError:  # Redis was restarted since, or ended a connection that idled
                connection.disconnect()
        else:
            connection = self._own.connection = self._redis.connection_pool.make_connection()
        connection.send_command(*words)
        return connection.read_response()
