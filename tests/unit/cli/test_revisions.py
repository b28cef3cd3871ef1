"""`prodbreaker history`, `rollback` and `release` on a Swarm that runs."""

from __future__ import annotations

import re

import pytest

from controller.core.revisions import config_name
from controller.model.plan import ObjectKind
from controller.simulator.behaviour import CRASHING
from tests.unit.cli.conftest import Desk

SHOP = "services: {web: {image: nginx:1, environment: {TOKEN: hush}}, db: {image: redis:7}}\n"
EDITED = SHOP.replace("nginx:1", "nginx:2").replace("hush", "husher")


@pytest.fixture
def shop(desk: Desk) -> Desk:
    """A stack whose web was edited once."""
    desk.declare(SHOP)
    assert desk.run("apply").code == 0
    desk.declare(EDITED)
    assert desk.run("apply").code == 0
    return desk


def image(desk: Desk) -> str:
    found: str = desk.spec("shop_web")["TaskTemplate"]["ContainerSpec"]["Image"]
    return found.partition("@")[0]


def history(desk: Desk, name: str = "shop/web") -> list[str]:
    """Without times."""
    return [re.sub(r"20..-..-.. ..:..:..  ", "", line) for line in desk.run("history", name).out.splitlines()]


def labels(desk: Desk, number: int) -> dict[str, str]:
    found = desk.swarm(lambda: desk.sim.inspect(ObjectKind.CONFIG, config_name("shop_web", number)))
    return dict(found["Spec"]["Labels"])


def test_a_service_that_was_never_edited_has_one_line_the_live_one(shop: Desk) -> None:
    assert history(shop, "shop/db")[1:] == ["-       -      *     not kept: no edit of it was seen yet"]
    (only,) = shop.run("history", "shop_db", "-o", "json").json["revisions"]
    assert (only["number"], only["state"], only["live"]) == (None, None, True)


@pytest.mark.parametrize("name", ["shop/web", "shop_web"])
def test_a_history_shows_what_each_revision_changed_without_its_secrets(shop: Desk, name: str) -> None:
    head, first, second, *changes = history(shop, name)

    assert head.split() == ["NUMBER", "SINCE", "STATE", "LIVE", "WHY"]
    assert first.split(maxsplit=2) == ["1", "superseded", "it did not run in full when it was edited"]
    assert second.split() == ["2", "progressing", "*"]
    assert [line.split(":")[0].strip() for line in changes] == [
        "deploy.labels.com.docker.stack.image", "environment.TOKEN", "image",
    ]  # fmt: skip
    assert "hush" not in "".join(changes)


def test_a_rollback_without_a_controller_is_carried_out_and_waited_for(shop: Desk) -> None:
    ended = shop.run("rollback", "shop/web", "--to", "1")

    assert (ended.code, ended.err) == (0, "")
    first, plan, action, *_, last = ended.out.splitlines()
    assert first == "shop_web: revision 2 is refused; revision 1 takes its place"
    assert (plan, action.split(";")[0]) == ("shop: 1 to update", "  ~ service shop_web (rolled back)")
    assert last == "shop_web: revision 1 runs"
    assert image(shop) == "nginx:1"
    assert history(shop)[2].split(maxsplit=2) == ["2", "failed", "rolled back by hand; back to 1"]
    refused = shop.run("apply")
    assert refused.code == 1
    assert "service shop_web: revision 2 is bad (rolled back by hand); revision 1 takes its place" in refused.err
    assert image(shop) == "nginx:1"


def test_a_rollback_twice_in_a_row_writes_once(shop: Desk) -> None:
    assert shop.run("rollback", "shop_web", "--to", "1").code == 0
    writes = shop.writes

    again = shop.run("rollback", "shop_web", "--to", "1")

    assert (again.code, shop.writes) == (0, writes)
    assert again.out.splitlines() == [
        "shop_web: revision 2 is refused already; revision 1 takes its place",
        "shop_web: revision 1 runs",
    ]


def test_a_released_revision_goes_out_with_the_next_apply(shop: Desk) -> None:
    shop.run("rollback", "shop/web", "--to", "1")

    assert shop.run("release", "shop/web").out == "shop_web: revision 2 is released\n"
    assert shop.run("release", "shop/web").out == "shop_web: no revision is refused\n"
    assert shop.run("release", "shop/web", "--revision", "1").out == "shop_web: revision 1 is not refused\n"
    assert shop.run("apply").code == 0
    assert image(shop) == "nginx:2"
    assert [line.split()[1] for line in history(shop) if line[0] in "123"] == ["superseded", "superseded", "progressing"]


def test_a_rollback_whose_target_is_bad_ends_as_not_converged(shop: Desk) -> None:
    shop.swarm(lambda: shop.sim.images.update({"nginx:1": CRASHING}))

    ended = shop.run("rollback", "shop/web", "--to", "1")

    assert ended.code == 3
    assert ended.err.startswith("prodbreaker: shop_web: its update is paused: task ")


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("rollback", "shop/db"), "shop_db has no revisions yet: they are kept from its first edit on"),
        (("rollback", "shop/web"), "there is no other stable revision to go back to; it has 1 (superseded), 2 (progr"),
        (("rollback", "shop/web", "--to", "2"), "shop_web: revision 2 is what is declared already"),
        (("rollback", "shop/web", "--to", "7"), "shop_web has no revision 7; it has 1 (superseded), 2 (progressing)"),
        (("rollback", "shop/nothing"), "no service shop/nothing is declared"),
        (("rollback", "shop_nothing"), "no service shop_nothing is declared"),
        (("rollback", "no/web"), "holds no stack no"),
        (("history", "shop/nothing"), "there is no service shop_nothing, and there are no revisions of it"),
        (("release", "shop/nothing"), "there is no service shop_nothing, and there are no revisions of it"),
        (("release", "shop/web", "--revision", "9"), "shop_web has no revision 9"),
        (("history", "a/b/c"), "'a/b/c' is neither STACK/SERVICE nor the real name of a service"),
        (("history", "/web"), "'/web' is neither STACK/SERVICE nor"),
        (("history", "shop/"), "'shop/' is neither STACK/SERVICE nor"),
    ],
)
def test_what_cannot_be_done_is_an_error_that_says_why(shop: Desk, words: tuple[str, ...], reason: str) -> None:
    before = shop.writes

    ended = shop.run(*words)

    assert ended.code == 1
    assert reason in ended.err
    assert shop.writes == before
    assert labels(shop, 2)["prodbreaker.rev.state"] == "progressing"


def test_an_edit_that_has_not_gone_out_is_not_gone_back_from(shop: Desk) -> None:
    shop.declare(SHOP.replace("nginx:1", "nginx:3"))

    ended = shop.run("rollback", "shop/web", "--to", "1")

    assert ended.code == 1
    assert "what is declared has not gone out yet" in ended.err


def test_a_real_name_that_two_stacks_declare_is_asked_back(shop: Desk) -> None:
    shop.declare("services: {c: {image: nginx:1}}\n", stack="a_b")
    shop.declare("services: {b_c: {image: nginx:1}}\n", stack="a")

    ended = shop.run("rollback", "a_b_c")

    assert ended.code == 1
    assert "a_b_c is declared twice: a/b_c and a_b/c" in ended.err


@pytest.mark.parametrize("number", ["0", "-1", "two", "9" * 20])
def test_a_number_of_no_revision_is_a_wrong_command_line(desk: Desk, number: str) -> None:
    with pytest.raises(SystemExit) as ended:
        desk.run("rollback", "shop/web", f"--to={number}")

    assert ended.value.code == 1
