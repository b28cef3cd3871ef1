"""The rules on JSON values: each one's border, from both sides."""

from __future__ import annotations

import random
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.cells import flag_cell, id_cell, moment_cell, own_id_cell
from app.domain.codes import ALPHABET, RESERVED, new_code, short_code
from app.domain.errors import Code, FieldError
from app.domain.events import new_event
from app.domain.links import target_url
from app.domain.urls import new_url, url_changes
from app.domain.users import NewUser, new_user, user_changes
from app.domain.values import identifier, moment, render_moment

USER = {"username": "bob", "email": "bob@example.com"}
URL = {"user_id": 1, "original_url": "https://example.com"}
EVENT = {"event_type": "clicked"}


def refusal(rule: object, *args: object) -> tuple[str, Code]:
    assert callable(rule)
    with pytest.raises(FieldError) as refused:
        rule(*args)
    assert refused.value.message
    return refused.value.field, refused.value.code


@pytest.mark.parametrize(
    ("changes", "field", "code"),
    [
        ({"username": None}, "username", Code.TYPE),
        ({"username": 5}, "username", Code.TYPE),
        ({"username": ["bob"]}, "username", Code.TYPE),
        ({"username": True}, "username", Code.TYPE),
        ({"username": ""}, "username", Code.EMPTY),
        ({"username": "b\0b"}, "username", Code.NUL),
        ({"username": "b\ud800b"}, "username", Code.SURROGATE),
        ({"username": "b\nb"}, "username", Code.CONTROL),
        ({"username": "b" * 101}, "username", Code.TOO_LONG),
        ({"email": "bob"}, "email", Code.FORMAT),
        ({"email": "b\ud800@example.com"}, "email", Code.SURROGATE),
        ({"created_at": 1767225600}, "created_at", Code.TYPE),
        ({"created_at": "2026-02-30T00:00:00"}, "created_at", Code.RANGE),
    ],
)
def test_a_bad_field_of_a_user_is_named(changes: dict[str, object], field: str, code: Code) -> None:
    assert refusal(new_user, USER | changes) == (field, code)


@pytest.mark.parametrize("field", ["username", "email"])
def test_a_user_without_a_required_field_is_told_which(field: str) -> None:
    assert refusal(new_user, {key: value for key, value in USER.items() if key != field}) == (field, Code.MISSING)


@pytest.mark.parametrize("name", ["b" * 100, "bob smith", "=1+1", "Zoë", "👩\u200d🚀", "'", "b,b;b"])
def test_a_name_stays_as_written(name: str) -> None:
    assert new_user(USER | {"username": name, "else": 1}) == NewUser(name, "bob@example.com", None)


@pytest.mark.parametrize(
    "address", ["a@b.c", "Bob+tag@Example.COM", "müller@example.com", "b@bücher.example", "b" * 64 + "@example.com"]
)
def test_an_address_stays_as_written(address: str) -> None:
    assert new_user(USER | {"email": address}).email == address


def test_changes_hold_only_what_was_asked() -> None:
    assert user_changes({}) == {}
    assert user_changes({"email": "a@b.c"}) == {"email": "a@b.c"}
    assert user_changes({"username": "eve"}) == {"username": "eve"}
    assert url_changes({"title": None}) == {"title": None}
    assert url_changes({"is_active": False, "url": "http://a", "user_id": 2}) == {
        "is_active": False,
        "original_url": "http://a",
        "user_id": 2,
    }
    assert refusal(url_changes, {"is_active": None}) == ("is_active", Code.TYPE)
    assert refusal(user_changes, {"email": None}) == ("email", Code.TYPE)


@pytest.mark.parametrize(
    ("changes", "field", "code"),
    [
        ({"user_id": "1"}, "user_id", Code.TYPE),
        ({"user_id": True}, "user_id", Code.TYPE),
        ({"user_id": 1.0}, "user_id", Code.TYPE),
        ({"user_id": 0}, "user_id", Code.RANGE),
        ({"user_id": 2**31}, "user_id", Code.RANGE),
        ({"original_url": "example.com"}, "original_url", Code.FORMAT),
        ({"original_url": {}}, "original_url", Code.TYPE),
        ({"title": 1}, "title", Code.TYPE),
        ({"title": "\0"}, "title", Code.NUL),
        ({"is_active": 1}, "is_active", Code.TYPE),
        ({"is_active": "true"}, "is_active", Code.TYPE),
        ({"short_code": "urls"}, "short_code", Code.RESERVED),
        ({"short_code": ""}, "short_code", Code.EMPTY),
        ({"updated_at": ""}, "updated_at", Code.FORMAT),
    ],
)
def test_a_bad_field_of_a_url_is_named(changes: dict[str, object], field: str, code: Code) -> None:
    assert refusal(new_url, URL | changes) == (field, code)


def test_a_url_may_call_its_target_url_and_the_full_name_wins() -> None:
    assert new_url({"user_id": 2**31 - 1, "url": "http://a"}).original_url == "http://a"
    assert new_url(URL | {"url": "hello"}).original_url == "https://example.com"
    assert refusal(new_url, {"user_id": 1, "url": "hello"}) == ("url", Code.FORMAT)
    assert refusal(new_url, {"user_id": 1}) == ("original_url", Code.MISSING)


@pytest.mark.parametrize(
    "url",
    [
        "http://a", "HTTPS://EXAMPLE.COM", "https://example.com:8080/a?b=c#d", "https://example.com?q", "http://1.2.3.4/", "http://[::1]:80/",
        "https://user:secret@example.com/", "https://müller.example/ü", "https://a_b.example", "http://example.com.", "http://a/\\",
        "https://example.com/" + "x" * 2028,
    ],
)  # fmt: skip
def test_an_absolute_url_with_a_host_stays_as_written(url: str) -> None:
    assert target_url("url", url) == url


@pytest.mark.parametrize(
    ("changes", "field", "code"),
    [
        ({"event_type": ""}, "event_type", Code.EMPTY),
        ({"event_type": 1}, "event_type", Code.TYPE),
        ({"url_id": "1"}, "url_id", Code.TYPE),
        ({"details": "{}"}, "details", Code.TYPE),
        ({"details": []}, "details", Code.TYPE),
        ({"details": {"a": float("inf")}}, "details", Code.RANGE),
        ({"details": {"a": float("nan")}}, "details", Code.RANGE),
        ({"details": {"a": [2**63]}}, "details", Code.RANGE),
        ({"details": {"a": [{"b": "\0"}]}}, "details", Code.NUL),
        ({"details": {"\ud800": 1}}, "details", Code.SURROGATE),
        ({"details": {"a": ["x" * 9000, "x" * 9000]}}, "details", Code.TOO_LONG),
    ],
)
def test_a_bad_field_of_an_event_is_named(changes: dict[str, object], field: str, code: Code) -> None:
    assert refusal(new_event, EVENT | changes) == (field, code)


def test_details_nest_32_levels_and_no_deeper() -> None:
    def nested(levels: int) -> dict[str, object]:
        return {"a": nested(levels - 1)} if levels > 1 else {}

    assert new_event(EVENT | {"details": nested(32)}).details == nested(32)
    assert refusal(new_event, EVENT | {"details": nested(33)}) == ("details", Code.RANGE)


def test_an_event_without_details_has_none() -> None:
    assert new_event(EVENT | {"url_id": None}).details == {}
    assert new_event(EVENT | {"details": {"a": [1, None, True, -(2**63), 1.5]}}).details == {"a": [1, None, True, -(2**63), 1.5]}


@pytest.mark.parametrize("written", ["2026-01-02 03:04:05", "2026-01-02T03:04:05", "2026-01-02T03:04:05Z"])
def test_a_moment_is_read_in_both_forms_and_shown_in_one(written: str) -> None:
    assert moment("at", written) == datetime.fromisoformat("2026-01-02T03:04:05")
    assert render_moment(moment("at", written)) == "2026-01-02T03:04:05"


@given(
    st.datetimes(min_value=datetime.fromisoformat("1970-01-01"), max_value=datetime.fromisoformat("2101-12-31")).map(
        lambda at: at.replace(microsecond=0)
    )
)
def test_every_second_of_the_allowed_years_is_read_back(at: datetime) -> None:
    if at.year <= 2100:
        assert moment("at", str(at)) == at
    else:
        assert refusal(moment, "at", str(at)) == ("at", Code.RANGE)


@given(st.text(alphabet="0123456789-:TZ W+.٣", max_size=21))
def test_no_other_text_is_taken_for_a_moment(written: str) -> None:
    try:
        read = moment("at", written)
    except FieldError:
        return
    assert written.removesuffix("Z").replace("T", " ") == str(read)


@given(st.one_of(st.integers(), st.booleans(), st.floats(), st.none(), st.text()))
def test_only_integers_from_1_to_the_largest_are_ids(value: object) -> None:
    if type(value) is int and 1 <= value <= 2**31 - 1:
        assert identifier("id", value) == value
    else:
        assert refusal(identifier, "id", value)[0] == "id"


def test_new_codes_are_six_of_the_alphabet_and_never_a_path_of_the_service() -> None:
    draws = iter([ALPHABET.index(char) for char in "eventshealthAb3xYz"])
    assert new_code(lambda below: next(draws)) == "Ab3xYz"
    source = random.Random(1)  # noqa: S311 - the same codes in every run
    codes = {new_code(source.randrange) for _ in range(500)}
    assert len(codes) == 500
    assert all(short_code("code", code) == code and len(code) == 6 for code in codes)


@pytest.mark.parametrize("code", sorted(RESERVED))
def test_a_path_of_the_service_is_no_code(code: str) -> None:
    assert refusal(short_code, "short_code", code) == ("short_code", Code.RESERVED)


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("True", True),
        ("t", True),
        ("YES", True),
        (" 1 ", True),
        ("False", False),
        ("n", False),
        ("0", False),
        ("", None),
        (" ", None),
    ],
)
def test_truth_is_read_in_the_ways_it_is_written(cell: str, value: bool | None) -> None:
    assert flag_cell("is_active", cell) is value


@pytest.mark.parametrize(
    ("cell", "value"),
    [("1", 1), ("0007", 7), (" 5\t", 5), ("2147483647", 2**31 - 1), ("00000000000000001", 1), ("", None), ("  ", None)],
)
def test_an_id_cell_is_digits_or_nothing(cell: str, value: int | None) -> None:
    assert id_cell("id", cell) == value


def test_an_empty_moment_says_nothing() -> None:
    assert moment_cell("created_at", " ") is None
    assert moment_cell("created_at", " 2026-01-02 03:04:05 ") is not None


def test_a_row_cannot_take_the_last_ids_from_those_that_the_service_gives() -> None:
    assert own_id_cell("id", "2000000000") == 2_000_000_000
    with pytest.raises(FieldError) as caught:
        own_id_cell("id", "2000000001")
    assert (caught.value.field, caught.value.code) == ("id", Code.RANGE)
