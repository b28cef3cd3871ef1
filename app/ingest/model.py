"""What the stages of an import hand to each other."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class RowCode(StrEnum):
    """Why a row was refused, beyond the codes of `app.domain.errors.Code`."""

    LINE_TOO_LONG = "line_too_long"
    UNCLOSED_QUOTE = "unclosed_quote"
    BAD_QUOTE = "bad_quote"
    BAD_UTF8 = "bad_utf8"
    TOO_FEW_COLUMNS = "too_few_columns"
    TOO_MANY_COLUMNS = "too_many_columns"
    MISSING_REFERENCE = "missing_reference"
    CLASH = "clash"


class FileCode(StrEnum):
    """Why a file was refused as a whole."""

    EMPTY = "empty_file"
    ENCODING = "encoding"
    ARCHIVE = "archive"
    GZIP = "bad_gzip"
    TOO_LARGE = "too_large"
    HEADER = "bad_header"
    UNKNOWN_COLUMN = "unknown_column"
    DUPLICATE_COLUMN = "duplicate_column"
    MISSING_COLUMN = "missing_column"


class FileError(Exception):
    """The file cannot be read, or no further; `line` is where, if there is a place."""

    def __init__(self, code: FileCode, message: str, *, line: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.line = line


class Position(NamedTuple):
    """Where a row begins: bytes from the start of the file (unpacked, if it is gzip) and its line, counted from 1."""

    offset: int
    line: int


START = Position(0, 1)


@dataclass(frozen=True)
class Limits:
    """What bounds memory. A row may have `row_bytes` bytes, line endings included, on `row_lines` lines."""

    row_bytes: int = 128 * 1024
    row_lines: int = 200

    def __post_init__(self) -> None:
        if self.row_bytes > csv.field_size_limit():
            raise ValueError(f"row_bytes is more than the {csv.field_size_limit()} that csv reads as one field")

    @property
    def kept(self) -> int:
        """Characters of a line that is too long which are kept for its reject."""
        return min(1000, self.row_bytes // 4)


@dataclass(frozen=True)
class Layout:
    """How a file is written: all that a reader needs to start anywhere in it."""

    delimiter: str
    # Normalised names, in the file's order, with those of a reject file.
    header: tuple[str, ...]
    # Where the first row begins.
    start: Position

    @property
    def is_reject_file(self) -> bool:
        """Whether this came out of `rejects`: then its reasons are passed over, and its escaped cells are taken back."""
        return REASONS[2] in self.header


# The columns that a reject file has before the original ones.
REASONS = ("reject_line", "reject_column", "reject_code", "reject_message")


class Row(NamedTuple):
    """One row as the file has it. Bytes that are no UTF-8 stand in the texts as PEP 383 has it (U+DC80 to U+DCFF)."""

    start: Position
    after: Position
    raw: str
    cells: list[str]


class BrokenRow(NamedTuple):
    """A line that is no row; `raw` is of a line that is too long only the first `Limits.kept` characters."""

    start: Position
    after: Position
    raw: str
    code: RowCode
    message: str


class Run(NamedTuple):
    """Plain rows that follow each other, line endings included."""

    start: Position
    after: Position
    data: bytes

    @property
    def rows(self) -> int:
        return self.after.line - self.start.line

    def split(self, rows: int) -> tuple[Run, Run]:
        """The first rows, fewer than all, and the others."""
        at = 0
        for _ in range(rows):
            at = self.data.index(b"\n", at) + 1
        middle = Position(self.start.offset + at, self.start.line + rows)
        return Run(self.start, middle, self.data[:at]), Run(middle, self.after, self.data[at:])


class Reject(NamedTuple):
    """A row that was refused; `column` is empty where the row as a whole is at fault, `raw` has no NUL and no surrogate."""

    line: int
    column: str
    code: str
    message: str
    raw: str
