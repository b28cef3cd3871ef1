"""`prodbreaker plan`: what it prints, what it hides, how it ends; and which stacks a command line means."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from tests.unit.cli.conftest import Desk

SHOP = """\
services:
  web:
    image: nginx:1
    environment: {MODE: planted-env}
    command: serve --password planted-word
    depends_on: [db]
    deploy: {replicas: 2}
  db: {image: redis:7}
secrets: {token: {file: token}}
"""
SMALL = "services: {web: {image: nginx:1}}\n"


def test_a_plan_says_what_is_made_after_what_and_why(desk: Desk) -> None:
    desk.declare(SHOP)
    Path("manifests/token").write_text("planted-secret")

    ended = desk.run("plan")

    assert (ended.code, ended.err) == (0, "")
    assert ended.out.splitlines() == [
        "shop: 4 to create",
        "  + network shop_default (missing)",
        "  + config prodbreaker_state (missing)",
        "  + service shop_db (missing); its tasks start",
        "  + service shop_web (missing, after shop_db); its tasks start",
        "  ! secret shop_token: is made once the cluster has its key (waits for what it depends on)",
    ]
    assert desk.writes == []


def test_changes_are_shown_field_by_field_and_secrets_never(desk: Desk) -> None:
    desk.declare(SHOP)
    Path("manifests/token").write_text("planted-secret")
    assert desk.run("apply", "--quiet").code == 0
    edited = (
        SHOP.replace("planted-env", "planted-new").replace("planted-word", "planted-too").replace("replicas: 2", "replicas: 3")
    )
    desk.declare(edited.replace("image: nginx:1", "image: nginx:2\n    user: www"))

    text, form = desk.run("plan"), desk.run("plan", "-o", "json")

    assert text.out.splitlines()[:2] == [
        "shop: 1 to update",
        "  ~ service shop_web (edited); every task is replaced, one update after another",
    ]
    assert "      environment.MODE: <masked> (differs)" in text.out
    assert "      user: + www" in text.out
    assert "planted" not in text.out + form.out
    (plan,) = form.json
    (action,) = plan["actions"]
    assert (plan["stack"], action["verb"], action["name"], action["reason"]) == ("shop", "update", "shop_web", "edited")
    assert {"field": "user", "old": None, "new": "www"} in action["changes"]


def test_a_setting_that_is_no_longer_declared_shows_its_old_value(desk: Desk) -> None:
    desk.declare("services: {web: {image: nginx:1, user: www, deploy: {replicas: 2}}}")
    assert desk.run("apply", "-q").code == 0
    desk.declare("services: {web: {image: nginx:1, deploy: {replicas: 3}}}")

    lines = desk.run("plan").out.splitlines()

    assert "      user: - www" in lines
    assert any(line.endswith(": 2 -> 3") for line in lines)


def test_the_detailed_exit_code_tells_changes_from_none(desk: Desk) -> None:
    desk.declare(SMALL)
    assert desk.run("plan").code == 0
    assert desk.run("plan", "--detailed-exitcode").code == 2
    assert desk.run("apply", "--detach").code == 0
    ended = desk.run("plan", "--detailed-exitcode")
    assert (ended.code, ended.out) == (0, "shop: nothing to do\n")


def test_what_is_left_alone_is_told_with_its_changes_and_is_no_change(desk: Desk) -> None:
    desk.declare("services: {web: {image: nginx:1, x-prodbreaker: {drift: report}}}")
    assert desk.run("apply", "--detach").code == 0
    live = desk.swarm(lambda: desk.sim.service("shop_web"))
    spec = desk.spec("shop_web")
    container = {**spec["TaskTemplate"]["ContainerSpec"], "User": "root"}
    drifted = {**spec, "TaskTemplate": {**spec["TaskTemplate"], "ContainerSpec": container}}
    desk.swarm(lambda: desk.sim.services.update("shop_web", live.version, drifted, api=(1, 47)))

    ended = desk.run("plan", "--detailed-exitcode")

    assert ended.code == 0
    assert ended.out.splitlines()[0] == "shop: nothing to write"
    assert "  ! service shop_web: " in ended.out
    assert "(drift is only reported)" in ended.out
    assert "      user: - root" in ended.out


def test_prune_is_planned_when_asked_for(desk: Desk) -> None:
    desk.declare("services: {web: {image: nginx:1}, old: {image: nginx:1}}")
    assert desk.run("apply", "--detach").code == 0
    desk.declare(SMALL)

    assert "- service" not in desk.run("plan").out
    assert "  - service shop_old (not declared); its tasks stop" in desk.run("plan", "--prune").out


def test_every_stack_of_a_folder_is_planned_or_the_one_that_is_named(desk: Desk) -> None:
    desk.declare(SMALL, stack="blog")
    desk.declare(SMALL, stack="shop")

    assert [plan["stack"] for plan in desk.run("plan", "-o", "json").json] == ["blog", "shop"]
    assert [plan["stack"] for plan in desk.run("plan", "-o", "json", "--stack", "shop").json] == ["shop"]
    assert [plan["stack"] for plan in desk.run("plan", "-o", "json", "--manifests", "manifests").json] == ["blog", "shop"]


def test_files_are_merged_and_the_first_names_the_stack(desk: Desk) -> None:
    Path("one.yml").write_text(SMALL)
    Path("over.yml").write_text("services: {web: {deploy: {replicas: 4}}}")

    assert "service one_web" in desk.run("plan", "-c", "one.yml", "-c", "over.yml").out
    assert "service two_web" in desk.run("plan", "-c", "one.yml", "--stack", "two").out
    assert desk.run("apply", "-d", "-c", "one.yml", "-c", "over.yml").code == 0
    assert desk.spec("one_web")["Mode"] == {"Replicated": {"Replicas": 4}}


def test_standard_input_needs_a_name(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(SMALL.encode())))

    nameless = desk.run("plan", "-c", "-")
    named = desk.run("plan", "-c", "-", "--stack", "piped")

    assert (nameless.code, nameless.err) == (1, "prodbreaker: standard input has no name: give --stack NAME\n")
    assert named.code == 0
    assert "service piped_web" in named.out


def test_warnings_go_to_standard_error_and_the_plan_stays_clean(desk: Desk) -> None:
    desk.declare("services: {web: {image: nginx:1, tmpfs: /run}}")

    ended = desk.run("plan", "-o", "json")

    assert ended.err == "manifests/shop.yml:1:34: warning: services.web.tmpfs: is ignored by Swarm\n"
    assert len(ended.json) == 1


@pytest.mark.parametrize("command", ["plan", "apply", "status"])
def test_without_a_folder_of_manifests_every_command_says_so(desk: Desk, command: str) -> None:
    ended = desk.run(command)

    assert (ended.code, ended.out) == (1, "")
    assert ended.err == "prodbreaker: manifests: No such file or directory\n"


def test_what_names_no_stack_is_one_clear_line(desk: Desk) -> None:
    Path("empty").mkdir()
    desk.declare(SMALL)

    for words, expected in (
        (["--manifests", "empty"], "empty holds no stack file (NAME.yml)"),
        (["--manifests", "empty", "--stack", "shop"], "empty holds no stack shop; it has: none"),
        (["--stack", "nope"], "manifests holds no stack nope; it has: shop"),
        (["-c", "manifests/shop.yml", "--manifests", "manifests"], "give either --compose-file or --manifests"),
        (["-c", "gone.yml"], "gone.yml:1:1: cannot be read: No such file or directory"),
    ):
        ended = desk.run("plan", *words)
        assert (ended.code, ended.out, ended.err) == (1, "", f"prodbreaker: {expected}\n")


def test_an_engine_that_does_not_answer_is_an_error_and_no_traceback(desk: Desk) -> None:
    desk.declare(SMALL)
    desk.swarm(desk.sim.take_away)

    ended = desk.run("plan")

    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith("prodbreaker: ")
    assert ended.err.count("\n") == 1
