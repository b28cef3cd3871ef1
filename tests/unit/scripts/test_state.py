"""The record of what was made."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.console import Refusal
from scripts.processes import Daemon
from scripts.state import Made, load


def test_nothing_was_made_where_there_is_no_record(tmp_path: Path) -> None:
    made = load(tmp_path / "none.json")
    assert (made.stacks, made.engine_is_ours, made.swarm) == ([], False, None)


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    made = Made(path=tmp_path / "up.json", engine=Daemon(pid=7, born=1), registry_port=5001, images=["a"], swarm="c1")
    made.save()
    assert load(made.path) == made
    assert load(made.path).engine_is_ours


@pytest.mark.parametrize("text", ["", "{", "[]", '{"unknown": 1}', '{"engine": 7}'])
def test_a_damaged_record_is_refused_and_kept(tmp_path: Path, text: str) -> None:
    path = tmp_path / "up.json"
    path.write_text(text)
    with pytest.raises(Refusal, match="is damaged"):
        load(path)
    assert path.read_text() == text
