"""Which engine is used, and what is never done to one that was there before."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import pytest

from scripts import engine, processes
from scripts.console import Progress, Refusal
from scripts.engine import EngineFacts, EngineStep
from scripts.processes import Daemon
from scripts.state import Made, load
from tests.unit.scripts.conftest import FakeHost

ABSENT = EngineFacts(answers=False, installed=False, pid=None, unit=False)
RUNNING = EngineFacts(answers=True, installed=True, pid=7, unit=False)


@pytest.mark.parametrize(
    ("facts", "step"),
    [
        (ABSENT, EngineStep.INSTALL),
        (EngineFacts(answers=False, installed=True, pid=None, unit=False), EngineStep.START_PROCESS),
        (EngineFacts(answers=False, installed=True, pid=None, unit=True), EngineStep.START_UNIT),
        (EngineFacts(answers=False, installed=True, pid=7, unit=True), EngineStep.WAIT),
        (EngineFacts(answers=True, installed=True, pid=None, unit=True), EngineStep.USE),
        (EngineFacts(answers=True, installed=False, pid=None, unit=False), EngineStep.USE),
    ],
)
def test_the_next_step_follows_from_what_was_found(facts: EngineFacts, step: EngineStep) -> None:
    assert engine.decide(facts) is step


def found_one_after_another(monkeypatch: pytest.MonkeyPatch, *facts: EngineFacts) -> None:
    remaining = list(facts)
    monkeypatch.setattr(engine, "observe", lambda: remaining.pop(0))
    monkeypatch.setattr(engine, "_has_client", lambda: True)


def test_an_engine_that_answers_is_used_and_not_called_ours(
    fake_host: FakeHost, made: Made, progress: Progress, monkeypatch: pytest.MonkeyPatch
) -> None:
    found_one_after_another(monkeypatch, RUNNING)
    engine.ensure(made, progress)
    assert (fake_host.ran, progress.changes, made.engine_is_ours) == ([], [], False)


def test_a_host_without_an_engine_gets_one_that_is_recorded_as_ours(
    fake_host: FakeHost, made: Made, progress: Progress, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    installed = EngineFacts(answers=False, installed=True, pid=None, unit=False)
    found_one_after_another(monkeypatch, ABSENT, installed, RUNNING)
    packages: list[str] = []
    monkeypatch.setattr("scripts.packages.ensure", lambda names, *_: packages.extend(names))
    monkeypatch.setattr(engine, "clear_leftovers", lambda: None)
    monkeypatch.setattr(processes, "start", lambda argv, _log: Daemon(pid=7, born=1) if argv == ["dockerd"] else None)
    monkeypatch.setattr("scripts.engine_api.answers", lambda **_: True)
    engine.ensure(made, progress)
    assert packages == ["docker.io", "iptables", "iproute2"]
    assert load(made.path).engine == Daemon(pid=7, born=1)


def test_systemd_starts_the_engine_where_it_knows_one(
    fake_host: FakeHost, made: Made, progress: Progress, monkeypatch: pytest.MonkeyPatch
) -> None:
    found_one_after_another(monkeypatch, EngineFacts(answers=False, installed=True, pid=None, unit=True), RUNNING)
    engine.ensure(made, progress)
    assert fake_host.ran == ["systemctl start docker.service"]
    assert load(made.path).engine_unit


def test_an_engine_that_runs_and_keeps_silent_is_refused_in_one_sentence(
    fake_host: FakeHost, made: Made, progress: Progress, monkeypatch: pytest.MonkeyPatch
) -> None:
    found_one_after_another(monkeypatch, EngineFacts(answers=False, installed=True, pid=os.getpid(), unit=False))
    monkeypatch.setattr(engine, "PATIENCE", 0.01)
    with pytest.raises(Refusal, match="runs but does not answer"):
        engine.ensure(made, progress)
    assert fake_host.ran == []


def test_an_engine_that_ends_while_it_is_waited_for_is_started_again(
    fake_host: FakeHost, made: Made, progress: Progress, monkeypatch: pytest.MonkeyPatch
) -> None:
    dying = EngineFacts(answers=False, installed=True, pid=2**22 + 1, unit=True)  # no process has this number
    gone = EngineFacts(answers=False, installed=True, pid=None, unit=True)
    found_one_after_another(monkeypatch, dying, gone, RUNNING)
    engine.ensure(made, progress)
    assert fake_host.ran == ["systemctl start docker.service"]


def test_a_dockerd_that_dies_at_its_start_is_refused_with_its_last_words(
    fake_host: FakeHost, made: Made, progress: Progress, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    log = tmp_path / "engine.log"
    log.write_text("starting\nno iptables here\n")
    found_one_after_another(monkeypatch, EngineFacts(answers=False, installed=True, pid=None, unit=False))
    monkeypatch.setattr(engine, "LOG", log)
    monkeypatch.setattr(engine, "clear_leftovers", lambda: None)
    monkeypatch.setattr(processes, "start", lambda *_: Daemon(pid=2**22 + 1, born=1))  # no process has this number
    with pytest.raises(Refusal, match="dockerd ended: no iptables here"):
        engine.ensure(made, progress)


def test_leftovers_of_a_killed_engine_are_cleared(tmp_path: Path) -> None:
    pid_file, containerd, containerd_pid = tmp_path / "docker.pid", tmp_path / "containerd.sock", tmp_path / "containerd.pid"
    pid_file.write_text("1")  # taken by another program since
    containerd_pid.write_text("1")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as gone:
        gone.bind(str(containerd))  # nobody listens
    engine.clear_leftovers(pid_file, containerd, containerd_pid)
    assert not any(path.exists() for path in (pid_file, containerd, containerd_pid))


def test_the_socket_of_a_containerd_that_runs_is_left_alone(tmp_path: Path) -> None:
    containerd = tmp_path / "containerd.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.bind(str(containerd))
        listening.listen()
        engine.clear_leftovers(tmp_path / "docker.pid", containerd, tmp_path / "containerd.pid")
    assert containerd.exists()


class TestMirror:
    @pytest.fixture(autouse=True)
    def _daemon_json(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        self.file = tmp_path / "docker/daemon.json"
        self.reloads = 0
        monkeypatch.setattr(engine, "DAEMON_JSON", self.file)
        monkeypatch.setattr(engine, "_reload", self._count)

    def _count(self) -> None:
        self.reloads += 1

    def test_our_engine_is_told_of_it_once_and_without_a_restart(self, made: Made, progress: Progress) -> None:
        made.engine = Daemon(pid=7, born=1)
        assert engine.use_mirror("http://127.0.0.1:5000", made, progress)
        assert engine.use_mirror("http://127.0.0.1:5000", made, progress)
        assert json.loads(self.file.read_text()) == {"registry-mirrors": ["http://127.0.0.1:5000"]}
        assert (self.reloads, len(progress.changes)) == (1, 1)
        engine.forget_mirror(made)
        assert (self.file.exists(), self.reloads) == (False, 2)

    def test_an_engine_that_was_found_is_not_configured(self, made: Made, progress: Progress) -> None:
        assert not engine.use_mirror("http://127.0.0.1:5000", made, progress)
        engine.forget_mirror(made)
        assert (self.file.exists(), self.reloads) == (False, 0)

    def test_a_configuration_of_the_owners_is_not_touched(self, made: Made, progress: Progress) -> None:
        made.engine = Daemon(pid=7, born=1)
        self.file.parent.mkdir()
        self.file.write_text('{"debug": true}')
        assert not engine.use_mirror("http://127.0.0.1:5000", made, progress)
        engine.forget_mirror(made)
        assert self.file.read_text() == '{"debug": true}'
