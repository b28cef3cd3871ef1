"""`prodbreaker status`, `pause` and `resume` on a Swarm that runs."""

from __future__ import annotations

import pytest

from controller.core.state import new_state, with_guards
from controller.model.plan import ObjectKind
from tests.unit.cli.conftest import Desk

SHOP = "services: {web: {image: nginx:1, deploy: {replicas: 2}}, db: {image: redis:7}}\n"
EDITED = SHOP.replace("redis:7", "redis:8")


@pytest.fixture
def shop(desk: Desk) -> Desk:
    """A stack as declared, and running."""
    desk.declare(SHOP)
    assert desk.run("apply").code == 0
    return desk


def words(desk: Desk, *command: str) -> list[list[str]]:
    return [line.split(maxsplit=4) for line in desk.run("status", *command).out.splitlines()]


def test_status_of_what_is_not_there_yet(desk: Desk) -> None:
    desk.declare(SHOP)

    assert words(desk) == [
        ["SERVICE", "SYNC", "HEALTH", "REPLICAS"],
        ["shop_db", "OutOfSync", "Missing", "0/0", "is not there"],
        ["shop_web", "OutOfSync", "Missing", "0/0", "is not there"],
    ]


def test_status_is_a_table_of_aligned_columns(shop: Desk) -> None:
    assert shop.run("status").out.splitlines() == [
        "SERVICE   SYNC    HEALTH   REPLICAS",
        "shop_db   Synced  Healthy  1/1",
        "shop_web  Synced  Healthy  2/2",
    ]


def test_status_as_json_has_the_same_words(shop: Desk) -> None:
    shop.declare(EDITED)

    db, web = shop.run("status", "-o", "json").json

    assert db == {"name": "shop_db", "sync": "OutOfSync", "health": "Healthy", "running": 1, "desired": 1, "message": ""}
    assert (web["name"], web["sync"], web["running"], web["desired"]) == ("shop_web", "Synced", 2, 2)


def test_a_paused_service_is_suspended_and_written_again_only_when_resumed(shop: Desk) -> None:
    paused = shop.run("pause", "shop/db")
    shop.declare(EDITED)

    assert (paused.code, paused.out) == (0, "shop/db: paused; nothing is written until it is resumed\n")
    assert [row[2] for row in words(shop)[1:]] == ["Suspended", "Healthy"]
    refused = shop.run("apply")
    assert refused.code == 1
    assert "service shop_db: " in refused.err
    assert "paused" in refused.err
    assert shop.spec("shop_db")["TaskTemplate"]["ContainerSpec"]["Image"].startswith("redis:7@")

    resumed = shop.run("resume", "shop/db")

    assert (resumed.code, resumed.out) == (0, "shop/db: resumed\n")
    assert shop.run("apply").code == 0
    assert shop.spec("shop_db")["TaskTemplate"]["ContainerSpec"]["Image"].startswith("redis:8@")


def test_a_paused_stack_suspends_all_of_its_services(shop: Desk) -> None:
    assert shop.run("pause", "shop").code == 0
    assert shop.run("pause", "shop").code == 0  # twice is no error
    assert [row[2] for row in words(shop)[1:]] == ["Suspended", "Suspended"]
    assert shop.run("resume", "shop").code == 0
    assert [row[2] for row in words(shop)[1:]] == ["Healthy", "Healthy"]


def test_a_stack_whose_file_pauses_it_is_suspended_too(shop: Desk) -> None:
    shop.declare(f"{SHOP}x-prodbreaker: {{paused: true}}\n")

    assert [row[2] for row in words(shop)[1:]] == ["Suspended", "Suspended"]


def test_resume_says_why_a_service_was_held(shop: Desk) -> None:
    state = with_guards(new_state(b"k"), {"shop/web": "2026-01-01T00:00:00+00:00 5 corrections in 600 s did not last"}, {})
    shop.swarm(lambda: shop.sim.create(ObjectKind.CONFIG, state))

    told = "shop/web: resumed (was held: 2026-01-01T00:00:00+00:00 5 corrections in 600 s did not last)\n"
    assert shop.run("resume", "shop/web").out == told
    assert shop.run("resume", "shop/web").out == "shop/web: resumed\n"


@pytest.mark.parametrize("command", ["pause", "resume"])
@pytest.mark.parametrize("target", ["", "/web", "shop/", "shop/web/1"])
def test_what_is_neither_a_stack_nor_a_service_is_refused_unwritten(desk: Desk, command: str, target: str) -> None:
    ended = desk.run(command, target)

    assert (ended.code, ended.out) == (1, "")
    assert ended.err == f"prodbreaker: {target!r} is neither STACK nor STACK/SERVICE\n"
    assert desk.writes == []
