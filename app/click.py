"""A click: one redirect that was answered, on its way to the events."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple


class Click(NamedTuple):
    """`click_id` (a UUID) is made before anything is written, so that a write may be repeated and still counts once."""

    click_id: str
    url_id: int
    user_id: int
    short_code: str
    at: datetime
