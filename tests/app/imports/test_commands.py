"""`python -m app lint` and `python -m app import`."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from app.__main__ import main
from app.ingest import command, jobs
from tests.app.imports.desk import USERS, Desk, users
from tests.app.test_gunicorn import PROJECT
from tests.support.processes import wait_until

BAD = USERS + users(1, 3) + "4,eve,eve\n1,bob,bob@example.com,x\n"
Captured = pytest.CaptureFixture[str]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "users.csv"
    path.write_text(BAD)
    return path


def test_import_says_what_became_of_each_row(env: dict[str, str], desk: Desk, file: Path, capsys: Captured) -> None:
    assert main(["import", "users", str(file)], env) == 1
    assert [line for line in capsys.readouterr().out.splitlines() if not line.startswith("{")] == [
        f"{file}:5: email: must be an email address, as in name@example.com [format]",
        f"{file}:6: the row has 4 columns, the header 3 [too_many_columns]",
        "5 rows = 3 inserted + 0 updated + 0 unchanged + 0 duplicate + 2 rejected",
    ]
    assert desk.rows("SELECT count(*) FROM users") == [(3,)]
    file.write_text(USERS + users(1, 3))
    assert main(["import", "users", str(file)], env) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("3 rows = 0 inserted + 0 updated + 3 unchanged")


def test_import_can_be_tried_dry(env: dict[str, str], desk: Desk, file: Path, capsys: Captured) -> None:
    assert main(["import", "users", str(file), "--dry-run"], env) == 1
    assert capsys.readouterr().out.splitlines()[-1].startswith("dry run, nothing written: 5 rows = 3 inserted")
    assert desk.rows("SELECT count(*) FROM users") == [(0,)]


def test_import_reads_standard_input(env: dict[str, str], desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO((USERS + users(1, 2)).encode())))
    assert main(["import", "users", "-"], env) == 0
    assert desk.rows("SELECT count(*) FROM users") == [(2,)]


@pytest.mark.parametrize(
    ("text", "arguments", "said"),
    [
        ("", [], "users.csv: the file is empty"),
        ("a,b\n", [], "users.csv:1: the first line has none of the columns"),
        (BAD, ["--reject-limit", "1"], "users.csv:5: more than 1 rows were refused"),
        (BAD, ["--reject-percent", "10"], "users.csv:5: 2 of 5 rows were refused, more than 10 %"),
    ],
)
def test_a_file_that_cannot_be_imported_ends_with_2_and_the_reason(
    env: dict[str, str], file: Path, capsys: Captured, text: str, arguments: list[str], said: str
) -> None:
    file.write_text(text)
    assert main(["import", "users", str(file), *arguments], env) == 2
    assert said in capsys.readouterr().err


def test_a_file_that_is_not_there_ends_with_2(env: dict[str, str], tmp_path: Path, capsys: Captured) -> None:
    assert main(["import", "users", str(tmp_path / "none.csv")], env) == 2
    assert capsys.readouterr().err == f"{tmp_path / 'none.csv'}: No such file or directory\n"


def test_an_import_without_a_database_ends_with_2(file: Path, capsys: Captured) -> None:
    assert main(["import", "users", str(file)], {"DATABASE_URL": "postgresql://app@127.0.0.1:1/app"}) == 2
    assert capsys.readouterr().err.startswith("error: postgresql")
    assert main(["import", "users", str(file)], {}) == 2


@pytest.mark.parametrize("arguments", [["nonsense", "x"], ["users"], ["users", "x", "--reject-limit", "-1"]])
def test_an_import_that_is_called_wrongly_ends_with_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["import", *arguments], {})
    assert ended.value.code == 2


def test_an_import_that_a_worker_has_is_waited_for(
    env: dict[str, str], desk: Desk, file: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.setattr(command, "LOOK_SECONDS", 0.01)
    path = desk.sent(BAD)
    desk.run("UPDATE import_job SET lease_until = now() + interval '1 hour', status = 'running'")
    ends: list[int] = []
    waiting = threading.Thread(target=lambda: ends.append(main(["import", "users", str(file)], env)))
    waiting.start()
    looks = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'app-command'"
    assert wait_until(lambda: desk.rows(looks) == [(1,)], seconds=20)
    desk.client.post(f"{path}/cancel")
    waiting.join(timeout=60)
    assert ends == [2]
    assert capsys.readouterr().err == f"{file}: the import was cancelled\n"


def test_a_command_that_was_killed_is_taken_up_by_the_same_command(
    env: dict[str, str], desk: Desk, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class KilledError(BaseException):
        pass

    def killed(*_: object, **__: object) -> None:
        raise KilledError

    with monkeypatch.context() as patched:
        patched.setattr(jobs, "advance", killed)
        with pytest.raises(KilledError):
            main(["import", "users", str(file)], env)
    desk.hurry()
    assert main(["import", "users", str(file)], env) == 1
    assert desk.rows("SELECT status, inserted, rejected FROM import_job") == [("done", 3, 2)]


def test_lint_needs_neither_a_database_nor_flask(file: Path) -> None:
    script = "import sys; from app.__main__ import main; code = main(); assert 'flask' not in sys.modules; sys.exit(code)"
    done = subprocess.run(
        [sys.executable, "-c", script, "lint", "users", str(file)], cwd=PROJECT, capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.splitlines()[-1] == "5 rows = 3 accepted + 2 rejected"


def test_the_worker_imports_and_ends_when_it_is_told(env: dict[str, str], desk: Desk) -> None:
    path = desk.sent(BAD)
    process = subprocess.Popen(
        [sys.executable, "-m", "app", "worker"], cwd=PROJECT, env={**os.environ, **env}, stdout=subprocess.PIPE, text=True
    )
    try:
        assert wait_until(lambda: desk.job(path)["status"] == "done", seconds=60)
        process.terminate()
        out, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 0
    assert '"event": "import ended"' in out
