"""`python -m app lint`: what it prints and how it ends."""

from __future__ import annotations

import argparse
import gzip
import io
from pathlib import Path

import pytest

from app.ingest import lint
from tests.app.ingest.reading import USERS


def run(*argv: str) -> int:
    parser = argparse.ArgumentParser()
    lint.configure(parser)
    return lint.run(parser.parse_args(["users", *argv]))


def written(folder: Path, data: bytes) -> str:
    path = folder / "users.csv"
    path.write_bytes(data)
    return str(path)


def test_a_clean_file_ends_with_0_and_its_count(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(written(tmp_path, gzip.compress((USERS + "1,bob,bob@example.com,\n").encode()))) == 0
    assert capsys.readouterr() == ("1 rows = 1 accepted + 0 rejected\n", "")


def test_bad_rows_are_printed_with_their_places_and_end_with_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, (USERS + "1,bob,bob@example.com,\nx,bob,b@example.com,\n\n1\n").encode())
    assert run(path) == 1
    assert capsys.readouterr().out.splitlines() == [
        f"{path}:3: id: must be a whole number [format]",
        f"{path}:5: the row has 1 columns, the header 4 [too_few_columns]",
        "3 rows = 1 accepted + 2 rejected",
    ]


def test_rejects_are_written_to_a_file_that_lint_reads_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rejects = tmp_path / "rejects.csv"
    assert run(written(tmp_path, (USERS + "x,bob,b@example.com,\n").encode()), "--rejects", str(rejects)) == 1
    capsys.readouterr()
    rejects.write_bytes(rejects.read_bytes().replace(b'"x"', b'"1"'))
    assert run(str(rejects)) == 0


def test_a_file_with_a_bad_header_ends_with_2_and_its_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, b"\nid,username\n")
    assert run(path) == 2
    assert capsys.readouterr().err == f"{path}:2: column email is missing\n"


def test_a_torn_pack_ends_with_2_and_what_was_read_before(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, gzip.compress((USERS + "1,bob,bob@example.com,\n" * 9000).encode())[:-9])
    assert run(path) == 2
    out, err = capsys.readouterr()
    assert err == f"{path}: the gzip data ends too early\n"
    assert out.startswith("read before that: ")


def test_a_file_that_is_not_there_ends_with_2_and_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(str(tmp_path / "none.csv")) == 2
    assert capsys.readouterr().err == f"{tmp_path / 'none.csv'}: No such file or directory\n"


def test_standard_input_is_read_for_a_dash(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO((USERS + "x\n").encode())))
    assert run("-") == 1
    assert capsys.readouterr().out.startswith("-:2: ")
