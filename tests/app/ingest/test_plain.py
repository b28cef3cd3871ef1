"""Rows that are not read cell by cell: the patterns know no row that the rules refuse, and nothing depends on them but speed."""

from __future__ import annotations

import string
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.ingest import parse
from app.ingest.model import START, Layout, Reject, Run
from app.ingest.parse import Batch, Caution, batches, open_file
from app.ingest.plain import plain_rows
from app.ingest.rows import SCHEMAS, Accepted, Kind
from tests.app.ingest.reading import EVENTS, HEADERS, URLS, USERS, read

PLAIN = {
    Kind.USERS: '1,bob,bob@example.com,2026-01-31 23:59:59\n"2","é",e@b.co,\n3,eve x,"e.v+e@example.com",2024-02-28T00:00:00\r\n',
    Kind.URLS: (
        "1,1,abc123,https://example.com/a?b=c;d,A title,True,2026-01-01 00:00:00,2026-01-01 00:00:00\n"
        '2,1,"abc124",http://a,,0,"2026-12-31 00:00:00",2026-01-01 00:00:00\n'
    ),
    Kind.EVENTS: (
        '1,1,,clicked,2026-01-01 00:00:00,"{}"\n'
        '"2",,7,a.b:c-d,2026-01-01 00:00:00,"{""a, b"": ""x{y}"",""n"":-12, ""t"": true, ""a, b"": null}"\n'
    ),
}


def batch_of(text: str | bytes, kind: Kind, *, size: int = 1000) -> list[Batch]:
    layout, rest = open_file([text.encode() if isinstance(text, str) else text], kind)
    return list(batches(rest, kind, layout, start=layout.start, size=size))


def results(found: list[Batch]) -> list[Accepted | Reject]:
    return [result for batch in found for result in batch.results]


def plain_lines(found: list[Batch]) -> int:
    return sum(part.rows for batch in found for part in batch.parts if isinstance(part, Run))


@pytest.mark.parametrize(("kind", "plain"), [(Kind.USERS, 2), (Kind.URLS, 2), (Kind.EVENTS, 2)])
def test_plain_rows_of_each_kind_stay_together(kind: Kind, plain: int) -> None:
    found = batch_of(HEADERS[kind] + PLAIN[kind], kind)
    assert plain_lines(found) == plain
    assert results(found) == read(HEADERS[kind] + PLAIN[kind], kind)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_a_delimiter_within_a_cell_makes_no_row_plain(delimiter: str) -> None:
    header = delimiter.join(["id", "username", "email", "created_at"])
    for name in ("a,b", "a;b", "a\tb", "a|b"):
        text = f"{header}\n" + delimiter.join(["1", f'"{name}"', "a@b.co", "2026-01-01 00:00:00"]) + "\n"
        assert plain_lines(batch_of(text, Kind.USERS)) == (delimiter not in name and "\t" not in name)
        assert results(batch_of(text, Kind.USERS)) == read(text)


@pytest.mark.parametrize(
    "header",
    [
        "username,email",  # a new user needs its moment
        "reject_line,reject_column,reject_code,reject_message,id,username,email,created_at",
    ],
)
def test_files_that_need_their_rows_changed_have_no_plain_ones(header: str) -> None:
    assert plain_rows(Kind.USERS, Layout(",", tuple(header.split(",")), START)) is None


def test_no_event_is_plain_whose_id_stands_after_its_details() -> None:
    header = ("event_type", "timestamp", "details", "id")
    assert plain_rows(Kind.EVENTS, Layout(",", header, START)) is None
    assert plain_rows(Kind.EVENTS, Layout(",", header[:-1], START)) is not None


@given(
    moment=st.from_regex(r"(19[67]|20[0-9]|210)[0-9]-[01][0-9]-[0-3][0-9][ T][0-2][0-9]:[0-6][0-9]:[0-6][0-9]", fullmatch=True)
)
def test_a_moment_is_plain_if_the_calendar_has_it_and_it_is_no_leap_day(moment: str) -> None:
    is_plain = plain_lines(batch_of(USERS + f"1,a,a@b.co,{moment}\n", Kind.USERS)) == 1
    try:
        read_at = datetime.fromisoformat(moment)
    except ValueError:
        read_at = None
    is_good = read_at is not None and 1970 <= read_at.year <= 2099 and moment[5:10] != "02-29"
    assert is_plain == is_good


# Cells at the edge of what the patterns know.
_NEAR = {
    "id": st.sampled_from(["1", '"1"', "01", "0", "", '""', "+1", "999999999", "2147483648", " 1"]),
    "username": st.text(string.printable + "é\0\x7f", max_size=4) | st.sampled_from(["a" * 100, "a" * 101, "a b", '"a"', "\\."]),
    "email": st.text("ab@. ,-\\\"'", max_size=9) | st.sampled_from(["a@b.c", '"a@b.c"', "a" * 64 + "@b.c", "a" * 65 + "@b.c"]),
    "moment": st.sampled_from(["2026-01-01 00:00:00", "2026-02-29 00:00:00", "2026-01-01T24:00:00", "", '"2026-01-01T00:00:00"']),
    "short_code": st.sampled_from(["abc", '"abc"', "ab", "users", "usersx", "docs", "a" * 32, "a" * 33, "", "a.b"]),
    "original_url": st.sampled_from(
        ["http://a", "https://a.b/c,d", '"http://a/,"', "http://1.2.3.4/", "http://1.2", "http://a.1", "http://-a", "http://a-",
         "http://a/\\", "HTTP://a", "http://a:1", "ftp://a", "http://a..b", "http://a_b", "http://" + "a" * 63,
         "http://" + "a" * 64,
         "http://a/" + "b" * 1700, "http://a/" + "b" * 2040, "http://a/ b", ""]
    ),
    "title": st.text(string.printable, max_size=3) | st.sampled_from(["", '""', "a" * 255, "a" * 256, "\\N", "'=1"]),
    "is_active": st.sampled_from(["True", "false", "t", "0", "TRUE", "", '"1"', "2", "yes"]),
    "event_type": st.sampled_from(["a", "1a", "a" * 50, "a" * 51, "a b", '"a"', "", '""']),
    "details": st.sampled_from(
        ['"{}"', "{}", '"{""a"": 1}"', '"{""a"": 01}"', '"{""a"": -0}"', '"{""a"":999999999999999999}"',
         '"{""a"":9999999999999999999}"',
         '"{""a"": ""\\u0000""}"', '"{""a"": 1.50}"', '"{""a"": 1,}"', '"{""a"": ""b, c""}"', '"{""a"" : 1}"', '"{""a"": []}"',
         "", '"{,}"',
         '"' + "{" + ", ".join(f'""{n}{"k" * 499}"": ""{"v" * 500}""' for n in range(10)) + '}"']
    ),
}  # fmt: skip
_COLUMN = {"user_id": "id", "url_id": "id", "created_at": "moment", "updated_at": "moment", "timestamp": "moment"}


@st.composite
def near(draw: st.DrawFn) -> tuple[Kind, str]:
    """A file of rows that are almost plain."""
    kind = draw(st.sampled_from(Kind))
    columns = list(SCHEMAS[kind].columns)
    row = st.tuples(*(_NEAR[_COLUMN.get(name, name)] for name in columns)).map(",".join)
    endings = st.sampled_from(["\n", "\r\n", "\n\n", "\r"])
    lines = draw(st.lists(st.tuples(row | st.sampled_from(PLAIN[kind].splitlines()), endings), max_size=8))
    return kind, HEADERS[kind] + "".join(line + ending for line, ending in lines)


@given(file=near(), size=st.integers(1, 5))
def test_no_row_ends_otherwise_because_it_looks_plain(file: tuple[Kind, str], size: int) -> None:
    kind, text = file
    found, expected = batch_of(text, kind, size=size), read(text, kind)
    assert results(found) == expected
    assert [len(batch.results) for batch in found[:-1]] == [size] * (len(found) - 1)
    # Every plain row is accepted, with an id of its own or none.
    for batch in found:
        rejects = [result for result in batch.results if isinstance(result, Reject)]
        assert batch.rejects == rejects
        assert len(batch.accepted) + len(rejects) == len(batch.results)


@given(file=near(), size=st.integers(1, 5))
def test_a_file_can_be_gone_on_with_after_any_batch(file: tuple[Kind, str], size: int) -> None:
    kind, text = file
    data, layout = text.encode(), open_file([text.encode()], kind)[0]
    found = batch_of(data, kind, size=size)
    for number, batch in enumerate(found):
        rest = [data[batch.after.offset :]]
        assert results(list(batches(rest, kind, layout, start=batch.after, size=size))) == results(found[number + 1 :])


def test_a_batch_ends_early_when_its_rows_are_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parse, "BATCH_BYTES", 100)
    text = URLS + "".join(f"{n},1,code{n},http://a/{'x' * 200},,,,\n" for n in range(5))
    assert [len(batch.results) for batch in batch_of(text, Kind.URLS)] == [1] * 5


def test_a_file_without_a_plain_row_is_read_all_the_same() -> None:
    text = EVENTS + "".join(f"{n},,,clicked,,\n" for n in range(1, 700))
    assert len(results(batch_of(text, Kind.EVENTS))) == 699


def test_caution_lasts_twice_as_long_each_time_it_was_in_place_and_ends_when_it_was_not() -> None:
    caution, tried = Caution(), []
    for number in range(20):
        if caution.allows():
            tried.append(number)
            caution.failed()
    assert tried == [0, 2, 5, 10, 19]
    caution = Caution()
    caution.failed()
    caution.failed()
    assert [caution.allows() for _ in range(3)] == [False, False, True]
    caution.succeeded()
    caution.failed()
    assert [caution.allows() for _ in range(2)] == [False, True]
