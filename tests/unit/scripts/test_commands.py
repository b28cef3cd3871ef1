"""What a person reads who calls make up and make down."""

from __future__ import annotations

import pytest

from scripts import down, up
from scripts.console import Progress, Refusal, guarded
from scripts.images import Images
from scripts.processes import Daemon
from scripts.state import Made
from tests.unit.scripts.conftest import FakeHost


def test_a_step_tells_what_it_does_and_whether_it_changed_anything() -> None:
    lines: list[str] = []
    progress = Progress(2, write=lines.append)
    with progress.step("Engine"):
        progress.note("found")
    with progress.step("Swarm"):
        progress.change("docker swarm init")
    assert [line.partition(" (")[0].strip() for line in lines] == [
        "[1/2] Engine", "found", "already there", "[2/2] Swarm", "docker swarm init", "done",
    ]  # fmt: skip
    assert progress.changes == ["docker swarm init"]


@pytest.fixture
def _nothing_to_do(monkeypatch: pytest.MonkeyPatch, made: Made) -> None:
    monkeypatch.setattr("sys.argv", ["up"])
    monkeypatch.setattr(up, "load", lambda: made)
    for name in ("host.check", "host.elevate", "python_env.ensure", "engine.ensure", "swarm.ensure"):
        monkeypatch.setattr(f"scripts.{name}", lambda *_: None)
    monkeypatch.setattr("scripts.registry.ensure", lambda *_: "127.0.0.1:5000")
    monkeypatch.setattr("scripts.images.ensure_bases", lambda *_: Images("python", "postgres", "redis", "nginx"))
    monkeypatch.setattr("scripts.images.ensure_ours", lambda *_: Images("p", "pg", "r", "n", "a", "c"))
    for name in ("ensure_secrets", "ensure"):
        monkeypatch.setattr(f"scripts.stacks.{name}", lambda *_: None)
    monkeypatch.setattr("scripts.stacks.variables", dict)


@pytest.mark.usefixtures("_nothing_to_do")
def test_up_again_says_that_there_is_nothing_to_do_and_where_everything_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert up.main() == 0
    said = capsys.readouterr().out
    assert "Nothing to do: everything runs already" in said
    assert "http://127.0.0.1:8080" in said
    assert "docker service rm shop_web" in said


@pytest.mark.parametrize(
    ("fault", "code", "sentence"),
    [
        (Refusal("This node is a worker of a Swarm."), 1, "This node is a worker of a Swarm."),
        (OSError(28, "No space left on device"), 1, "[Errno 28] No space left on device."),
        (KeyboardInterrupt(), 130, "interrupted; the next run goes on from here."),
    ],
)
def test_whatever_stops_a_command_is_one_sentence_and_an_exit_code(
    fault: BaseException, code: int, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def work() -> int:
        raise fault

    assert guarded("make up", work) == code
    assert capsys.readouterr().err == f"make up: {sentence}\n"


@pytest.fixture
def taken_away(monkeypatch: pytest.MonkeyPatch, fake_host: FakeHost) -> list[str]:
    gone: list[str] = []
    for name in ("stacks.remove", "images.remove", "engine.forget_mirror", "registry.stop", "swarm.leave", "engine.stop"):
        monkeypatch.setattr(f"scripts.{name}", lambda _, name=name: gone.append(name))
    monkeypatch.setattr("scripts.engine_api.answers", lambda: True)
    return gone


def test_down_takes_away_what_up_made_the_engine_last(taken_away: list[str], made: Made) -> None:
    made.stacks, made.swarm, made.engine, made.registry = ["shop"], "c1", Daemon(7, 1), Daemon(8, 1)
    down.take_away(made)
    assert taken_away == [
        "stacks.remove",
        "images.remove",
        "engine.forget_mirror",
        "registry.stop",
        "swarm.leave",
        "engine.stop",
    ]


def test_down_leaves_an_engine_and_a_swarm_that_were_there(taken_away: list[str], made: Made) -> None:
    down.take_away(made)
    assert not {"swarm.leave", "engine.stop"} & set(taken_away)


@pytest.mark.parametrize(
    "others", [{"/services": [{"Spec": {"Name": "theirs"}}]}, {"/containers/json": [{"Names": ["/theirs"]}]}]
)
def test_down_keeps_our_engine_under_what_others_run_in_it(
    taken_away: list[str], fake_host: FakeHost, made: Made, others: dict[str, object], capsys: pytest.CaptureFixture[str]
) -> None:
    made.swarm, made.engine = "c1", Daemon(7, 1)
    fake_host.api |= others
    down.take_away(made)
    assert not {"swarm.leave", "engine.stop"} & set(taken_away)
    assert "stays, for others use it" in capsys.readouterr().out


def test_down_without_an_engine_that_answers_still_ends_our_processes(
    taken_away: list[str], made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scripts.engine_api.answers", lambda: False)
    made.stacks, made.engine = ["shop"], Daemon(7, 1)
    down.take_away(made)
    assert taken_away == ["engine.forget_mirror", "registry.stop", "engine.stop"]
