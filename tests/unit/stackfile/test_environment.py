"""A service's environment: env files, then `environment`, then the process for what is empty."""

from __future__ import annotations

import pytest

from controller.stackfile.environment import parse_env_file
from tests.unit.stackfile.memory import container, load, problems, refusal


def test_environment_is_sorted_text() -> None:
    assert container("environment: {B: 2, A: x, a: , Z: ''}")["Env"] == ["A=x", "B=2", "Z=", "a"]


def test_a_list_is_split_at_the_first_equals() -> None:
    assert container("environment: [B=2, 'A=x=y', C]")["Env"] == ["A=x=y", "B=2", "C"]


def test_no_environment_is_no_field() -> None:
    assert "Env" not in container("environment: {}")
    assert "Env" not in container("tty: true")


def test_what_is_empty_or_absent_is_taken_from_the_process() -> None:
    env = {"A": "shell", "B": "shell", "C": "shell"}
    assert container("environment: {A: , B: '', C: own}", env=env)["Env"] == ["A=shell", "B=shell", "C=own"]


def test_later_files_win_and_environment_wins_over_files() -> None:
    files = {"a.env": "A=a\nB=a\nC=a\n", "b.env": "B=b\nC=b\n"}
    assert container("env_file: [a.env, ./b.env], environment: {C: own}", files=files)["Env"] == ["A=a", "B=b", "C=own"]


def test_one_file_may_be_named_as_text_and_lie_elsewhere() -> None:
    assert container("env_file: ../a.env", files={"/srv/a.env": "A=1"})["Env"] == ["A=1"]


def test_an_empty_value_of_a_file_is_taken_from_the_process() -> None:
    assert container("env_file: a.env", files={"a.env": "A=\n"}, env={"A": "shell"})["Env"] == ["A=shell"]


def test_a_missing_file_that_services_share_is_missed_by_each() -> None:
    text = "services: {a: {image: x, env_file: e}, b: {image: x, env_file: e}}"
    assert [found.path for found in problems(text)] == ["services.a.env_file", "services.b.env_file"]


def test_env_files_are_watched() -> None:
    stack = load("services: {a: {image: x, env_file: e/a.env}}", files={"e/a.env": "A=1"})
    assert stack.files == ("/srv/stack/1.yml", "/srv/stack/e/a.env")


@pytest.mark.parametrize(
    ("text", "variables"),
    [
        (b"", {}),
        (b"# comment\n\n  \n", {}),
        (b"  A=1", {"A": "1"}),
        (b"A=1 # no comment  ", {"A": "1 # no comment  "}),
        (b"A=\"quoted\"\nB='x'", {"A": '"quoted"', "B": "'x'"}),
        (b"A=b=c", {"A": "b=c"}),
        (b"A=$B", {"A": "$B"}),
        (b"\xef\xbb\xbfA=1\r\nB=2\r\n", {"A": "1", "B": "2"}),
        (b"FROM\nGONE\n", {"FROM": "shell"}),
        (b"A=1\nA=2", {"A": "2"}),
    ],
)
def test_lines_of_an_env_file(text: bytes, variables: dict[str, str]) -> None:
    assert parse_env_file(text, {"FROM": "shell"}) == variables


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"export A=1", "line 1: the variable 'export A' holds a blank"),
        (b"A=1\nB =2", "line 2: the variable 'B ' holds a blank"),
        (b"=1", "line 1: there is no variable before the ="),
        (b"\n\nA=\xff", "line 3: is not valid UTF-8"),
    ],
)
def test_a_fault_in_an_env_file_is_told_with_its_line_at_the_place_that_names_it(text: bytes, reason: str) -> None:
    assert refusal("env_file: [a.env]", files={"a.env": text}) == ("env_file[0]", f"a.env {reason}")
