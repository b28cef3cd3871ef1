"""`prodbreaker validate` and `prodbreaker render`, as they are called."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from controller.cli import run_command

GOOD = "services: {web: {image: app}}\n"
WARNED = "services:\n  web:\n    image: app\n    tmpfs: /run\n"
WRONG = "services:\n  web:\n    image: app\n    ports: [http]\n    tty: 5\n"


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, text in {"good": GOOD, "warned": WARNED, "wrong": WRONG}.items():
        Path(f"{name}.yml").write_text(text)


def test_a_good_file_is_told_and_fine(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["validate", "good.yml"]) == 0
    assert capsys.readouterr().out == "1 checked: 0 errors, 0 warnings\n"


def test_every_problem_of_a_wrong_file_is_printed_with_its_place(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["validate", "wrong.yml", "good.yml", "warned.yml"]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "wrong.yml:4:13: services.web.ports[0]: 'http' is not a container port",
        "wrong.yml:5:10: services.web.tty: must be true or false",
        "warned.yml:4:5: warning: services.web.tmpfs: is ignored by Swarm",
        "3 checked: 2 errors, 1 warnings",
    ]


def test_warnings_fail_only_when_asked_to() -> None:
    assert run_command(["validate", "warned.yml"]) == 0
    assert run_command(["validate", "--strict", "warned.yml"]) == 1
    assert run_command(["validate", "--strict", "good.yml"]) == 0


def test_problems_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["validate", "-o", "json", "warned.yml"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "problems": [
            {
                "file": "warned.yml",
                "line": 4,
                "column": 5,
                "path": "services.web.tmpfs",
                "reason": "is ignored by Swarm",
                "severity": "warning",
            }
        ]
    }


def test_files_of_a_set_are_checked_together(capsys: pytest.CaptureFixture[str]) -> None:
    Path("over.yml").write_text("services: {web: {user: u}}")
    assert run_command(["validate", "over.yml"]) == 1
    assert run_command(["validate", "-c", "good.yml", "-c", "over.yml"]) == 0
    assert "services.web.image: is required" in capsys.readouterr().out


def test_a_file_names_its_stack_unless_one_is_given(capsys: pytest.CaptureFixture[str]) -> None:
    Path(f"{'n' * 60}.yml").write_text(GOOD)
    Path("no.stack.name.yml").write_text(GOOD)
    assert run_command(["validate", f"{'n' * 60}.yml"]) == 1
    assert run_command(["validate", "--stack", "s", f"{'n' * 60}.yml", "no.stack.name.yml"]) == 0
    assert run_command(["validate", "no.stack.name.yml"]) == 0
    assert run_command(["validate", "--stack", "", "good.yml"]) == 1
    assert "the stack has no name" in capsys.readouterr().out


def test_nothing_to_check_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["validate"]) == 1
    assert capsys.readouterr().err == "prodbreaker: name at least one stack file\n"


def test_a_missing_file_is_a_problem_like_any_other(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["validate", "gone.yml"]) == 1
    assert capsys.readouterr().out.startswith("gone.yml:1:1: cannot be read: No such file or directory\n")


SECRETS = """services: {web: {image: app, tmpfs: /run}}
secrets: {k: {file: key}, d: {driver: v}, e: {external: true}}
configs: {c: {file: key}}
"""


def test_bodies_are_rendered_with_secrets_masked(capsys: pytest.CaptureFixture[str]) -> None:
    Path("stack.yml").write_text(SECRETS)
    Path("key").write_text("planted")
    assert run_command(["render", "-c", "stack.yml", "--stack", "s"]) == 0
    captured = capsys.readouterr()
    rendered = json.loads(captured.out)
    assert {section: list(bodies) for section, bodies in rendered.items()} == {
        "networks": ["s_default"],
        "secrets": ["s_k", "s_d"],
        "configs": ["s_c"],
        "services": ["s_web"],
    }
    assert rendered["secrets"]["s_k"]["Data"] == "(7 bytes, masked)"
    assert rendered["configs"]["s_c"]["Data"] == "cGxhbnRlZA=="
    assert "Data" not in rendered["secrets"]["s_d"]
    assert captured.err == "stack.yml:1:30: warning: services.web.tmpfs: is ignored by Swarm\n"


def test_secrets_are_shown_when_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    Path("stack.yml").write_text(SECRETS)
    Path("key").write_text("planted")
    assert run_command(["render", "-c", "stack.yml", "--stack", "s", "--show-secrets"]) == 0
    assert json.loads(capsys.readouterr().out)["secrets"]["s_k"]["Data"] == "cGxhbnRlZA=="


def test_bodies_are_rendered_for_reading(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["render", "-c", "good.yml", "--stack", "s"]) == 0
    as_json = json.loads(capsys.readouterr().out)
    assert run_command(["render", "-c", "good.yml", "--stack", "s", "-o", "text"]) == 0
    assert yaml.safe_load(capsys.readouterr().out) == as_json


def test_a_wrong_file_is_one_clear_error_and_no_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["render", "-c", "wrong.yml", "--stack", "s"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("prodbreaker: wrong.yml:4:13: services.web.ports[0]: ")
    assert "Traceback" not in captured.err
