"""A visitor counter in Redis that goes on counting while Redis is away."""

from __future__ import annotations

from threading import Lock

from redis import Redis, RedisError
from redis.backoff import NoBackoff
from redis.retry import Retry

HITS_KEY = "shop:hits"
# Seconds. A hung Redis may cost a request this much and no more.
CONNECT_TIMEOUT, ANSWER_TIMEOUT = 0.2, 0.3


def connect(url: str) -> Redis:
    """A client that gives up early and never retries by itself: the next visitor is the retry."""
    return Redis.from_url(url, socket_connect_timeout=CONNECT_TIMEOUT, socket_timeout=ANSWER_TIMEOUT, retry=Retry(NoBackoff(), 0))


class HitCounter:
    """Counts visits; those that Redis did not take wait in memory and are added with the next one that it takes.

    At least once: a write that timed out may have been applied and is counted again.
    A process that ends takes its waiting visits with it.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._waiting = 0
        self._lock = Lock()

    def visit(self) -> int | None:
        """Count one visit; the total of all replicas, or None while Redis is away."""
        with self._lock:
            batch, self._waiting = self._waiting + 1, 0
        try:
            total = self._redis.incrby(HITS_KEY, batch)
        except RedisError:
            with self._lock:
                self._waiting += batch
            return None
        return int(total)

    def ping(self) -> None:
        """Raises RedisError when Redis does not answer in time."""
        self._redis.ping()
