"""The description of the API is true: it names what is routed and nothing else, and its patterns are the domain's rules."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import jsonschema_rs
import pytest
from flask import Flask
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from app.api.openapi import document
from app.api.schemas import EMAIL, EVENT_TYPE, MOMENT, NO_NUL, SCHEMAS, SHORT_CODE, TARGET, USERNAME
from app.domain.codes import RESERVED, short_code
from app.domain.errors import FieldError
from app.domain.events import event_type
from app.domain.links import target_url
from app.domain.urls import title
from app.domain.users import email, username
from app.domain.values import moment

Rule = Callable[[str, object], object]

DOCUMENT = document("1.2.3")
# Flask answers these by itself wherever GET or any method is.
_BY_ITSELF = {"HEAD", "OPTIONS"}
_METHODS = {"get", "put", "post", "delete", "patch"}


def accepted(rule: Rule, value: str) -> bool:
    try:
        rule("field", value)
    except FieldError:
        return False
    return True


def described(schema: dict[str, Any], value: object) -> bool:
    """Whether the schema, with everything that it refers to, takes the value."""
    whole = {**schema, "components": {"schemas": SCHEMAS}}
    return jsonschema_rs.Draft202012Validator(whole).is_valid(value)


def routed(app: Flask) -> set[tuple[str, str]]:
    """Every method and path of the application, its parameters as the document writes them."""
    return {
        (method, re.sub(r"<(?:\w+(?:\([^)]*\))?:)?(\w+)>", r"{\1}", rule.rule))
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - _BY_ITSELF
    }


def test_the_document_names_every_route_and_no_other(app: Flask) -> None:
    named = {(method.upper(), path) for path, item in DOCUMENT["paths"].items() for method in item if method in _METHODS}
    assert {(method, path.replace("{code}", "{short_code}")) for method, path in routed(app)} == named


def test_the_document_is_served_as_json_with_the_service_s_version(app: Flask) -> None:
    answer = app.test_client().get("/openapi.json")
    assert (answer.status_code, answer.content_type) == (200, "application/json")
    assert answer.get_json() == DOCUMENT
    assert (DOCUMENT["openapi"], DOCUMENT["info"]["version"]) == ("3.1.0", "1.2.3")


def test_every_reference_leads_somewhere_and_every_component_is_referred_to() -> None:
    references = set(re.findall(r'"#/components/(\w+)/([\w-]+)"', json.dumps(DOCUMENT)))
    named = {(kind, name) for kind, parts in DOCUMENT["components"].items() for name in parts if kind != "securitySchemes"}
    assert references == named


def test_every_operation_has_a_name_of_its_own_and_every_schema_is_one() -> None:
    names = [item[method]["operationId"] for item in DOCUMENT["paths"].values() for method in item if method in _METHODS]
    assert len(names) == len(set(names))
    for schema in DOCUMENT["components"]["schemas"].values():
        jsonschema_rs.meta.validate({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema})


# Whatever else the host does meanwhile.
UNHURRIED = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
_ODD = st.characters(codec="utf-8") | st.sampled_from("\0\n\x1c\x1f\x7f\x85\xa0\u2028\u3000 @.-_:aZ0é")
_ODD_TEXT = st.text(_ODD, max_size=12)


@pytest.mark.parametrize(
    ("name", "pattern", "rule"),
    [("Username", USERNAME, username), ("Email", EMAIL, email), ("ShortCode", SHORT_CODE, short_code),
     ("EventType", EVENT_TYPE, event_type), ("Moment", MOMENT, moment)],
)  # fmt: skip
@given(data=st.data())
@UNHURRIED
def test_a_pattern_takes_what_its_rule_takes(name: str, pattern: str, rule: Rule, data: st.DataObject) -> None:
    fitting = st.from_regex(pattern, alphabet=st.characters(codec="utf-8"))
    value = data.draw(_ODD_TEXT | fitting | fitting.flatmap(lambda fits: _ODD_TEXT.map(lambda odd: fits + odd)))
    assert described(SCHEMAS[name], value) == accepted(rule, value), ascii(value)


@given(value=_ODD_TEXT)
@example("a\0")
@UNHURRIED
def test_a_title_is_described_as_its_rule_has_it(value: str) -> None:
    assert described({"type": "string", "pattern": NO_NUL}, value) == accepted(title, value)


@given(value=st.from_regex(TARGET) | _ODD_TEXT.map("https://example.com/".__add__) | _ODD_TEXT)
@UNHURRIED
def test_the_pattern_of_targets_refuses_nothing_that_the_rule_takes(value: str) -> None:
    assert described(SCHEMAS["TargetUrl"], value) or not accepted(target_url, value), ascii(value)


def test_the_pattern_of_moments_knows_every_day_of_the_calendar() -> None:
    day, last = date(1969, 12, 25), date(2101, 1, 5)
    while day < last:
        text = f"{day.isoformat()}T00:00:00"
        assert bool(re.search(MOMENT, text)) == accepted(moment, text), text
        day += timedelta(days=1)


@pytest.mark.parametrize(
    "text", ["2025-02-29", "1900-02-29", "2100-02-29", "2026-04-31", "2026-13-01", "2026-00-10", "2026-01-00"]
)
def test_the_pattern_of_moments_takes_no_day_that_is_not(text: str) -> None:
    assert not re.search(MOMENT, f"{text} 00:00:00")


@pytest.mark.parametrize("code", sorted(RESERVED))
def test_a_reserved_code_is_described_as_refused(code: str) -> None:
    assert not described(SCHEMAS["ShortCode"], code)


def test_no_path_of_the_service_could_be_a_code(app: Flask) -> None:
    first = {path.split("/")[1] for _, path in routed(app)} - {"", "{code}"}
    assert {name for name in first if accepted(short_code, name)} == set()
