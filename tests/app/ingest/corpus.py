"""Malformed files, each with what must be said of it and with how many rows must survive."""

from __future__ import annotations

import gzip
from dataclasses import dataclass

from app.ingest.model import FileCode
from app.ingest.rows import Kind
from tests.app.ingest.reading import HEADERS, USERS

GOOD = {
    Kind.USERS: "7,good,good@example.com,2026-01-02 03:04:05\n",
    Kind.URLS: "7,1,abc123,https://example.com/a,Title,True,2026-01-02 03:04:05,2026-01-02 03:04:05\n",
    Kind.EVENTS: '7,1,1,created,2026-01-02 03:04:05,"{""a"": 1}"\n',
}


@dataclass(frozen=True)
class Case:
    """`refused` are (line, column, code) of every reject, in order; `file` is the code of a file that is refused as a whole."""

    name: str
    kind: Kind
    data: bytes
    refused: tuple[tuple[int, str, str], ...] = ()
    good: int = 0
    file: FileCode | None = None


def _row(kind: Kind, name: str, row: str | bytes, column: str, code: str) -> Case:
    """One bad row on line 3, between two good ones."""
    encoded = row if isinstance(row, bytes) else row.encode()
    data = (HEADERS[kind] + GOOD[kind]).encode() + encoded + b"\n" + GOOD[kind].encode()
    return Case(name, kind, data, ((3, column, code),), 2)


def _user(name: str, row: str | bytes, column: str, code: str) -> Case:
    return _row(Kind.USERS, name, row, column, code)


def _url(column: str, cell: str, code: str) -> Case:
    return _with_cell(
        Kind.URLS, ["8", "1", "abc124", "https://a.example", "T", "True", "2026-01-02 03:04:05", ""], column, cell, code
    )


def _event(column: str, cell: str, code: str) -> Case:
    return _with_cell(Kind.EVENTS, ["8", "1", "1", "created", "2026-01-02 03:04:05", ""], column, cell, code)


def _with_cell(kind: Kind, cells: list[str], column: str, cell: str, code: str) -> Case:
    cells[HEADERS[kind].strip().split(",").index(column)] = '"' + cell.replace('"', '""') + '"'
    return _row(kind, f"{kind} {column} {cell[:30]!r} of {len(cell)}", ",".join(cells), column, code)


def _file(name: str, data: str | bytes, code: FileCode, kind: Kind = Kind.USERS) -> Case:
    return Case(name, kind, data.encode() if isinstance(data, str) else data, file=code)


def _many(name: str, data: str | bytes, refused: list[tuple[int, str, str]], good: int, kind: Kind = Kind.USERS) -> Case:
    return Case(name, kind, data.encode() if isinstance(data, str) else data, tuple(refused), good)


_BOB = "1,bob,bob@example.com,\n"

FILES = [
    _file("nothing", "", FileCode.EMPTY),
    _file("a mark and nothing else", b"\xef\xbb\xbf", FileCode.EMPTY),
    _file("empty lines only", "\n\r\n\r", FileCode.EMPTY),
    _file("spaces only", "   \n \n", FileCode.EMPTY),
    _file("a pack of nothing", gzip.compress(b""), FileCode.EMPTY),
    _file("utf-16 little", (USERS + _BOB).encode("utf-16"), FileCode.ENCODING),
    _file("utf-16 big", b"\xfe\xff" + USERS.encode("utf-16-be"), FileCode.ENCODING),
    _file("utf-16 little without mark", USERS.encode("utf-16-le"), FileCode.ENCODING),
    _file("utf-16 big without mark", USERS.encode("utf-16-be"), FileCode.ENCODING),
    _file("utf-32", USERS.encode("utf-32"), FileCode.ENCODING),
    _file("latin-1 header", "id,username,émail\n".encode("latin-1"), FileCode.ENCODING),
    _file("NUL in the header", "id,user\0name,email\n", FileCode.ENCODING),
    _file("an Excel workbook", b"PK\x03\x04\x14\x00", FileCode.ARCHIVE),
    _file("gzip cut short", gzip.compress((USERS + _BOB).encode())[:20], FileCode.GZIP),
    _file("gzip magic alone", b"\x1f\x8b", FileCode.GZIP),
    _file("gzip with another method", b"\x1f\x8b\x07" + bytes(20), FileCode.GZIP),
    _file("no header", _BOB, FileCode.HEADER),
    _file("html", "<!DOCTYPE html>\n<html></html>\n", FileCode.HEADER),
    _file("json", '[{"id": 1}]', FileCode.HEADER),
    _file("header with open quote", 'id,"username,email\n', FileCode.HEADER),
    _file("header without end", "x" * 200_000, FileCode.HEADER),
    _file("a billion columns, or as many as are looked at", "," * 300_000, FileCode.HEADER),
    _file("unknown column", "id,username,email,phone\n", FileCode.UNKNOWN_COLUMN),
    _file("misspelt column", "id,usernam,email\n", FileCode.UNKNOWN_COLUMN),
    _file("column without a name", "id,username,email,\n", FileCode.UNKNOWN_COLUMN),
    _file("index column of pandas", ",id,username,email\n", FileCode.UNKNOWN_COLUMN),
    _file("column twice", "id,username,email,email\n", FileCode.DUPLICATE_COLUMN),
    _file("column twice in another spelling", "id,username,email,E-MAIL,Email\n", FileCode.UNKNOWN_COLUMN),
    _file("column twice in another case", "id,username,email,EMAIL\n", FileCode.DUPLICATE_COLUMN),
    _file("required column missing", "id,username\n", FileCode.MISSING_COLUMN),
    _file("columns of another kind", "id,url_id,user_id,event_type\n", FileCode.UNKNOWN_COLUMN),
    _file("urls without a target", "id,user_id\n", FileCode.MISSING_COLUMN, Kind.URLS),
    _file("events without a type", "id,details\n", FileCode.MISSING_COLUMN, Kind.EVENTS),
    _file("hint with another delimiter", "sep=;\nid,username,email\n", FileCode.HEADER),
]

SHAPES = [
    _user("one column too few", "1,bob,bob@example.com", "", "too_few_columns"),
    _user("one cell", "bob", "", "too_few_columns"),
    _user("a line of spaces", "   ", "", "too_few_columns"),
    _user("one column too many", "1,bob,bob@example.com,,", "", "too_many_columns"),
    _user("a comma that was not quoted", "1,bob, jr,bob@example.com,", "", "too_many_columns"),
    _user("another delimiter", "1;bob;bob@example.com;", "", "too_few_columns"),
    _user("many columns", "," * 10_000, "", "too_many_columns"),
    _user("text after a closing quote", '1,"bob"by,bob@example.com,', "", "bad_quote"),
    _user("a space after a closing quote", '1,"bob" ,bob@example.com,', "", "bad_quote"),
    _user("quotes escaped with a backslash", r'1,"b\"ob",bob@example.com,', "", "bad_quote"),
    _user("a line that is too long", "1," + "x" * 140_000, "", "line_too_long"),
    _user("a quoted line that is too long", '1,"' + "x" * 140_000 + '",b@c.de,', "", "line_too_long"),
    _user("too many commas for one line", "," * 200_000, "", "line_too_long"),
    _many("an open quote in the last row", USERS + _BOB + '2,"eve,eve@example.com,\n', [(3, "", "unclosed_quote")], 1),
    _many("an open quote at the very end", USERS + _BOB + '2,eve,eve@example.com,"', [(3, "", "unclosed_quote")], 1),
    _many("an open quote, good rows after it", USERS + '2,"eve,eve@example.com,\n' + _BOB * 3, [(2, "", "unclosed_quote")], 3),
    _many("an open quote, a quoted row after it", USERS + '2,"eve,e@f.gh,\n3,"bob",b@c.de,\n', [(2, "", "unclosed_quote")], 1),
    _many(
        "an open quote, more lines after it than a row may have",
        USERS + '2,"eve,e@f.gh,\n' + _BOB * 300 + '4, eve",e@f.gh,\n',
        [(2, "", "unclosed_quote"), (303, "username", "space")],
        300,
    ),
    _many(
        "an open quote, a line too long after it",
        USERS + '2,"eve\n' + "x" * 140_000 + "\n" + _BOB,
        [(2, "", "unclosed_quote"), (3, "", "line_too_long")],
        1,
    ),
    _many("two open quotes", USERS + '2,"eve\n3,"eve\n' + _BOB, [(2, "", "unclosed_quote"), (3, "", "unclosed_quote")], 1),
    _many("a quoted line break in a name", USERS + '2,"e\nve",e@f.gh,\n' + _BOB, [(2, "username", "control")], 1),
    _many(
        "the line after a quoted line break",
        USERS + '2,"e\r\nve",e@f.gh,\nx\n' + _BOB,
        [(2, "username", "control"), (4, "", "too_few_columns")],
        1,
    ),
    _many("lines that end with CR", (USERS + "x\n" + _BOB).replace("\n", "\r"), [(2, "", "too_few_columns")], 1),
    _many("lines that end with CRLF", (USERS + "x\n" + _BOB).replace("\n", "\r\n"), [(2, "", "too_few_columns")], 1),
    _many(
        "all endings in one file",
        USERS + "x\r" + _BOB.strip() + "\r\ny\n" + _BOB,
        [(2, "", "too_few_columns"), (4, "", "too_few_columns")],
        2,
    ),
    _many("empty lines between", USERS + "\n\n" + _BOB + "\n\nx\n", [(7, "", "too_few_columns")], 1),
    _many("a header after empty lines", "\n\n" + USERS + "x\n" + _BOB, [(4, "", "too_few_columns")], 1),
    _many("a header after a hint", "sep=;\n" + (USERS + _BOB).replace(",", ";") + "x\n", [(4, "", "too_few_columns")], 1),
    _many("semicolons", (USERS + _BOB).replace(",", ";") + "x\n", [(3, "", "too_few_columns")], 1),
    _many("tabs", (USERS + _BOB).replace(",", "\t") + "x\n", [(3, "", "too_few_columns")], 1),
    _many("pipes", (USERS + _BOB).replace(",", "|") + "x\n", [(3, "", "too_few_columns")], 1),
    _many("a byte order mark", "\ufeff" + USERS + _BOB + "x\n", [(3, "", "too_few_columns")], 1),
    _many("a second byte order mark", USERS + "\ufeff1,bob,bob@example.com,\n" + _BOB, [(2, "id", "format")], 1),
    _many("a second header", USERS + _BOB + USERS + _BOB, [(3, "id", "format")], 2),
    _many("a header in other words", "ID, USERNAME ,Email,Created At\n" + _BOB + "x\n", [(3, "", "too_few_columns")], 1),
    _many("packed", gzip.compress((USERS + _BOB + "x\n").encode()), [(3, "", "too_few_columns")], 1),
    _many(
        "packed in two parts",
        gzip.compress(USERS.encode()) + gzip.compress((_BOB + "x\n").encode()),
        [(3, "", "too_few_columns")],
        1,
    ),
    _file("packed twice", gzip.compress(gzip.compress(USERS.encode())), FileCode.ENCODING),
    _many("the last line without an ending", USERS + _BOB + "x", [(3, "", "too_few_columns")], 1),
]

BYTES = [
    _user("latin-1 in a name", b"1,b\xf6b,bob@example.com,", "username", "bad_utf8"),
    _user("a byte that begins nothing", b"1,bob,b\x80@example.com,", "email", "bad_utf8"),
    _user("a character cut short", b"1,bob\xc3,bob@example.com,", "username", "bad_utf8"),
    _user("an overlong slash", b"1,b\xc0\xafb,bob@example.com,", "username", "bad_utf8"),
    _user("a surrogate written as UTF-8", b"1,b\xed\xa0\x80b,bob@example.com,", "username", "bad_utf8"),
    _user("beyond Unicode", b"1,b\xf5\x80\x80\x80b,bob@example.com,", "username", "bad_utf8"),
    _user("a bad byte in a number", b"\xff1,bob,bob@example.com,", "id", "bad_utf8"),
    _user("a bad byte in a row that is too short", b"1,b\xff", "username", "bad_utf8"),
    _user("a bad byte behind the last column", b"1,bob,bob@example.com,,\xff", "", "bad_utf8"),
    _user("a bad byte in broken quotes", b'1,"b\xff"x,bob@example.com,', "", "bad_quote"),
    _user("a NUL in a name", "1,b\0b,bob@example.com,", "username", "nul"),
    _user("a NUL in a number", "\0001,bob,bob@example.com,", "id", "nul"),
    _user("a NUL and a bad byte", b"1,b\0b,b\xff@example.com,", "email", "bad_utf8"),
    _user("a NUL in a row that is too short", "1,\0", "username", "nul"),
]

USER_CELLS = [
    _user("id that is a word", "one,bob,bob@example.com,", "id", "format"),
    _user("id zero", "0,bob,bob@example.com,", "id", "range"),
    _user("id below zero", "-1,bob,bob@example.com,", "id", "range"),
    _user("id one too large", "2147483648,bob,bob@example.com,", "id", "range"),
    _user("id of 5,000 digits", "9" * 5000 + ",bob,bob@example.com,", "id", "range"),
    _user("id with a fraction", "1.0,bob,bob@example.com,", "id", "format"),
    _user("id with a plus", "+1,bob,bob@example.com,", "id", "format"),
    _user("id with underscores", "1_000,bob,bob@example.com,", "id", "format"),
    _user("id with an exponent", "1e3,bob,bob@example.com,", "id", "format"),
    _user("id in Arabic digits", "\u0661,bob,bob@example.com,", "id", "format"),
    _user("id as a superscript", "²,bob,bob@example.com,", "id", "format"),
    _user("id NaN", "NaN,bob,bob@example.com,", "id", "format"),
    _user("no name", "1,,bob@example.com,", "username", "empty"),
    _user("a name of spaces", "1,  ,bob@example.com,", "username", "empty"),
    _user("a name after a space", "1, bob,bob@example.com,", "username", "space"),
    _user("a name before a no-break space", "1,bob\xa0,bob@example.com,", "username", "space"),
    _user("a name with a tab", "1,b\tb,bob@example.com,", "username", "control"),
    _user("a name with an escape", "1,b\x1b[31mb,bob@example.com,", "username", "control"),
    _user("a name with a line separator", "1,b\u2028b,bob@example.com,", "username", "control"),
    _user("a name that is too long", "1," + "b" * 101 + ",bob@example.com,", "username", "too_long"),
    _user("a very long name", "1," + "b" * 100_000 + ",bob@example.com,", "username", "too_long"),
    _user("no address", "1,bob,,", "email", "empty"),
    _user("an address without an at", "1,bob,bob.example.com,", "email", "format"),
    _user("an address with two ats", "1,bob,b@b@example.com,", "email", "format"),
    _user("an address with a space", "1,bob,b b@example.com,", "email", "format"),
    _user("an address without a domain", "1,bob,bob@,", "email", "format"),
    _user("an address without a dot", "1,bob,bob@localhost,", "email", "format"),
    _user("an address with two dots", "1,bob,bob@example..com,", "email", "format"),
    _user("an address that is too long", "1,bob," + "b" * 60 + "@" + "c" * 200 + ".com,", "email", "too_long"),
    _user("30th of February", "1,bob,bob@example.com,2026-02-30 00:00:00", "created_at", "range"),
    _user("29th of February in no leap year", "1,bob,bob@example.com,2026-02-29 00:00:00", "created_at", "range"),
    _user("month 13", "1,bob,bob@example.com,2026-13-01 00:00:00", "created_at", "range"),
    _user("hour 24", "1,bob,bob@example.com,2026-01-01 24:00:00", "created_at", "range"),
    _user("second 60", "1,bob,bob@example.com,2026-01-01 00:00:60", "created_at", "range"),
    _user("year 0", "1,bob,bob@example.com,0000-01-01 00:00:00", "created_at", "range"),
    _user("year 1969", "1,bob,bob@example.com,1969-12-31 23:59:59", "created_at", "range"),
    _user("year 2101", "1,bob,bob@example.com,2101-01-01 00:00:00", "created_at", "range"),
    _user("a date alone", "1,bob,bob@example.com,2026-01-01", "created_at", "format"),
    _user("a date in American order", "1,bob,bob@example.com,01/02/2026 00:00:00", "created_at", "format"),
    _user("a date with an offset", "1,bob,bob@example.com,2026-01-01T00:00:00+02:00", "created_at", "format"),
    _user("a date with fractions", "1,bob,bob@example.com,2026-01-01 00:00:00.5", "created_at", "format"),
    _user("a date by weeks", "1,bob,bob@example.com,2026-W01-1 00:00:00", "created_at", "format"),
    _user("seconds since 1970", "1,bob,bob@example.com,1767225600", "created_at", "format"),
    _user("a date as Excel counts it", "1,bob,bob@example.com,46023.5", "created_at", "format"),
    _user("several bad cells are named by the first", "x,,y,z", "id", "format"),
]

URL_CELLS = [
    _url("user_id", "", "empty"),
    _url("user_id", "bob", "format"),
    _url("user_id", "0", "range"),
    *(_url("original_url", cell, "format") for cell in (
        "hello", "example.com", "ftp://example.com", "//example.com", "http://", "http:///path", "http://?q",
        "javascript:alert(1)", "http://exa mple.com", "http://a..b", "http://-a.com", "http://a\\@b.com", "http://[::1",
        "http://[:::1]/", "http://1.2.3.999",
        "http://example.com/a b", "http://example.com/a\nb", "https://example.com:port/", " https://example.com", "mailto:a@b.c",
        "file:///etc/passwd", "data:text/html,x", "http:example.com", "https//example.com",
    )),
    _url("original_url", "http://a:65536", "range"),
    _url("original_url", "", "empty"),
    _url("original_url", "https://a.example/" + "x" * 2048, "too_long"),
    _url("short_code", "ab", "format"),
    _url("short_code", "a b c", "format"),
    _url("short_code", "abc/de", "format"),
    _url("short_code", "x" * 33, "too_long"),
    _url("short_code", "events", "reserved"),
    _url("short_code", "health", "reserved"),
    _url("title", "x" * 256, "too_long"),
    _url("is_active", "maybe", "format"),
    _url("is_active", "2", "format"),
    _url("is_active", "TRUE!", "format"),
    _url("created_at", "yesterday", "format"),
    _url("updated_at", "2026-06-31 00:00:00", "range"),
]  # fmt: skip

EVENT_CELLS = [
    _event("url_id", "x", "format"),
    _event("user_id", "-3", "range"),
    _event("event_type", "", "empty"),
    _event("event_type", "two words", "format"),
    _event("event_type", "1st", "format"),
    _event("event_type", "x" * 51, "too_long"),
    _event("timestamp", "2026-04-31T00:00:00", "range"),
    *(_event("details", cell, "json") for cell in (
        "{", "text", "{'a': 1}", '{"a": NaN}', '{"a": 1e999}', '{"a": 1,}', '{"a": 01}', '{"a": "\\ud800"}', '{"a": 1} x',
        '{a: 1}', '{"a": Infinity}', '{"a":"\x01"}', '{"a": ' + "9" * 5000 + "}",
    )),
    *(_event("details", cell, "type") for cell in ("1", "null", "[]", '"text"', "true")),
    _event("details", '{"a": "\\u0000"}', "nul"),
    _event("details", '{"a\\u0000": 1}', "nul"),
    _event("details", '{"a": 18446744073709551615}', "range"),
    _event("details", '{"a": ' + "9" * 400 + "}", "range"),
    _event("details", '{"a":' + "[" * 40 + "]" * 40 + "}", "range"),
    _event("details", '{"a":' + "[" * 9000 + "]" * 9000 + "}", "range"),
    _event("details", '{"a": "' + "x" * 17_000 + '"}', "too_long"),
    _event("details", '{"a": "' + "x" * 50_000 + '"}', "too_long"),
]  # fmt: skip

CORPUS = [*FILES, *SHAPES, *BYTES, *USER_CELLS, *URL_CELLS, *EVENT_CELLS]
