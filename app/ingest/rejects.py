"""The file of refused rows, made to be put right in a spreadsheet and sent again.

The reasons stand in the first columns, the original row after them, so that a row with too many cells keeps its shape. A
spreadsheet runs no cell of it, because those that begin like a formula get an apostrophe before them (OWASP ASVS 5.0,
1.2.10). The import takes the apostrophe away again, passes over the reasons, and so gets back every cell as it was.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from io import StringIO

from app.ingest.model import REASONS, Layout, Reject

# The apostrophe itself too, or one that was there could not be told from one that was put there.
_ESCAPED = ("=", "+", "-", "@", "\t", "\r", "\0", "'")


def escaped(cell: str) -> str:
    """The cell as no spreadsheet takes it for a formula."""
    return "'" + cell if cell.startswith(_ESCAPED) else cell


def unescaped(cell: str) -> str:
    """The cell that `escaped` was given."""
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(_ESCAPED) else cell


def reject_file(rejects: Iterable[Reject], layout: Layout) -> Iterator[str]:
    """The text of the file in pieces: comma, CRLF, every cell quoted, a byte order mark for Excel."""
    kept = [at for at, name in enumerate(layout.header) if name not in REASONS]
    yield "\ufeff" + _line([*REASONS, *(layout.header[at] for at in kept)])
    for reject in rejects:
        cells = _cells(reject.raw, layout.delimiter)
        if layout.is_reject_file:
            cells = [unescaped(cell) for cell in cells]
        original = [cells[at] for at in kept if at < len(cells)] + cells[len(layout.header) :]
        yield _line([str(reject.line), reject.column, reject.code, reject.message, *map(escaped, original)])


def _cells(raw: str, delimiter: str) -> list[str]:
    # Leniently: of a row whose quotes are broken, as much as can be made out.
    try:
        return [cell for cells in csv.reader(StringIO(raw, newline=""), delimiter=delimiter) for cell in cells]
    except csv.Error:  # a cell that grew beyond csv's limit when its bad bytes were written out
        return [raw]


def _line(cells: list[str]) -> str:
    written = StringIO(newline="")
    csv.writer(written, quoting=csv.QUOTE_ALL, lineterminator="\r\n").writerow(cells)
    return written.getvalue()
