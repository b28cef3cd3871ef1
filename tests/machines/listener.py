"""What the controllers' loggers say, before anything masks it."""

from __future__ import annotations

import logging
from typing import Any

from tests.machines.scenery import TOKEN


class Listener(logging.Handler):
    """Hears every record of our loggers and looks for the token in it, before anything masks it."""

    def __init__(self, found: Any) -> None:
        super().__init__(logging.DEBUG)
        self._found = found

    def emit(self, record: logging.LogRecord) -> None:
        fields = getattr(record, "fields", "")
        if TOKEN in f"{record.getMessage()}{fields}":
            self._found(f"P8 the log holds the token: {record.getMessage()} {fields}")
        if record.exc_info:
            self._found(f"an unexpected error: {record.exc_info[1]!r}")
