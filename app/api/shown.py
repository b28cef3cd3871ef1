"""Rows as JSON shows them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from app.domain.values import render_moment
from app.store.database import Row


def shown(row: Row) -> dict[str, Any]:
    """The row with its moments rendered."""
    return {name: render_moment(value) if isinstance(value, datetime) else value for name, value in row.items()}
