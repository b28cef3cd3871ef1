"""Waiting is what every test on a real Swarm rests on."""

from __future__ import annotations

import os
import time
from itertools import chain, repeat
from pathlib import Path

import pytest

from tests.support import processes
from tests.support.processes import ProcessorSeconds, processor_seconds, stolen_share, wait_until


def test_what_does_not_come_true_is_given_up_at_the_deadline() -> None:
    assert not wait_until(lambda: False, seconds=0.05)


def test_time_that_was_kept_from_the_host_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "stolen_seconds", time.monotonic)
    begin = time.monotonic()
    assert not wait_until(lambda: False, seconds=0.02)
    assert time.monotonic() - begin >= 0.2


def test_what_the_hypervisor_kept_is_read_in_seconds(tmp_path: Path) -> None:
    stat, tick = tmp_path / "stat", os.sysconf("SC_CLK_TCK")
    assert processor_seconds(stat) == (0, 0)
    stat.write_text(f"cpu  {tick} {2 * tick} {3 * tick} 9 9 0 {tick} {8 * tick} 9 10\ncpu0 1 2 3 4 5 6 7 8 9 10\n")
    assert processor_seconds(stat) == (7, 8)


def test_a_host_that_got_half_of_what_it_wanted_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_AT_FIRST", ProcessorSeconds(100, 100))
    monkeypatch.setattr(processes, "processor_seconds", lambda: ProcessorSeconds(104, 104))
    assert stolen_share() == 0.5


def test_what_breaks_during_the_hold_has_to_hold_anew() -> None:
    answers = chain([True, False], repeat(True))
    seen: list[bool] = []

    def condition() -> bool:
        seen.append(next(answers))
        return seen[-1]

    assert wait_until(condition, seconds=1, pause=0.02, hold=0.05)
    assert seen[:4] == [True, False, True, True]
