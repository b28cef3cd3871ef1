"""Short codes: what may stand after the host's name in a short URL."""

from __future__ import annotations

import re
from collections.abc import Callable

from app.domain.errors import Code, FieldError
from app.domain.values import text

CODE_LENGTH = 6
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
SHORTEST_CODE, LONGEST_CODE = 3, 32
# The service's own paths win over codes, so such a code could never redirect. Three of them have six letters.
RESERVED = frozenset(
    {
        "users",
        "urls",
        "events",
        "imports",
        "health",
        "livez",
        "readyz",
        "metrics",
        "logs",
        "products",
        "chaos",
        "openapi",
        "docs",
        "static",
    }
)

_CODE = re.compile(rf"[A-Za-z0-9_-]{{{SHORTEST_CODE},{LONGEST_CODE}}}")


def short_code(field: str, value: object) -> str:
    """A code of 3 to 32 characters of A-Z, a-z, 0-9, _ and -, that is none of the service's own paths."""
    code = text(field, value, longest=LONGEST_CODE)
    if not _CODE.fullmatch(code):
        what = f"must be {SHORTEST_CODE} to {LONGEST_CODE} characters of A-Z, a-z, 0-9, _ and -"
        raise FieldError(field, Code.FORMAT if code else Code.EMPTY, what)
    if code in RESERVED:
        raise FieldError(field, Code.RESERVED, "is a path of the service itself")
    return code


def is_code(text: str) -> bool:
    """Whether `short_code` would take it."""
    return _CODE.fullmatch(text) is not None and text not in RESERVED


def new_code(below: Callable[[int], int]) -> str:
    """A code of 6 letters and digits; `below(n)` draws evenly from 0 to n-1, as `secrets.randbelow` does."""
    while True:
        code = "".join(ALPHABET[below(len(ALPHABET))] for _ in range(CODE_LENGTH))
        if code not in RESERVED:
            return code
