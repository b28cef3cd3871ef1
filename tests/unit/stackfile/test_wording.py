"""Problems are told in words of the file, not of the libraries that find them."""

from __future__ import annotations

from controller.stackfile.validation import _reason
from tests.unit.stackfile.memory import load, problem, refusal


def test_an_error_that_the_schema_has_no_words_for_keeps_its_own() -> None:
    assert _reason({"type": "something_new", "msg": "is new", "input": 5}, {}) == "is new"


def test_an_infinite_number_is_not_to_be_quoted() -> None:
    assert refusal("user: .inf") == ("user", "must be a string")


def test_paths_are_written_as_people_do() -> None:
    found = problem("services: {a: {image: x, volumes: ['/a', {type: tmpfs, target: /b, tmpfs: {size: -1}}]}}")
    assert (found.path, found.reason) == ("services.a.volumes[1].tmpfs.size", "must be 0 or more")


def test_numbers_that_json_calls_equal_stand_twice_and_others_do_not() -> None:
    assert refusal("expose: [80, 80.0]") == ("expose", "holds an entry twice")
    assert load("services: {a: {image: x, expose: [80, '80']}}").services.keys() == {"a"}
