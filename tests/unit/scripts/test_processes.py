"""Processes that outlive the script."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from scripts import processes
from scripts.console import Refusal
from scripts.processes import Daemon


def test_a_process_is_started_apart_recognised_and_ended(tmp_path: Path) -> None:
    daemon = processes.start(["sleep", "60"], tmp_path / "logs/sleep.log")
    assert processes.alive(daemon)
    assert os.getsid(daemon.pid) != os.getsid(0)
    processes.stop(daemon, patience=5)
    assert not processes.alive(daemon)


def test_another_process_with_the_same_number_is_not_taken_for_it() -> None:
    me = processes.identify(os.getpid())
    assert me is not None
    stranger = Daemon(pid=me.pid, born=me.born - 1)
    assert not processes.alive(stranger)
    processes.stop(stranger, patience=0.0)  # would end this very test


def test_one_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    log = tmp_path / "log"
    daemon = processes.start(["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.1; done"], log)
    while "ready" not in log.read_text():
        pass
    processes.stop(daemon, patience=0.3)
    assert not processes.alive(daemon)


def test_the_program_of_a_process_is_named() -> None:
    assert processes.program(os.getpid()) == Path("/proc/self/comm").read_text().strip()
    assert processes.program(2**22 + 1) == ""


def test_a_zombie_has_gone() -> None:
    child = subprocess.Popen(["true"])
    while identified := processes.identify(child.pid):
        assert identified.pid == child.pid
    assert Path(f"/proc/{child.pid}/comm").read_text() == "true\n", "nobody has reaped it yet"
    assert processes.program(child.pid) == ""
    child.wait()


def test_a_program_that_cannot_start_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="could not be started"):
        processes.start(["no-such-program"], tmp_path / "log")
