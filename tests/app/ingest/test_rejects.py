"""The reject file: harmless in a spreadsheet, and whole again when it is sent back."""

from __future__ import annotations

import csv
from io import StringIO

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from app.ingest.model import REASONS, FileError, Reject
from app.ingest.rejects import escaped, reject_file, unescaped
from app.ingest.rows import Kind
from tests.app.ingest.corpus import CORPUS, Case
from tests.app.ingest.reading import USERS, accepted, layout_and_rows, read, rejects

FORMULA_STARTS = "=+-@\t\r\0"


def file_of(data: bytes | str, kind: Kind = Kind.USERS) -> str:
    """The reject file of a file."""
    layout, results = layout_and_rows(data, kind)
    return "".join(reject_file(rejects(results), layout))


def table(text: str) -> list[list[str]]:
    """The rows of a reject file, its header first."""
    return list(csv.reader(StringIO(text.removeprefix("\ufeff"), newline=""), strict=True))


def repaired(text: str, **cells: str) -> str:
    """The file as a person sends it again: these cells set in every row, missing ones added, those too many taken away."""
    header, *rows = table(text)
    written = StringIO(newline="")
    out = csv.writer(written)
    out.writerow(header)
    for row in rows:
        whole = (row + [""] * len(header))[: len(header)]
        out.writerow([cells.get(name, cell) for name, cell in zip(header, whole, strict=True)])
    return written.getvalue()


REPAIRS = {
    Kind.USERS: {"id": "5", "username": "fixed", "email": "fixed@example.com", "created_at": ""},
    Kind.URLS: {
        "id": "5", "user_id": "1", "short_code": "fixed1", "original_url": "https://example.com", "title": "", "is_active": "",
        "created_at": "", "updated_at": "",
    },
    Kind.EVENTS: {"id": "5", "url_id": "1", "user_id": "1", "event_type": "created", "timestamp": "", "details": "{}"},
}  # fmt: skip


@pytest.mark.parametrize("case", [case for case in CORPUS if case.file is None], ids=lambda case: case.name)
def test_rejects_put_right_and_sent_again_complete_the_table(case: Case) -> None:
    again = read(repaired(file_of(case.data, case.kind), **REPAIRS[case.kind]), case.kind)
    assert rejects(again) == []
    assert len(accepted(again)) == len(case.refused)


def test_a_reject_file_holds_reasons_then_the_original_columns() -> None:
    text = file_of("email;username\nbob;bob\nx;y;z;w\n")
    assert text.startswith("\ufeff")
    assert table(text) == [
        [*REASONS, "email", "username"],
        ["2", "email", "format", "must be an email address, as in name@example.com", "bob", "bob"],
        ["3", "", "too_many_columns", "the row has 4 columns, the header 2", "x", "y", "z", "w"],
    ]


def test_a_reject_file_sent_again_unchanged_is_refused_for_the_same_reasons() -> None:
    first = file_of(USERS + "x,'=bob,bob@example.com,\n1,=eve,eve,\n-1,'mallory,m@example.com,\n")
    second = file_of(first)
    assert [row[1:] for row in table(second)] == [row[1:] for row in table(first)]


@settings(max_examples=300)
@given(cell=st.one_of(st.text(), st.text(alphabet="='+-@\ta", max_size=5)))
@example(cell="''=")
@example(cell="'")
def test_an_escaped_cell_is_no_formula_and_comes_back_as_it_was(cell: str) -> None:
    assert not escaped(cell).startswith(tuple(FORMULA_STARTS))
    assert unescaped(escaped(cell)) == cell


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", "'=1", "'"])
def test_a_formula_is_stored_as_it_stands_by_a_plain_file_and_by_a_reject_file(name: str) -> None:
    plain = USERS + f"1,{name},bob@example.com,\n"
    assert accepted(read(plain))[0].record[1] == name
    sent_again = repaired(file_of(f"id,username,email\n1,{name},bob\n"), email="bob@example.com")
    assert accepted(read(sent_again))[0].record[1] == name


def test_cells_of_a_reject_file_that_a_person_typed_with_an_apostrophe_stay() -> None:
    sent_again = repaired(file_of(USERS + "1,x,bob,\n"), email="bob@example.com", username="'bob")
    assert accepted(read(sent_again))[0].record[1] == "'bob"


@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=200))
def test_the_reject_file_of_any_bytes_can_be_read(data: bytes) -> None:
    try:
        layout, results = layout_and_rows(USERS.encode() + data)
        refused = rejects(results)
    except FileError:
        return
    again = read("".join(reject_file(refused, layout)))
    assert len(again) == len(refused)


def test_a_raw_row_that_outgrew_csv_is_one_cell() -> None:
    layout, _ = layout_and_rows(USERS)
    text = "".join(reject_file([Reject(2, "", "bad_utf8", "", "\\xff" * 40_000)], layout))
    assert text.count("\\xff") == 40_000
