"""Rows of a file into records of a table, or into rejects that say why not."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from app.domain.cells import details_cell, flag_cell, id_cell, moment_cell, own_id_cell, required_id_cell
from app.domain.codes import short_code
from app.domain.errors import Code, FieldError
from app.domain.events import event_type
from app.domain.links import target_url
from app.domain.urls import title
from app.domain.users import email, username
from app.ingest.model import BrokenRow, Layout, Reject, Row, RowCode
from app.ingest.reader import storable
from app.ingest.rejects import unescaped


class Kind(StrEnum):
    """What a file holds: one table's rows."""

    USERS = "users"
    URLS = "urls"
    EVENTS = "events"


class UserRecord(NamedTuple):
    """A row of users.csv. In all records None is what the file does not say: new rows take the default, old ones keep theirs."""

    id: int | None
    username: str
    email: str
    created_at: datetime | None


class UrlRecord(NamedTuple):
    """A row of urls.csv."""

    id: int | None
    user_id: int
    short_code: str | None
    original_url: str
    title: str | None
    is_active: bool | None
    created_at: datetime | None
    updated_at: datetime | None


class EventRecord(NamedTuple):
    """A row of events.csv."""

    id: int | None
    url_id: int | None
    user_id: int | None
    event_type: str
    timestamp: datetime | None
    details: dict[str, object] | None


Record = UserRecord | UrlRecord | EventRecord


class Accepted(NamedTuple):
    """A row that may go to the database; `raw` is for the reject that it may still become there."""

    line: int
    record: Record
    raw: str


CellRule = Callable[[str, str], object]


class Schema(NamedTuple):
    """The columns of a kind in the table's order, each with its rule; `required` must be in the header."""

    record: type[UserRecord] | type[UrlRecord] | type[EventRecord]
    columns: Mapping[str, CellRule]
    required: tuple[str, ...]


def _or_none(rule: CellRule) -> CellRule:
    return lambda field, cell: rule(field, cell) if cell else None


SCHEMAS: Mapping[Kind, Schema] = {
    Kind.USERS: Schema(
        UserRecord,
        {"id": own_id_cell, "username": username, "email": email, "created_at": moment_cell},
        ("username", "email"),
    ),
    Kind.URLS: Schema(
        UrlRecord,
        {
            "id": own_id_cell, "user_id": required_id_cell, "short_code": _or_none(short_code), "original_url": target_url,
            "title": _or_none(title), "is_active": flag_cell, "created_at": moment_cell, "updated_at": moment_cell,
        },
        ("user_id", "original_url"),
    ),
    Kind.EVENTS: Schema(
        EventRecord,
        {
            "id": own_id_cell, "url_id": id_cell, "user_id": id_cell, "event_type": event_type,
            "timestamp": moment_cell, "details": details_cell,
        },
        ("event_type",),
    ),
}  # fmt: skip

# What PEP 383 makes of bytes that are no UTF-8. Real UTF-8 has no surrogates.
_BAD_BYTES = re.compile("[\udc80-\udcff]")


# Half the cost of a named tuple's own constructor, and this is done for every row.
_new = tuple.__new__


class RowReader:
    """Reads rows of one kind under one layout."""

    def __init__(self, kind: Kind, layout: Layout) -> None:
        schema = SCHEMAS[kind]
        self._record = schema.record
        self._header = layout.header
        self._width = len(layout.header)
        self._is_reject_file = layout.is_reject_file
        # A column that the file does not have is read from an empty cell that is put behind the last one.
        places = {name: at for at, name in enumerate(layout.header)}
        self._plan = [(name, places.get(name, len(places)), rule) for name, rule in schema.columns.items()]

    def read(self, row: Row | BrokenRow) -> Accepted | Reject:
        """The row's record, or the first reason against it in the order of `app.ingest`."""
        if isinstance(row, BrokenRow):
            return Reject(row.start.line, "", row.code, row.message, storable(row.raw))
        start, _, raw, cells = row
        if (not raw.isascii() or "\0" in raw) and (reason := self._bad_bytes(row)):
            return reason
        if len(cells) != self._width:
            return self._bad_width(row)
        if self._is_reject_file:
            cells = [unescaped(cell) for cell in cells]
        cells.append("")
        try:
            record = _new(self._record, [rule(name, cells[at]) for name, at, rule in self._plan])
        except FieldError:
            return self._bad_fields(start.line, cells, raw)
        return _new(Accepted, (start.line, record, raw))

    def _bad_fields(self, line: int, cells: list[str], raw: str) -> Reject:
        errors = []
        for name, at, rule in self._plan:
            try:
                rule(name, cells[at])
            except FieldError as error:
                errors.append(error)
        others = "".join(f"; also {error}" for error in errors[1:])
        return Reject(line, errors[0].field, errors[0].code, errors[0].message + others, raw)

    def _bad_width(self, row: Row) -> Reject:
        found, wanted = len(row.cells), len(self._header)
        code = RowCode.TOO_FEW_COLUMNS if found < wanted else RowCode.TOO_MANY_COLUMNS
        return Reject(row.start.line, "", code, f"the row has {found} columns, the header {wanted}", storable(row.raw))

    def _bad_bytes(self, row: Row) -> Reject | None:
        if found := _BAD_BYTES.search(row.raw):
            offset = row.start.offset + len(row.raw[: found.start()].encode("utf-8", "surrogateescape"))
            message = f"byte 0x{ord(found.group()) - 0xDC00:02x} at offset {offset} of the file is no UTF-8"
            return self._at_fault(row, RowCode.BAD_UTF8, message, lambda cell: _BAD_BYTES.search(cell) is not None)
        if "\0" in row.raw:
            return self._at_fault(row, Code.NUL, "must not hold a NUL character", lambda cell: "\0" in cell)
        return None

    def _at_fault(self, row: Row, code: Code | RowCode, message: str, is_bad: Callable[[str], bool]) -> Reject:
        at = next((at for at, cell in enumerate(row.cells) if is_bad(cell)), len(self._header))
        column = self._header[at] if at < len(self._header) else ""
        return Reject(row.start.line, column, code, message, storable(row.raw))
