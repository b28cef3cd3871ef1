"""schemathesis reads the served description and tries every operation: what is described is so, what is refused is refused."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable, Iterable
from typing import Any

import pytest
import schemathesis
from flask import Flask
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from schemathesis import Case
from schemathesis.config import SchemathesisConfig
from schemathesis.specs.openapi.checks import positive_data_acceptance

from app.api.openapi import document
from app.api.schemas import TARGET
from app.chaos import Agent
from app.domain.errors import FieldError
from app.domain.events import details
from app.domain.links import target_url
from app.replica import Board
from tests.app.conftest import MakeApp
from tests.app.stage import Stage

FILES = ("text/csv", "application/gzip", "multipart/form-data")
TOKEN = "a-token-of-32-characters-or-more"

# What the pattern of targets cannot say: a host that is one, a port that is one.
TARGETS = st.builds(
    "{}://{}{}{}".format,
    st.sampled_from(["http", "https", "HTTPS"]),
    st.sampled_from(["example.com", "a.b-c.example", "127.0.0.1", "[::1]", "ü.example", "user@host"]),
    st.sampled_from(["", ":1", ":65535"]),
    st.sampled_from(["", "/", "?q", "#f", "/a%20b?c=d#e", "/ü"]),
)
schemathesis.openapi.format("http-url", TARGETS)
schemathesis.openapi.media_type("application/gzip", st.binary(max_size=40).map(gzip.compress))

# Nothing is drawn from earlier answers or from our sources: an operation's cases are the same whatever ran before, and however
# often the code changes.
_FROM_THE_DOCUMENT_ALONE = {"extra-data-sources": {"responses": False}}
CONFIG = SchemathesisConfig.from_dict(
    {
        "generation": {"deterministic": True, "max-examples": 12},
        "auth": {"openapi": {"token": {"bearer": TOKEN}}},
        "analysis": {"constants": {"enabled": False}},
        "phases": {
            "coverage": _FROM_THE_DOCUMENT_ALONE,
            "fuzzing": {**_FROM_THE_DOCUMENT_ALONE, "error-feedback": {"enabled": False}},
        },
    }
)
API = schemathesis.openapi.from_dict(document("1.2.3"), config=CONFIG)


class Behind:
    """The application of the test that runs: schemathesis collects its tests before there is one."""

    app: Flask

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        return self.app(environ, start_response)


BEHIND = Behind()
API.app = BEHIND


@pytest.fixture(autouse=True)
def _behind(make_app: MakeApp, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a row of each kind, so that ids of small numbers lead somewhere. Faults may be ordered, but nothing comes of them."""
    monkeypatch.setattr(Board, "start", lambda _board, _fault, _order: None)
    monkeypatch.setattr(Agent, "start", lambda _agent: None)
    BEHIND.app = make_app(APP_OPS_TOKEN=TOKEN, APP_CHAOS="1", APP_CHAOS_TOKEN=TOKEN, APP_CHAOS_MAX_SECONDS="3600")
    for _ in range(3):
        stage.url()


def more_than_the_document_can_say(case: Case[Any]) -> bool:
    """Whether the body fits its schema and may be refused all the same.

    No schema says which files are CSV with a known header, or tells 1.0 from 1, which is no id here. No pattern tells every host,
    nor bounds the bytes of an object.
    """
    body: Any = case.body
    if case.media_type in FILES:
        return True
    if not isinstance(body, dict):
        return False
    target = body.get("original_url", body.get("url"))
    return (
        any(isinstance(body.get(name), float) for name in ("user_id", "url_id"))
        or (isinstance(target, str) and re.search(TARGET, target) is not None and refused(target_url, target))
        or refused(details, body.get("details") or {})
    )


def refused(rule: Callable[[str, object], object], value: object) -> bool:
    try:
        rule("field", value)
    except FieldError:
        return True
    return False


@API.parametrize()
@settings(deadline=None, suppress_health_check=list(HealthCheck))
def test_every_operation_is_as_described(case: Case[Any]) -> None:
    case.call_and_validate(excluded_checks=[positive_data_acceptance] if more_than_the_document_can_say(case) else None)
