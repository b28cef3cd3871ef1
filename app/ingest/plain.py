"""Rows so plain that they can go to COPY as they stand in the file.

A pattern knows, of one kind under one layout, a part of the rows that `app.ingest.rows` accepts: ASCII, on one line, with
every value that a new row needs, ended by LF or CRLF. In CSV format such a line means to PostgreSQL what it means to those
rules; tests hold the patterns to that. What they do not know is read cell by cell, so they may be as narrow as they like.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from app.domain.codes import LONGEST_CODE, RESERVED, SHORTEST_CODE
from app.domain.events import LONGEST_TYPE
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

# Of JSON objects those of texts, integers and words, written as a quoted cell has them.
_TEXT = r'""[^\x00-\x1f"\\\x7f-\xff]{0,500}""'
_MEMBER = rf"{_TEXT}: ?(?:{_TEXT}|0|-?[1-9][0-9]{{0,17}}|true|false|null)"

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
        "title": rf"{_SHOWN}{{1,{LONGEST_TITLE}}}",
        "is_active": r"(?:[Tt]rue|[Ff]alse|[tf01])",
        "created_at": _MOMENT,
        "updated_at": _MOMENT,
    },
    Kind.EVENTS: {
        "id": _ID,
        "url_id": _ID,
        "user_id": _ID,
        "event_type": rf"[A-Za-z][A-Za-z0-9_.:-]{{0,{LONGEST_TYPE - 1}}}",
        "timestamp": _MOMENT,
        "details": rf"\{{(?:{_MEMBER}(?:, ?{_MEMBER}){{0,9}})?\}}",
    },
}
# Columns that the table itself fills in where the file has none.
_DEFAULTED = frozenset({"id", "title", "is_active", "url_id", "user_id", "details"})
# Cells that may be empty. Between quotes they may not: that would be an empty text, no NULL.
_NULLABLE = {Kind.USERS: frozenset[str](), Kind.URLS: frozenset({"title"}), Kind.EVENTS: frozenset({"url_id", "user_id"})}


def plain_rows(kind: Kind, layout: Layout) -> re.Pattern[bytes] | None:
    """Matches as many plain rows as there are, perhaps none; None where no row of such a file is plain."""
    columns = set(SCHEMAS[kind].columns)
    # A URL without a user is no default: the header of such a file was refused before.
    if not columns - _DEFAULTED <= set(layout.header) <= columns:
        return None
    # A delimiter may stand in details alone, and ids are found by splitting.
    if "details" in layout.header and "id" in layout.header[layout.header.index("details") :]:
        return None
    delimiter = re.escape(layout.delimiter)
    row = delimiter.join(_cell(kind, name) for name in layout.header).replace("«d»", delimiter)
    # Not possessive: in Python 3.11.2 such a repetition ends within a row that does not match.
    return re.compile(rf"(?:{row}\r?\n)*".encode("latin-1"))


def _cell(kind: Kind, name: str) -> str:
    plain = _CELLS[kind][name]
    quoted = f'"{plain}"'
    if name == "details":
        return quoted
    return f"(?:{plain}|{quoted}{'|' if name in _NULLABLE[kind] else ''})"
