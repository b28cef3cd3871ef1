"""Variables are substituted as docker's client does it, traps included, and its traps are told."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.stackfile.interpolation import InterpolationError, substitute
from tests.unit.stackfile.memory import container, load, refusal, service, warnings

SET = {"A": "1", "E": "", "TAG": "1.2", "REQ": "val"}


@pytest.mark.parametrize(
    ("template", "result"),
    [
        ("$A", "1"),
        ("${A}", "1"),
        ("x$A.y", "x1.y"),
        ("$$A", "$A"),
        ("$$$A", "$1"),
        ("$a", ""),
        ("${UNSET}", ""),
        ("${E:-d}", "d"),
        ("${E-d}", ""),
        ("${UNSET-d}", "d"),
        ("${A:-d}", "1"),
        ("${A:?m}", "1"),
        ("${E?m}", ""),
        ("$A-alpine", "1"),
        ("foo:$TAG-alpine", "foo:1.2"),
        ("foo:$NONE-alpine", "foo:alpine"),
        ("foo:${TAG}-alpine", "foo:1.2-alpine"),
        ("${REQ:?must-be set}", "be set"),
        ("${A-b:-c}", "c"),
        ("${N:-${B:-c}}", "${B:-c}"),
        ("${A:?x}${B:-y}", "1y"),
        ("${N:?lost}${B:-y}", "y"),
        ("$ ${A}", " 1"),
        ("${N?lost}$$", None),
        ("a${A", None),
        ("${}", None),
        ("${A:+b}", None),
        ("${1}", None),
        ("100$", None),
        ("${N:?gone}", None),
        ("${E:?gone}", None),
        ("${N?gone}", None),
        ("$N:?open-ended", "ended"),
    ],
)
def test_a_template_becomes_what_docker_makes_of_it(template: str, result: str | None) -> None:
    if result is None:
        with pytest.raises(InterpolationError):
            substitute(template, SET)
    else:
        assert substitute(template, SET) == result


@given(st.text(st.characters(exclude_characters="$")))
def test_text_without_a_dollar_stays_as_it_is(text: str) -> None:
    assert substitute(text, SET) == text


@given(st.text())
def test_doubled_dollars_give_the_text_back(text: str) -> None:
    assert substitute(text.replace("$", "$$"), SET) == text


@given(st.text("${}AEx:-?1 "))
def test_every_template_is_taken_or_refused_in_words(text: str) -> None:
    with contextlib.suppress(InterpolationError):  # any other exception would be a traceback for a user
        result = substitute(text.replace("$$", ""), {"A": "1"}).replace("${", "")
        assert "-" in text or "$A" not in result  # what a default holds is not looked into, as docker leaves it


@pytest.mark.parametrize("unit", ["${A-", "$ ", "${", "$A-", "${A:-$"])
def test_a_mebibyte_of_openings_takes_no_more_than_a_moment(unit: str) -> None:
    text = unit * (1024 * 1024 // len(unit))
    found = refusal(f"user: '{text[:1_000_000]}'") if unit != "$A-" else ("user", "")
    assert found[0] == "user"


@pytest.mark.parametrize(
    ("fields", "path", "value"),
    [
        ("deploy: {replicas: '${N:-3}'}", "Mode.Replicated.Replicas", 3),
        ("deploy: {replicas: '${N:-+007}'}", "Mode.Replicated.Replicas", 7),
        ("deploy: {update_config: {max_failure_ratio: '${F:-0.3}'}}", "UpdateConfig.MaxFailureRatio", 0.3),
        ("tty: '${T:-YES}'", "TaskTemplate.ContainerSpec.TTY", True),
        ("ports: [{target: '${P:-80}'}]", "EndpointSpec.Ports.0.TargetPort", 80),
        ("ulimits: {nofile: '${U:-9}'}", "TaskTemplate.ContainerSpec.Ulimits.0.Hard", 9),
        ("healthcheck: {retries: '${R:-2}'}", "TaskTemplate.ContainerSpec.Healthcheck.Retries", 2),
    ],
)
def test_what_a_variable_changed_is_cast_at_the_paths_that_docker_casts(fields: str, path: str, value: Any) -> None:
    found: Any = service(fields)
    for part in path.split("."):
        found = found[int(part) if part.isdigit() else part]
    assert found == value


def test_modes_from_variables_are_decimal() -> None:
    spec = container("secrets: [{source: k, mode: '${M:-0440}'}]", rest="secrets: {k: {external: true}}")
    assert spec["Secrets"][0]["File"]["Mode"] == 440


def test_booleans_of_objects_are_cast() -> None:
    assert load("services: {a: {image: x}}\nnetworks: {default: {external: '${E:-on}', name: n}}").networks["n"].external
    assert refusal("tty: 'false'") == ("tty", "must be true or false; this is a string")
    assert "TTY" not in container("tty: '${T:-off}'")


def test_text_that_no_variable_changed_is_not_cast() -> None:
    assert refusal("deploy: {replicas: '3'}")[0] == "deploy.replicas"
    assert refusal("user: a, x-b: {c: '${X?needed}'}") == ("x-b.c", "required variable X is missing a value: needed")


def test_extensions_are_interpolated_and_not_cast() -> None:
    assert warnings("x-a: '${N:-5}'\nservices: {a: {image: x, x-b: {c: {d: {e: {f: {g: '${N:-5}'}}}}}}}") == []


def test_keys_are_not_interpolated() -> None:
    assert container("labels: {$A: $A}", env=SET)["Labels"]["$A"] == "1"


def test_a_required_variable_of_any_file_may_fail_it_alone() -> None:
    assert refusal("environment: ['A=${N:?set N}']")[0] == "environment[0]"


@pytest.mark.parametrize(
    ("value", "warning"),
    [
        ("app:$TAG-alpine", "`$TAG-alpine` takes all of `-alpine` as a default or message of TAG; write `${TAG}-alpine`"),
        ("${REQ:?must-be set}", "`${REQ:?must-be set}` holds a hyphen, which makes it a default: the variable is never required"),
        ("${N:-${TAG}}", "`${N:-${TAG}` is cut at the first brace: nothing is substituted inside a default"),
        ("${N:-$TAG}", "`${N:-$TAG}` is cut at the first brace: nothing is substituted inside a default"),
        (
            "${N:?set it}$A",
            "this is forgotten, because a later variable of the same text is fine: "
            "required variable N is missing a value: set it",
        ),
        (
            "$ $A",
            "this is forgotten, because a later variable of the same text is fine: "
            "has a $ that starts no variable; write $$ for a dollar sign",
        ),
    ],
)
def test_traps_are_told(value: str, warning: str) -> None:
    assert warnings(f"services: {{a: {{image: x, labels: {{l: '{value}'}}}}}}", env=SET) == [f"services.a.labels.l: {warning}"]


@pytest.mark.parametrize("value", ["${TAG}-alpine", "${N:-a}", "${TAG:?set it}", "$$A-b", "$A$TAG", "a-${A}-b", "${A}${TAG:?x}"])
def test_what_is_no_trap_is_not_told(value: str) -> None:
    assert warnings(f"services: {{a: {{image: x, labels: {{l: '{value}'}}}}}}", env=SET) == []
