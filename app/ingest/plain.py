"""Rows so plain that they can go to COPY as they stand in the file.

A pattern knows, of one kind under one layout, a part of the rows that `app.ingest.rows` accepts: ASCII, without a quote, with
every value that a new row needs, ended by LF or CRLF. In CSV format such a line means to PostgreSQL what it means to those
rules; tests hold the patterns to that. What they do not know is read cell by cell, so they may be as narrow as they like.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from app.domain.codes import LONGEST_CODE, RESERVED, SHORTEST_CODE
from app.domain.urls import LONGEST_TITLE
from app.domain.users import LONGEST_USERNAME
from app.ingest.model import Layout
from app.ingest.rows import SCHEMAS, Kind

# Character classes stop at the delimiter, which is put in for «d».
_SEEN = r'[^\x00-\x20"\x7f-\xff«d»]'
_SHOWN = r'[^\x00-\x1f"\x7f-\xff«d»]'
_ID = r"[1-9][0-9]{0,8}"
_MOMENT = (
    r"(?:19[7-9][0-9]|20[0-9]{2})-"
    r"(?:(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])|(?:0[13-9]|1[0-2])-(?:29|30)|(?:0[13578]|1[02])-31)"
    r"[ T](?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]"
)
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
# The last label begins with a letter: what may be an address of four numbers is read with more care.
_HOST = rf"(?:{_LABEL}\.){{0,3}}(?![0-9]){_LABEL}"

_CELLS: Mapping[Kind, Mapping[str, str]] = {
    Kind.USERS: {
        "id": _ID,
        "username": rf"{_SEEN}(?:{_SHOWN}{{0,{LONGEST_USERNAME - 2}}}{_SEEN})?",
        "email": _SEEN.replace("«d»", "@«d»") + r"{1,64}@[A-Za-z0-9-]{1,60}(?:\.[A-Za-z0-9-]{1,40}){1,3}",
        "created_at": _MOMENT,
    },
    Kind.URLS: {
        "id": _ID,
        "user_id": _ID,
        "short_code": rf"(?!(?:{'|'.join(sorted(RESERVED))})[^A-Za-z0-9_-])[A-Za-z0-9_-]{{{SHORTEST_CODE},{LONGEST_CODE}}}",
        "original_url": rf"https?://{_HOST}(?:/{_SEEN}{{0,1700}})?",
        "title": rf"{_SHOWN}{{0,{LONGEST_TITLE}}}",
        "is_active": r"(?:[Tt]rue|[Ff]alse|[tf01])",
        "created_at": _MOMENT,
        "updated_at": _MOMENT,
    },
    # Details are JSON, which needs quotes, and a new event without any needs the default.
}
# Columns that the table itself fills in where the file has none.
_OPTIONAL = frozenset({"id", "title", "is_active"})


def plain_rows(kind: Kind, layout: Layout) -> re.Pattern[bytes] | None:
    """Matches as many plain rows as there are, perhaps none; None where no row of such a file is plain."""
    cells = _CELLS.get(kind)
    if cells is None or not set(SCHEMAS[kind].columns) - _OPTIONAL <= set(layout.header) <= set(cells):
        return None
    delimiter = re.escape(layout.delimiter)
    row = delimiter.join(cells[name] for name in layout.header).replace("«d»", delimiter)
    # Not possessive: in Python 3.11.2 such a repetition ends within a row that does not match.
    return re.compile(rf"(?:{row}\r?\n)*".encode("latin-1"))
