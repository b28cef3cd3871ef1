"""URLs by their codes in Redis, so that a redirect needs no database, and the click that goes with it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from enum import Enum
from typing import NamedTuple

from redis import Redis

from app.cache.clicks import STREAM, fields_of
from app.cache.client import Cache
from app.click import Click
from app.telemetry.metrics import CACHE_HITS, CACHE_MISSES

# Seconds that "no such code" is believed, and that a changed URL is not cached again: a reader may still hold what it was before.
ABSENT_SECONDS, CHANGED_SECONDS = 5, 10

# In one exchange the entry and, if it may be followed, the click: neither is there without the other.
_FOLLOW = """
local entry = redis.call('GET', KEYS[1])
if entry and string.sub(entry, 1, 1) == '+' then
    local url, user = string.match(entry, '^.(%d+) (%d+) ')
    redis.call('XADD', KEYS[2], '*', 'id', ARGV[1], 'at', ARGV[2], 'code', ARGV[3], 'url', url, 'user', user)
end
return entry
"""


class Target(NamedTuple):
    """Where a code leads."""

    url_id: int
    user_id: int
    original_url: str
    is_active: bool


class Known(Enum):
    """What Redis knows of a code that it cannot redirect."""

    NOTHING = None
    ABSENT = b"?"
    INACTIVE = b"-"
    CHANGED = b"!"

    @classmethod
    def _missing_(cls, value: object) -> Known:
        """What another version of the service wrote during an update."""
        return cls.NOTHING


class UrlCache:
    """Entries live `seconds`; that bounds what a lost invalidation can do."""

    def __init__(self, cache: Cache, *, seconds: int) -> None:
        self._cache, self._seconds = cache, seconds

    def follow(self, code: str, *, click_id: str, at: datetime) -> str | Known:
        """The URL, its click written; or what is known instead. Raises CacheAway: the click may be written then."""
        # EVAL of a text this short costs as much as EVALSHA, and a Redis that restarted knows it too. Twice is once: see Click.
        entry: bytes | None = self._cache.command("EVAL", _FOLLOW, 2, f"url:{code}", STREAM, click_id, at.isoformat(), code)
        (CACHE_MISSES if entry is None else CACHE_HITS).inc()
        if entry is None or not entry.startswith(b"+"):
            return Known(entry)
        return entry.split(b" ", 2)[2].decode()

    def remember(self, code: str, target: Target | None, *, click: Click | None) -> None:
        """Keep what the database says, unless something newer is there, and write the click. Raises CacheAway as `follow`."""

        def exchange(redis: Redis) -> None:
            with redis.pipeline(transaction=True) as pipe:
                pipe.set(f"url:{code}", _entry(target), ex=self._seconds if target else ABSENT_SECONDS, nx=True)
                if click:
                    pipe.xadd(STREAM, fields_of(click))
                pipe.execute()

        self._cache.ask(exchange)

    def forget(self, codes: Iterable[str]) -> None:
        """Called just before a change is committed: nobody follows or keeps these codes until long after. Raises CacheAway."""

        def exchange(redis: Redis) -> None:
            with redis.pipeline(transaction=False) as pipe:
                for code in codes:
                    pipe.set(f"url:{code}", Known.CHANGED.value, ex=CHANGED_SECONDS)
                pipe.execute()

        self._cache.ask(exchange)


def _entry(target: Target | None) -> bytes:
    if target is None:
        return bytes(Known.ABSENT.value)
    if not target.is_active:
        return bytes(Known.INACTIVE.value)
    return f"+{target.url_id} {target.user_id} {target.original_url}".encode()
