"""What the routes work with, made once for each process."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from app.cache.clicks import ClickStream
from app.cache.client import Cache, CacheAway
from app.cache.urls import UrlCache
from app.ingest.jobs import Importer
from app.settings import Settings
from app.store.database import Database


def utc_now() -> datetime:
    """The second it is in UTC, without a zone, as the tables hold it."""
    return datetime.now(UTC).replace(tzinfo=None, microsecond=0)


@dataclass(frozen=True)
class Services:
    """The ways out of the process."""

    settings: Settings
    database: Database
    cache: Cache
    urls: UrlCache
    clicks: ClickStream
    now: Callable[[], datetime] = utc_now

    @classmethod
    def of(cls, settings: Settings) -> Services:
        """Touches no network."""
        cache = Cache(settings.redis_url)
        return cls(settings, Database(settings), cache, UrlCache(cache, seconds=settings.cache_seconds), ClickStream(cache))

    def importer(self, *, is_ending: Callable[[], bool] = lambda: False) -> Importer:
        """What works on imports; once `is_ending` says so, it gives back the one at hand after its batch."""
        settings = self.settings
        return Importer(self.forget, settings.lease_seconds, settings.max_unpacked_bytes, is_ending)

    def forget(self, codes: Iterable[str]) -> None:
        """Make Redis forget URLs that are about to change. If it is away, its entries end by themselves after `cache_seconds`."""
        with suppress(CacheAway):
            self.urls.forget(codes)
