"""One JSON object per line: a constant `event` and fields beside it; registered secrets never among them."""

from __future__ import annotations

import base64
import json
import logging
import math
import re
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, TextIO

LOGGER = "prodbreaker"  # the root of our own loggers; libraries are heard from WARNING on
MASK = "***"
SHORTEST_SECRET = 4  # characters; masking shorter ones would blot out the text and hide nothing
SHORTEST_LINE = 8  # characters of one line of a longer secret, such as a key in PEM


class Redactor:
    """Knows what must not be shown. Secrets are added, never forgotten: an old one may still be in use somewhere."""

    def __init__(self) -> None:
        self._hidden: set[str] = set()
        self._pattern: re.Pattern[str] | None = None

    def hide(self, secrets: Iterable[str | bytes]) -> None:
        """Mask these wherever they appear, whole or by line, plain or in base64."""
        found = {form for secret in secrets for form in _forms(secret)} - self._hidden
        if found:
            self._hidden |= found
            longest_first = sorted(self._hidden, key=len, reverse=True)
            self._pattern = re.compile("|".join(map(re.escape, longest_first)))

    def text(self, text: str) -> str:
        return self._pattern.sub(MASK, text) if self._pattern else text

    def value(self, value: Any) -> Any:
        """The value as JSON takes it, with every string in it masked."""
        if value is None or isinstance(value, bool | int):
            return value
        if isinstance(value, float):
            return value if math.isfinite(value) else str(value)
        if isinstance(value, Mapping):
            return {self.text(str(name)): self.value(item) for name, item in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self.value(item) for item in value]
        return self.text(str(value))


class JsonFormatter(logging.Formatter):
    """`logger.info("constant message", extra={"fields": {...}})` becomes one line."""

    def __init__(self, redactor: Redactor) -> None:
        super().__init__()
        self._redactor = redactor

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        line = {
            "time": moment,
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": self._redactor.text(record.getMessage()),
        }
        fields = getattr(record, "fields", None) or {}
        for name, value in self._redactor.value(fields).items():
            line[f"{name}_" if name in line else name] = value
        if record.exc_info:
            line["traceback"] = self._redactor.text(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=False)


def configure_logging(level: str, redactor: Redactor, *, stream: TextIO | None = None) -> None:
    """Send this process's log to a stream, stderr unless told otherwise; replaces what was configured before."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter(redactor))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger(LOGGER).setLevel(level)


def _forms(secret: str | bytes) -> set[str]:
    raw = secret.encode() if isinstance(secret, str) else secret
    text = raw.decode(errors="replace").strip()
    packed = base64.b64encode(raw).decode()
    lines = {line.strip() for line in text.splitlines()}
    whole = {form for form in (text, packed, packed.rstrip("=")) if len(text) >= SHORTEST_SECRET and form}
    return whole | {line for line in lines if len(line) >= SHORTEST_LINE}
