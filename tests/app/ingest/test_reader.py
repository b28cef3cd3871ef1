"""The reader on what no table can show: streams without end, chunks, restarts."""

from __future__ import annotations

import csv
import gzip
import tracemalloc
from collections.abc import Iterable, Iterator

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from app.ingest.dialect import SLICE, unpacked
from app.ingest.model import START, BrokenRow, FileCode, FileError, Limits, Position, Row, RowCode
from app.ingest.parse import open_file, parse
from app.ingest.reader import _UNENDED, read_rows
from app.ingest.rows import Accepted, Kind
from tests.app.ingest.reading import USERS, accepted, cut, read, rejects

SMALL = Limits(row_bytes=40, row_lines=3)

# Texts that are full of what readers trip over.
NASTY = st.lists(
    st.sampled_from(
        [
            b"a",
            b"1",
            b",",
            b'"',
            b'""',
            b"\n",
            b"\r",
            b"\r\n",
            b"\0",
            b"\xff",
            "é".encode(),
            b"x" * 45,
            b"\xed\xa0\x80",
            b";",
            b'","',
            b"'=",
            b"\x1c",
        ]
    ),
    max_size=60,
).map(b"".join)


def rows_of(chunks: Iterable[bytes], start: Position = START, limits: Limits = SMALL) -> list[Row | BrokenRow]:
    return list(read_rows(chunks, delimiter=",", start=start, limits=limits))


def test_what_csv_says_of_an_unclosed_quote_is_what_the_reader_waits_for() -> None:
    with pytest.raises(csv.Error, match=f"^{_UNENDED}$"):
        list(csv.reader(['"open'], strict=True))


@settings(max_examples=400, deadline=None)
@given(data=NASTY, sizes=st.lists(st.integers(1, 50), min_size=1, max_size=5))
@example(data=b'"' + b"x" * 45 + b'\r\n"', sizes=[1])
@example(data=b'a,"b\nc\nd\ne"\n', sizes=[3])
@example(data=b"x" * 41 + b"\r\nb\n", sizes=[42])
def test_chunk_boundaries_never_matter(data: bytes, sizes: list[int]) -> None:
    assert rows_of(cut(data, sizes)) == rows_of([data])


@settings(max_examples=300, deadline=None)
@given(data=NASTY)
@example(data=b'"a\n"b\n\n1')
def test_reading_starts_again_after_any_row(data: bytes) -> None:
    rows = rows_of([data])
    for number, row in enumerate(rows, 1):
        assert rows_of([data[row.after.offset :]], row.after) == rows[number:]


@settings(max_examples=300, deadline=None)
@given(data=NASTY)
def test_rows_and_empty_lines_are_all_that_a_file_holds(data: bytes) -> None:
    at = 0
    for row in rows_of([data]):
        assert data[at : row.start.offset].strip(b"\r\n") == b""
        if isinstance(row, Row):
            assert row.raw.encode("utf-8", "surrogateescape") == data[row.start.offset : row.after.offset]
        at = row.after.offset
    assert data[at:].strip(b"\r\n") == b""


@settings(max_examples=200, deadline=None)
@given(cells=st.lists(st.lists(st.text(max_size=8), min_size=2, max_size=4), max_size=12), delimiter=st.sampled_from(",;\t|"))
def test_what_a_csv_writer_wrote_is_read_back(
    cells: list[list[str]], delimiter: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("csv") / "written"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows(cells)
    rows = read_rows([path.read_bytes()], delimiter=delimiter, start=START)
    assert [row.cells for row in rows if isinstance(row, Row)] == cells


@settings(max_examples=300, deadline=None)
@given(data=st.one_of(st.binary(max_size=200), NASTY.map(lambda rest: USERS.encode() + rest)), kind=st.sampled_from(Kind))
@example(data=b"\x1f\x8b", kind=Kind.USERS)
@example(data=b"sep=;\n", kind=Kind.URLS)
def test_any_bytes_end_in_results_or_in_a_file_error(data: bytes, kind: Kind) -> None:
    try:
        layout, rest = open_file([data], kind)
    except FileError:
        return
    rows = list(read_rows(rest, delimiter=layout.delimiter, start=layout.start))
    results = list(parse([data], kind)[1])
    assert len(rows) == len(accepted(results)) + len(rejects(results))
    for reject in rejects(results):
        assert "\0" not in reject.raw
        reject.raw.encode()  # no surrogates: PostgreSQL takes it


@pytest.mark.parametrize(
    "data",
    [
        b"\xef\xbb\xbf" + USERS.encode() + b"1,a,a@b.c,\n",
        b"sep=;\r\n\r\nusername;email\r\nx;y\r\n",
        b"\xff\xfe\0\0",
        b"",
        b"\r\n",
    ],
)
def test_chunk_boundaries_never_matter_to_the_layout(data: bytes) -> None:
    def outcome(chunks: Iterable[bytes]) -> object:
        try:
            layout, rows = parse(chunks, Kind.USERS)
            return layout, list(rows)
        except FileError as error:
            return error.code, str(error), error.line

    assert all(outcome(cut(data, [size])) == outcome([data]) for size in range(1, len(data) + 1))


def endless(piece: bytes, total: int) -> Iterator[bytes]:
    for _ in range(total // len(piece)):
        yield piece


@pytest.mark.parametrize(
    ("beginning", "piece", "code"),
    [
        (USERS.encode(), b"x", RowCode.LINE_TOO_LONG),
        (USERS.encode() + b'1,"', b"x", RowCode.LINE_TOO_LONG),
        (USERS.encode(), b",", RowCode.LINE_TOO_LONG),
        (USERS.encode() + b'1,"\n', b'"' * 2, RowCode.UNCLOSED_QUOTE),
    ],
    ids=["no line ending", "inside of quotes", "a billion columns", "escaped quotes"],
)
def test_a_line_of_a_gibibyte_is_one_reject_and_never_held(beginning: bytes, piece: bytes, code: RowCode) -> None:
    def stream() -> Iterator[bytes]:
        yield beginning
        yield from endless(piece * (SLICE // len(piece)), 2**30)
        yield b"\n2,bob,bob@example.com,\n"

    tracemalloc.start()
    try:
        results = read(stream())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert next((reject.line, reject.code) for reject in rejects(results)) == (2, code)
    assert [result.record[1] for result in accepted(results)] == ["bob"]
    assert peak < 4 * 2**20


def test_a_header_after_too_many_empty_lines_is_not_looked_for() -> None:
    with pytest.raises(FileError, match="no whole header") as refused:
        read(endless(b"\n" * SLICE, 2**40))
    assert refused.value.code is FileCode.HEADER


def test_a_gzip_bomb_is_unpacked_in_slices_and_stops_at_the_limit() -> None:
    bomb = gzip.compress(bytes(2**26))
    assert {len(piece) for piece in unpacked([bomb])} == {SLICE}
    tracemalloc.start()
    try:
        with pytest.raises(FileError) as refused:
            sum(map(len, unpacked([bomb], largest=2**25)))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert refused.value.code is FileCode.TOO_LARGE
    assert peak < 2**21


@settings(max_examples=50, deadline=None)
@given(
    data=st.binary(max_size=400),
    sizes=st.lists(st.integers(1, 50), min_size=1, max_size=3),
    skip=st.integers(0, 450),
    split=st.integers(0, 400),
)
def test_a_packed_file_is_entered_at_any_offset_of_what_it_unpacks_to(
    data: bytes, sizes: list[int], skip: int, split: int
) -> None:
    packed = gzip.compress(data[:split]) + gzip.compress(data[split:]) + bytes(7)
    assert b"".join(unpacked(cut(packed, sizes), skip=skip)) == data[skip:]


@pytest.mark.parametrize(
    "damage",
    [lambda packed: packed[:-1], lambda packed: packed[:12], lambda packed: packed + b"x", lambda packed: packed[:-8] + bytes(8)],
)
def test_a_torn_pack_is_told_apart_from_its_end(damage: object) -> None:
    assert callable(damage)
    packed = damage(gzip.compress(USERS.encode() * 50))
    with pytest.raises(FileError) as refused:
        b"".join(unpacked([packed]))
    assert refused.value.code is FileCode.GZIP


def test_rows_before_the_tear_in_a_pack_are_read() -> None:
    packed = gzip.compress(USERS.encode() + b"1,bob,bob@example.com,\n" * 9000)
    results = parse([packed[:-9]], Kind.USERS)[1]
    assert isinstance(next(results), Accepted)
    with pytest.raises(FileError, match="too early"):
        list(results)


def test_many_open_quotes_cost_no_more_than_their_windows() -> None:
    results = read(USERS.encode() + b'x","\n' * 20_000)
    assert len(results) == 20_000
    assert {reject.code for reject in rejects(results)} <= {RowCode.UNCLOSED_QUOTE, "too_few_columns"}


def test_limits_beyond_what_csv_reads_are_refused() -> None:
    with pytest.raises(ValueError, match="131072"):
        Limits(row_bytes=200_000)
