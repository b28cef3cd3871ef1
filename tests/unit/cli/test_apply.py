"""`prodbreaker apply`: what it writes, what it says meanwhile, and how it ends."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from controller.cli.apply import TextProgress
from controller.model.plan import Action, ObjectKind, Reason, Verb
from controller.simulator.behaviour import CRASHING, MISSING, Behaviour
from controller.simulator.faults import Fault, Site
from controller.simulator.refusals import RefusalError
from tests.unit.cli.conftest import Desk

SHOP = "services: {web: {image: nginx:1, depends_on: [db], deploy: {replicas: 2}}, db: {image: redis:7}}\n"
SMALL = "services: {web: {image: nginx:1}}\n"
BROKEN = "services: {web: {image: nginx:1}, bad: {image: broken:1}}\n"
CLEAR = "\r\x1b[K"
SLOW = Behaviour(start_seconds=5.0)  # so that the first look after a write finds nothing running yet


@pytest.fixture
def terminal(desk: Desk) -> Desk:
    """A desk whose standard output is a terminal."""
    desk.has_terminal = True
    return desk


def test_a_first_apply_makes_the_stack_and_waits_until_it_runs(desk: Desk) -> None:
    desk.swarm(lambda: desk.sim.images.update({"nginx:1": SLOW, "redis:7": SLOW}))
    desk.declare(SHOP)

    ended = desk.run("apply")

    assert (ended.code, ended.err) == (0, "")
    assert ended.out.splitlines() == [
        "shop: 3 to create",
        "  + network shop_default (missing)",
        "  + service shop_db (missing); its tasks start",
        "  + service shop_web (missing, after shop_db); its tasks start",
        "  shop_web waits for shop_db",
        "  shop_web: 2/2 running",
        "shop: done, 3 written",
    ]
    assert desk.writes == ["create network/shop_default", "create service/shop_db", "create service/shop_web"]
    assert len(desk.swarm(lambda: desk.sim.running("shop_web"))) == 2


def test_apply_again_has_nothing_to_do(desk: Desk) -> None:
    desk.declare(SMALL)
    assert desk.run("apply").code == 0
    before = desk.writes

    ended = desk.run("apply")

    assert (ended.code, ended.out, desk.writes) == (0, "shop: nothing to do\n", before)


def test_an_edit_updates_what_it_concerns(desk: Desk) -> None:
    desk.declare(SHOP)
    assert desk.run("apply").code == 0
    desk.declare(SHOP.replace("redis:7", "redis:8"))

    ended = desk.run("apply")

    assert ended.code == 0
    assert ended.out.splitlines()[-1] == "shop: done, 1 written"
    assert desk.writes[3:] == ["update service/shop_db"]
    (task,) = desk.swarm(lambda: desk.sim.running("shop_db"))
    assert task.spec["ContainerSpec"]["Image"].startswith("redis:8@sha256:")


def test_stacks_of_a_folder_are_applied_one_after_the_other(desk: Desk) -> None:
    desk.declare(SMALL, stack="blog")
    desk.declare(SMALL, stack="shop")

    assert [line for line in desk.run("apply").out.splitlines() if line.endswith("written")] == [
        "blog: done, 2 written",
        "shop: done, 2 written",
    ]


def test_a_quiet_apply_says_nothing_when_all_is_well(desk: Desk) -> None:
    desk.declare(SMALL)

    ended = desk.run("apply", "--quiet")

    assert (ended.code, ended.out, ended.err) == (0, "", "")
    assert len(desk.swarm(lambda: desk.sim.running("shop_web"))) == 1


def test_a_detached_apply_ends_before_anything_runs(desk: Desk) -> None:
    desk.swarm(lambda: desk.sim.images.update({"broken:1": CRASHING}))
    desk.declare(BROKEN)

    ended = desk.run("apply", "--detach")

    assert ended.code == 0
    assert ended.out.splitlines()[-1] == "shop: done, 3 written"


def test_what_does_not_run_in_time_ends_with_3_and_the_tasks_error(desk: Desk) -> None:
    desk.swarm(lambda: desk.sim.images.update({"broken:1": MISSING, "nginx:1": SLOW}))
    desk.declare(BROKEN)

    ended = desk.run("apply", "--timeout", "1", "--resolve-image", "never")

    assert ended.code == 3
    assert ended.err.startswith("prodbreaker: not converged in ")
    assert "shop_bad: task 1 rejected: " in ended.err
    assert ended.out.count("  shop_bad: task 1 rejected: ") == 1  # told when it is new, not at every look
    assert "  shop_web: 1/1 running" in ended.out.splitlines()
    assert "done" not in ended.out


def test_what_the_engine_refuses_ends_with_1_and_its_reason(desk: Desk) -> None:
    desk.declare("services: {web: {image: nginx:1, deploy: {placement: {constraints: [nonsense]}}}}")

    ended = desk.run("apply")

    assert ended.code == 1
    assert ended.err.startswith("prodbreaker: create service shop_web: ")
    assert "constraint expected one operator" in ended.err
    assert "  + service shop_web (missing); its tasks start: refused: " in ended.out


def test_another_writer_in_between_is_told_and_outlived(desk: Desk) -> None:
    desk.declare(SMALL)
    assert desk.run("apply", "-d").code == 0
    desk.declare(SMALL.replace("nginx:1", "nginx:2"))
    stale = Fault(error=RefusalError(500, "rpc error: code = Unknown desc = update out of sequence"))
    first = Site("update", "service/shop_web", 1)
    desk.swarm(lambda: setattr(desk.sim.gate, "hook", lambda site: stale if site == first else None))

    ended = desk.run("apply")

    assert ended.code == 0
    assert sum(": superseded: " in line for line in ended.out.splitlines()) == 1
    assert ended.out.splitlines()[-1] == "shop: done, 1 written"


def test_a_large_plan_is_told_in_one_line(desk: Desk) -> None:
    desk.declare("services:\n" + "".join(f"  s{number}: {{image: nginx:1, deploy: {{replicas: 0}}}}\n" for number in range(50)))

    ended = desk.run("apply")

    assert ended.code == 0
    assert ended.out.splitlines() == ["shop: 51 to create", "shop: done, 51 written"]


def test_a_dependency_that_never_runs_is_waited_for_until_its_deadline(desk: Desk) -> None:
    desk.swarm(lambda: desk.sim.images.update({"redis:7": CRASHING}))
    desk.declare(SHOP.replace("depends_on", "x-prodbreaker: {rollback: {deadline: 200ms}}, depends_on"))

    ended = desk.run("apply", "--timeout", "0.8")

    assert ended.code == 3
    assert ended.err.splitlines()[0] == "shop_web: shop_db did not become healthy in time; created without"
    assert desk.writes[-1] == "create service/shop_web"


def test_on_a_terminal_the_last_line_lives_and_leaves_nothing_behind(terminal: Desk) -> None:
    terminal.swarm(lambda: terminal.sim.images.update({"nginx:1": SLOW}))
    terminal.declare("services:\n" + "".join(f"  s{number}: {{image: nginx:1}}\n" for number in range(6)))

    ended = terminal.run("apply")

    assert ended.code == 0
    assert f"{CLEAR}shop: 1 written" in ended.out
    assert f"{CLEAR}shop: waiting for shop_s0 0/1, shop_s1 0/1, shop_s2 0/1, shop_s3 0/1 …{CLEAR}" in ended.out
    assert "waiting" not in ended.out.rpartition(CLEAR)[2]
    assert ended.out.endswith("shop: done, 7 written\n")


def test_on_a_terminal_an_error_begins_on_a_line_of_its_own(terminal: Desk) -> None:
    terminal.swarm(lambda: terminal.sim.images.update({"broken:1": CRASHING}))
    terminal.declare(BROKEN)

    ended = terminal.run("apply", "--timeout", "0.3")

    assert ended.code == 3
    assert "waiting for shop_bad 0/1" in ended.out
    assert ended.out.endswith(CLEAR)


def test_a_warning_on_a_terminal_does_not_follow_the_living_line(capsys: pytest.CaptureFixture[str]) -> None:
    progress = TextProgress("shop", quiet=False, live=True)
    action = Action(Verb.CREATE, ObjectKind.SERVICE, "shop_web", Reason.MISSING)
    progress._live_line("shop: 1 written")

    progress.waited_enough(action, ["shop_db"])

    captured = capsys.readouterr()
    assert captured.out == f"{CLEAR}shop: 1 written{CLEAR}"
    assert captured.err.startswith("shop_web: shop_db did not become healthy")


@pytest.fixture
def interruptible() -> Iterator[None]:
    """As in a terminal: what a shell starts in the background ignores the signal."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_ends_the_wait_and_leaves_what_was_written(desk: Desk) -> None:
    desk.swarm(lambda: desk.sim.images.update({"broken:1": CRASHING}))
    desk.declare(BROKEN)

    def interrupt(site: Site) -> None:
        if site.operation == "list" and site.target == "task":
            os.kill(os.getpid(), signal.SIGINT)

    desk.swarm(lambda: setattr(desk.sim.gate, "hook", interrupt))

    ended = desk.run("apply")

    assert (ended.code, ended.err) == (130, "prodbreaker: interrupted\n")
    assert sorted(desk.writes) == ["create network/shop_default", "create service/shop_bad", "create service/shop_web"]
