"""In which order stacks are applied, when they count as healthy, and whose are left alone."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from scripts import stacks
from scripts.console import Progress, Refusal
from scripts.state import Made, load
from tests.unit.scripts.conftest import FakeHost


def service(name: str, running: int, desired: int) -> dict[str, Any]:
    return {"Spec": {"Name": name}, "ServiceStatus": {"RunningTasks": running, "DesiredTasks": desired}}


def test_a_controller_that_runs_gets_the_new_variables_before_the_application() -> None:
    assert stacks.order(controller_runs=True) == ["prodbreaker", "shop"]
    assert stacks.order(controller_runs=False) == ["shop", "prodbreaker"]


@pytest.mark.parametrize(
    ("services", "waiting"),
    [
        ([], ["no services"]),
        ([service("shop_web", 2, 3), service("shop_redis", 1, 1)], ["shop_web 2/3"]),
        ([{"Spec": {"Name": "shop_web"}}], ["shop_web 0/1"]),
        ([service("shop_web", 3, 3), service("shop_job", 0, 0)], []),
        ([{**service("shop_web", 3, 3), "UpdateStatus": {"State": "updating"}}], ["shop_web updating"]),
        ([{**service("shop_web", 3, 3), "UpdateStatus": {"State": "rollback_completed"}}], []),
    ],
)
def test_a_stack_is_ready_when_every_replica_runs(services: list[dict[str, Any]], waiting: list[str]) -> None:
    assert stacks.unready(services) == waiting


@pytest.fixture
def _healthy(fake_host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stacks, "port_is_free", lambda *_, **__: True)
    monkeypatch.setattr(stacks, "_page_answers", lambda _: True)
    monkeypatch.setattr(stacks, "unready", lambda _: [])


@pytest.mark.usefixtures("_healthy")
def test_stacks_as_declared_are_planned_and_not_applied(fake_host: FakeHost, made: Made, progress: Progress) -> None:
    stacks.ensure(made, {}, progress)
    assert [command.split()[1] for command in fake_host.ran] == ["plan", "plan"]
    assert (progress.changes, load(made.path).stacks) == ([], ["shop", "prodbreaker"])


@pytest.mark.usefixtures("_healthy")
def test_a_stack_that_differs_is_applied(
    fake_host: FakeHost, made: Made, progress: Progress, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_host.failing[f"{stacks.PRODBREAKER} plan -c manifests/shop.yml"] = "changes"
    streamed: list[tuple[str, ...]] = []
    monkeypatch.setattr(stacks, "stream", lambda *argv, **_: streamed.append(argv[1:]))
    stacks.ensure(made, {}, progress)
    assert streamed == [("apply", "-c", "manifests/shop.yml", "--stack", "shop", "--timeout", "240")]


def test_a_stack_of_the_same_name_that_was_there_before_is_refused(fake_host: FakeHost, made: Made, progress: Progress) -> None:
    fake_host.api["/services"] = [service("shop_web", 1, 1)]
    with pytest.raises(Refusal, match="is here already, not made by make up"):
        stacks.ensure(made, {}, progress)
    assert (fake_host.ran, made.stacks) == ([], [])


def test_a_taken_port_is_refused_before_anything_is_applied(
    fake_host: FakeHost, made: Made, progress: Progress, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("", 0)) as taken:
        monkeypatch.setattr(stacks, "PORTS", {"shop": taken.getsockname()[1]})
        with pytest.raises(Refusal, match="is taken by something else"):
            stacks.ensure(made, {}, progress)
    assert fake_host.ran == []


def test_a_stack_that_does_not_become_healthy_is_refused_with_what_the_engine_says(
    fake_host: FakeHost, progress: Progress, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stacks, "PATIENCE", 0.0)
    fake_host.api["/services"] = [service("shop_web", 1, 3)]
    fake_host.api["/tasks"] = [{"Status": {"Err": "No such image"}}, {"Status": {}}]
    with pytest.raises(Refusal, match=r"shop_web 1/3; the engine says: No such image"):
        stacks.wait_until_healthy("shop", progress)


def test_secrets_are_made_once_and_read_by_root_alone(
    fake_host: FakeHost, made: Made, progress: Progress, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(stacks, "FOLDER", tmp_path)
    fake_host.api["/secrets"] = []
    fake_host.printing["docker secret create"] = "id1\n"
    stacks.ensure_secrets(made, "postgres:15", progress)
    for name in stacks.SECRETS:
        file = tmp_path / name
        assert (file.stat().st_mode & 0o777, len(file.read_text())) == (0o600, 43)
        assert file.read_text() not in " ".join(fake_host.ran)
    assert load(made.path).secrets == ["id1"] * len(stacks.SECRETS)
    fake_host.api["/secrets"] = [{"Spec": {"Name": name}} for name in stacks.SECRETS]
    stacks.ensure_secrets(made, "postgres:15", progress)
    assert len(progress.changes) == len(stacks.SECRETS)


def test_a_database_that_outlived_its_stack_is_given_the_password_of_the_new_one(
    fake_host: FakeHost, made: Made, progress: Progress, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(stacks, "FOLDER", tmp_path)
    (tmp_path / stacks.PASSWORD).write_text("kept")
    fake_host.api |= {"/secrets": [], f"/volumes/{stacks.DATABASE_VOLUME}": {"Name": stacks.DATABASE_VOLUME}}
    stacks.ensure_secrets(made, "at/postgres:15", progress)
    (command,) = [command for command in fake_host.ran if command.startswith("docker run")]
    assert f"{stacks.DATABASE_VOLUME}:/var/lib/postgresql/data at/postgres:15" in command
    assert "ALTER ROLE shop" in command
    assert "kept" not in command
    assert (tmp_path / stacks.PASSWORD).read_text() == "kept"


def test_the_controller_has_gone_altogether_before_the_application_is_removed(
    fake_host: FakeHost, made: Made, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    polls = {"prodbreaker": 3, "shop": 2}  # how often each is still seen once it was told to go

    def seen(stack: str) -> bool:
        if f"docker stack rm {stack}" in fake_host.ran:
            polls[stack] -= 1
        return polls[stack] > 0

    still_there: list[dict[str, int]] = []
    fake_host.on_run = lambda _: still_there.append(dict(polls))
    monkeypatch.setattr(stacks, "_leftovers", seen)
    monkeypatch.setattr(stacks, "FOLDER", tmp_path)
    monkeypatch.setattr("time.sleep", lambda _: None)
    made.stacks, made.secrets = ["shop", "prodbreaker"], ["id1"]
    fake_host.api["/secrets/id1"] = {}
    for name in stacks.SECRETS:
        (tmp_path / name).touch()
    stacks.remove(made)
    assert [file.name for file in tmp_path.iterdir() if file.name in stacks.SECRETS] == [stacks.PASSWORD], (
        "its database stays too"
    )
    assert fake_host.ran == ["docker stack rm prodbreaker", "docker stack rm shop", "docker secret rm id1"]
    assert still_there[1]["prodbreaker"] == 0
    assert (made.stacks, made.secrets) == ([], [])


def test_a_stack_that_make_up_did_not_make_is_not_removed(
    fake_host: FakeHost, made: Made, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(stacks, "FOLDER", tmp_path)
    monkeypatch.setattr(stacks, "_leftovers", lambda _: True)
    stacks.remove(made)
    assert fake_host.ran == []
