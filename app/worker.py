"""Moves clicks from Redis into the events, each exactly once, whatever dies in between."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from threading import Event

import peewee

from app.cache.clicks import ClickStream
from app.cache.client import CacheAway
from app.errors import Unavailable
from app.store import events
from app.store.database import Database, translated

BATCH = 500
# A blocking read that comes back empty is no failure. Redis ends it up to 0.1 s late: together less than the client's timeout.
BLOCK_MILLISECONDS = 100
REST_SECONDS = 1.0

_log = logging.getLogger("app.worker")


def move(stream: ClickStream, database: Database, *, limit: int = BATCH) -> int:
    """Write the oldest waiting clicks, then drop them from the stream; how many entries that were.

    Several may do this at once: the database takes each click id once. A crash between the two repeats
    the first, to no effect. Raises CacheAway, Unavailable and peewee's errors.
    """
    waiting = stream.waiting(limit=limit)
    if not waiting.ids:
        return 0
    events.record_clicks(database, waiting.clicks)
    if waiting.rejected:
        _log.error("no clicks", extra={"fields": {"entries": len(waiting.rejected), "example": repr(waiting.rejected[0])[:500]}})
    stream.drop(waiting)
    return len(waiting.ids)


def run(stream: ClickStream, database: Database, *, ending: Event, sleep: Callable[[float], object] = time.sleep) -> None:
    """Move clicks until `ending` is set; what fails is tried again after a rest."""
    while not ending.is_set():
        try:
            if not move(stream, database):
                stream.wait(milliseconds=BLOCK_MILLISECONDS)
        except (CacheAway, Unavailable, peewee.PeeweeException) as error:
            reason = translated(error) if isinstance(error, peewee.PeeweeException) else error
            _log.warning("clicks wait", extra={"fields": {"reason": str(reason), "error": type(reason).__name__}})
            sleep(REST_SECONDS)
        finally:
            database.close()
