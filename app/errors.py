"""What the service's inner parts raise; `api/errors.py` turns each into an answer.

AppError
├── Unavailable        something that the service rests on does not answer: 503
├── NotFound           404
├── Conflict           409
└── SettingsError      the environment makes no sense: the service does not start
"""

from __future__ import annotations


class AppError(Exception):
    """The root of the tree."""


class Unavailable(AppError):
    """`what` (postgresql, redis, pool) does not answer; `retry_after` seconds is when to ask again."""

    def __init__(self, what: str, reason: str, *, retry_after: int = 1) -> None:
        super().__init__(f"{what}: {reason}")
        self.what = what
        self.reason = reason
        self.retry_after = retry_after


class NotFound(AppError):
    """No `thing` of this name."""

    def __init__(self, thing: str, name: object) -> None:
        super().__init__(f"there is no {thing} {name}")


class Conflict(AppError):
    """Another `thing` has this `field` already."""

    def __init__(self, thing: str, field: str) -> None:
        super().__init__(f"another {thing} has this {field}")
        self.field = field


class SettingsError(AppError):
    """A variable of the environment holds what it cannot; the message names it and never repeats a secret."""
