"""The stream of clicks: written with the redirect, read by who moves them into the events. Never trimmed, never evicted."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from redis import Redis

from app.cache.client import Cache
from app.click import Click
from app.domain.codes import short_code
from app.domain.values import identifier

STREAM = "clicks"
# What is no click, for a person to look at: it must neither block the stream nor vanish.
REJECTED = "clicks:rejected"


class Waiting(NamedTuple):
    """Clicks of the stream, oldest first, and the ids of all entries that were read, those that are no clicks included."""

    clicks: list[Click]
    ids: list[bytes]
    rejected: list[dict[Any, Any]]


class Backlog(NamedTuple):
    """How many clicks wait, and when the oldest was written, in seconds since 1970; None if none waits."""

    clicks: int
    since: float | None


class ClickStream:
    """Its two halves, reading and dropping, are separate: what was read and not dropped is read again."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache

    def waiting(self, *, limit: int) -> Waiting:
        """The oldest entries. Raises CacheAway."""
        found = Waiting([], [], [])
        # redis' types leave open what a client that decodes nothing always answers.
        entries: Any = self._cache.ask(lambda redis: redis.xrange(STREAM, count=limit))
        for entry_id, fields in entries:
            found.ids.append(entry_id)
            try:
                found.clicks.append(_click_of(fields))
            except (KeyError, ValueError):
                found.rejected.append(fields)
        return found

    def backlog(self) -> Backlog:
        """How much waits. Raises CacheAway."""

        def exchange(redis: Redis) -> list[Any]:
            with redis.pipeline(transaction=False) as pipe:
                pipe.xlen(STREAM)
                pipe.xrange(STREAM, count=1)
                return pipe.execute()

        length, oldest = self._cache.ask(exchange)
        # An entry's id begins with the millisecond in which Redis took it.
        return Backlog(length, int(oldest[0][0].split(b"-")[0]) / 1000 if oldest else None)

    def wait(self, *, milliseconds: int) -> None:
        """Return when there is an entry, or after this long; it must be shorter than the client's timeout. Raises CacheAway."""
        self._cache.ask(lambda redis: redis.xread({STREAM: "0"}, count=1, block=milliseconds))

    def drop(self, waiting: Waiting) -> None:
        """Forget what was read and is safe elsewhere. Raises CacheAway."""

        def exchange(redis: Redis) -> None:
            with redis.pipeline(transaction=True) as pipe:
                for fields in waiting.rejected:
                    pipe.xadd(REJECTED, fields)
                pipe.xdel(STREAM, *waiting.ids)
                pipe.execute()

        self._cache.ask(exchange)


def fields_of(click: Click) -> dict[Any, Any]:
    """The click as an entry of the stream."""
    return {
        "id": click.click_id, "at": click.at.isoformat(), "code": click.short_code, "url": click.url_id, "user": click.user_id,
    }  # fmt: skip


def _click_of(fields: dict[bytes, bytes]) -> Click:
    """Raises KeyError and ValueError (FieldError is one) for what the events could not hold: it would hold up all others."""
    text = {key.decode(): value.decode() for key, value in fields.items()}
    return Click(
        click_id=str(UUID(text["id"])),
        url_id=identifier("url", int(text["url"])),
        user_id=identifier("user", int(text["user"])),
        short_code=short_code("code", text["code"]),
        at=datetime.fromisoformat(text["at"]),
    )
