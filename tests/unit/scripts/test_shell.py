"""Commands end in time, in a log, and in a sentence when they fail."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts import shell
from scripts.console import Refusal


@pytest.fixture(autouse=True)
def _own_log(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(shell, "LOG", tmp_path / "up.log")


def test_output_is_returned_and_logged() -> None:
    assert shell.run("cat", stdin=b"hello\n", timeout=5) == "hello"
    assert "$ cat -> 0" in shell.LOG.read_text()


@pytest.mark.parametrize(
    ("command", "code", "reason"),
    [
        (("sleep", "5"), 124, "no answer in 0 s"),
        (("no-such-program",), 127, "no such program"),
        (("sh", "-c", "echo first >&2; echo why >&2; exit 3"), 3, "why"),
    ],
)
def test_a_failure_becomes_a_sentence(command: tuple[str, ...], code: int, reason: str) -> None:
    assert shell.attempt(*command, timeout=0.3).returncode == code
    with pytest.raises(Refusal, match=f"failed: {reason} "):
        shell.run(*command, timeout=0.3)


def test_docker_means_the_local_engine_whatever_the_caller_uses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://elsewhere:2375")
    monkeypatch.setenv("DOCKER_CONTEXT", "elsewhere")
    env = shell.environment({"MORE": "1"})
    assert (env["DOCKER_HOST"], env["MORE"]) == ("unix:///var/run/docker.sock", "1")
    assert "DOCKER_CONTEXT" not in env


def test_progress_is_said_line_by_line_and_a_failure_ends_with_the_last() -> None:
    said: list[str] = []
    shell.stream("sh", "-c", "echo one; echo two", timeout=5, env={}, say=said.append)
    assert said == ["one", "two"]
    with pytest.raises(Refusal, match="failed: not today"):
        shell.stream("sh", "-c", "echo not today >&2; exit 1", timeout=5, env={}, say=said.append)


def test_a_stream_that_does_not_end_is_ended() -> None:
    with pytest.raises(Refusal):
        shell.stream("sleep", "60", timeout=0.2, env={}, say=str)


def test_a_build_uses_the_hosts_network_and_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://proxy:3128")
    ran: list[tuple[str, ...]] = []
    monkeypatch.setattr(shell, "run", lambda *argv, **_: ran.append(argv))
    shell.build("name:1", b"FROM scratch", "--file", "Dockerfile.app")
    words = " ".join(ran[0])
    assert words.startswith("docker build --network host --build-arg http_proxy")
    assert words.endswith("--file Dockerfile.app --tag name:1 -")
    assert "3128" not in words, "a proxy's password must not stand in a process list"
