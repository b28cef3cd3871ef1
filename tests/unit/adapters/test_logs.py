"""One JSON object a line, and no secret in any."""

from __future__ import annotations

import base64
import io
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from controller.adapters.logs import Redactor, configure_logging

Lines = Callable[[], list[dict[str, Any]]]
log = logging.getLogger("prodbreaker.test")


@pytest.fixture
def redactor() -> Redactor:
    return Redactor()


@pytest.fixture
def lines(redactor: Redactor) -> Iterator[Lines]:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    stream = io.StringIO()
    configure_logging("INFO", redactor, stream=stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    root.handlers[:] = before
    root.setLevel(level)
    logging.getLogger("prodbreaker").setLevel(logging.NOTSET)


def test_a_line_has_its_time_level_event_and_fields(lines: Lines) -> None:
    log.info("action", extra={"fields": {"reconcile_id": "r1", "changes": ["image"], "seconds": 0.5, "ok": True, "none": None}})

    (line,) = lines()
    moment = line.pop("time")
    assert len(moment) == len("2026-01-02T03:04:05.678Z")
    assert moment.endswith("Z")
    assert line == {
        "level": "info",
        "logger": "prodbreaker.test",
        "event": "action",
        "reconcile_id": "r1",
        "changes": ["image"],
        "seconds": 0.5,
        "ok": True,
        "none": None,
    }


def test_a_field_cannot_replace_what_every_line_has(lines: Lines) -> None:
    log.info("a", extra={"fields": {"level": "x", "event": "y"}})

    (line,) = lines()
    assert (line["level"], line["level_"], line["event"], line["event_"]) == ("info", "x", "a", "y")


def test_what_json_cannot_take_is_told_as_text(lines: Lines) -> None:
    log.info("a", extra={"fields": {"nan": float("nan"), "set": {1}, 2: object, "text": "a\nb"}})

    (line,) = lines()
    assert (line["nan"], line["set"], line["2"], line["text"]) == ("nan", [1], "<class 'object'>", "a\nb")


def test_levels_below_the_chosen_one_and_chatty_libraries_are_silent(lines: Lines) -> None:
    log.debug("quiet")
    logging.getLogger("urllib3").info("quiet")
    logging.getLogger("urllib3").warning("heard")

    assert [line["event"] for line in lines()] == ["heard"]


def _fail(reason: str) -> None:
    raise ValueError(reason)


def test_a_traceback_is_one_line_too(lines: Lines) -> None:
    try:
        _fail("inner")
    except ValueError:
        log.exception("failed")

    (line,) = lines()
    assert line["event"] == "failed"
    assert "ValueError: inner" in line["traceback"]


PEM = "-----BEGIN KEY-----\nMIIBVgIBADANBgkq\nS3CR3T+planted/line==\n-----END KEY-----\n"


def test_secrets_appear_nowhere(lines: Lines, redactor: Redactor) -> None:
    redactor.hide(["S3CR3T-token", PEM.encode(), b"\xff\x00bin-S3CR3T", 'quo"te\\S3CR3T'])
    packed = base64.b64encode(b"S3CR3T-token").decode()

    log.info("event with S3CR3T-token", extra={"fields": {"a": "x S3CR3T-token y", "b": ["S3CR3T-token"], "S3CR3T-token": 1}})
    log.info("more", extra={"fields": {"pem": PEM, "one": "S3CR3T+planted/line==", "packed": packed, "quoted": 'quo"te\\S3CR3T'}})
    try:
        _fail("S3CR3T-token")
    except ValueError:
        log.exception("failed")

    text = json.dumps(lines())
    assert "S3CR3T" not in text
    assert packed not in text
    assert "x *** y" in text


def test_secrets_told_later_are_hidden_from_then_on(lines: Lines, redactor: Redactor) -> None:
    log.info("first value-of-secret")
    redactor.hide(["value-of-secret"])
    redactor.hide(["value-of-secret", "another-one"])
    log.info("then value-of-secret and another-one")

    assert [line["event"] for line in lines()] == ["first value-of-secret", "then *** and ***"]


@pytest.mark.parametrize("secret", ["", "a", "abc", "\n", b""])
def test_what_is_too_short_to_hide_leaves_the_log_readable(lines: Lines, redactor: Redactor, secret: str | bytes) -> None:
    redactor.hide([secret])
    log.info("a cab in abc")

    assert lines()[0]["event"] == "a cab in abc"


def test_a_longer_secret_is_masked_before_one_inside_it(redactor: Redactor) -> None:
    redactor.hide(["pass", "password-long", "word"])

    assert redactor.text("password-long pass word") == "*** *** ***"
