"""What every command line has in common: its exit code, and errors as one line."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from controller import __version__
from controller.cli import COMMANDS, run_command
from controller.cli.plan_text import change_line
from controller.model.plan import Change


class GonePipe(io.StringIO):
    """An output whose reader has gone."""

    def write(self, _: str) -> int:
        raise BrokenPipeError


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ([], "the following arguments are required: COMMAND"),
        (["nonsense"], "invalid choice: 'nonsense'"),
        (["plan", "--nonsense"], "unrecognized arguments: --nonsense"),
        (["plan", "-o", "xml"], "invalid choice: 'xml'"),
        (["apply", "--timeout", "soon"], "'soon' is no number of seconds to wait"),
        (["apply", "--timeout", "nan"], "'nan' is no number of seconds to wait"),
        (["apply", "--timeout", "-1"], "'-1' is no number of seconds to wait"),
        (["apply", "--resolve-image", "perhaps"], "'perhaps' is none of always, changed, never"),
        (["pause"], "the following arguments are required: STACK[/SERVICE]"),
        (["render", "-c", "x.yml"], "the following arguments are required: --stack"),
    ],
)
def test_a_wrong_command_line_ends_with_1_and_points_to_the_help(
    words: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        run_command(words)

    assert ended.value.code == 1  # 2 would be read as changes found
    err = capsys.readouterr().err
    assert err.startswith("prodbreaker: ")
    assert complaint in err
    assert "--help`" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run_command([command, "--help"])

    assert ended.value.code == 0
    out = capsys.readouterr().out
    assert out.startswith(f"usage: prodbreaker {command}")
    assert COMMANDS[command][1:] in out


def test_output_that_nobody_reads_ends_the_command_quietly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "good.yml").write_text("services: {web: {image: app}}")
    monkeypatch.setattr(sys, "stdout", GonePipe())

    assert run_command(["validate", str(tmp_path / "good.yml")]) == 1

    monkeypatch.undo()
    assert capsys.readouterr().err == ""


def test_the_controllers_wrong_settings_are_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("PRODBREAKER_WORKERS", "many")

    assert run_command(["run", "--listen", "nowhere"]) == 1

    err = capsys.readouterr().err
    assert err.startswith("prodbreaker: PRODBREAKER_LISTEN: ")
    assert "; PRODBREAKER_WORKERS: " in err
    assert err.count("\n") == 1


def test_a_change_is_shown_by_what_is_known_of_it() -> None:
    assert change_line(Change("user", None, "www")) == "user: + www"
    assert change_line(Change("user", "www", None)) == "user: - www"
    assert change_line(Change("user", "root", "www")) == "user: root -> www"
    assert change_line(Change("environment.A", "<masked>", "<masked>")) == "environment.A: <masked> (differs)"


@pytest.mark.parametrize(
    ("words", "code", "out", "err"),
    [
        (["--version"], 0, f"prodbreaker {__version__}\n", ""),
        (["validate", "good.yml"], 0, "1 checked: 0 errors, 0 warnings\n", ""),
        (["validate"], 1, "", "prodbreaker: name at least one stack file\n"),
        (["pause", "/"], 1, "", "prodbreaker: '/' is neither STACK nor STACK/SERVICE\n"),
    ],
)
def test_the_process_ends_with_the_commands_code_and_all_of_its_output(
    words: list[str], code: int, out: str, err: str, tmp_path: Path
) -> None:
    (tmp_path / "good.yml").write_text("services: {web: {image: app}}")
    prodbreaker = str(Path(sys.executable).with_name("prodbreaker"))

    buffered = {name: text for name, text in os.environ.items() if name != "PYTHONUNBUFFERED"}  # as for most who call it
    ended = subprocess.run(
        [prodbreaker, *words], env=buffered, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=30
    )

    assert (ended.returncode, ended.stdout, ended.stderr) == (code, out, err)


def test_a_process_whose_reader_has_gone_ends_without_a_word(tmp_path: Path) -> None:
    (tmp_path / "good.yml").write_text("services: {web: {image: app}}")
    command = [sys.executable, "-m", "controller", "validate", "good.yml"]
    with subprocess.Popen(
        command,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={"PYTHONPATH": str(Path(__file__).parents[3])},
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        said = process.stderr.read()

    assert (process.returncode, said) == (0, b"")
