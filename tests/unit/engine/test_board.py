"""How every declared service stands, and since when it moves."""

from __future__ import annotations

from controller.engine.board import Board
from controller.model.status import Health, Key, ServiceStatus, Sync

WEB, DB, OTHER = Key("shop", "web"), Key("shop", "db"), Key("more", "x")


def status(name: str, health: Health = Health.HEALTHY, running: int = 1) -> ServiceStatus:
    return ServiceStatus(name, Sync.SYNCED, health, running, 3)


def test_a_status_is_news_only_when_it_differs() -> None:
    board = Board()

    assert board.post(WEB, status("shop_web"), 0)
    assert not board.post(WEB, status("shop_web"), 1)
    assert board.post(WEB, status("shop_web", running=2), 2)


def test_statuses_are_told_by_name_of_one_stack_or_of_all() -> None:
    board = Board()
    for key, name in ((WEB, "shop_web"), (OTHER, "more_x"), (DB, "shop_db")):
        board.post(key, status(name), 0)

    assert [item.name for item in board.statuses()] == ["more_x", "shop_db", "shop_web"]
    assert [item.name for item in board.statuses("shop")] == ["shop_db", "shop_web"]


def test_what_moves_is_known_with_the_time_of_its_last_progress() -> None:
    board = Board()
    board.post(WEB, status("shop_web", Health.PROGRESSING), 10)
    board.post(WEB, status("shop_web", Health.PROGRESSING), 20)
    assert board.moving() == {WEB: 10}
    board.post(WEB, status("shop_web", Health.PROGRESSING, running=2), 30)
    assert board.moving() == {WEB: 30}
    board.post(WEB, status("shop_web"), 40)
    assert board.moving() == {}


def test_what_lacks_replicas_for_too_long_is_degraded_until_it_has_them() -> None:
    board = Board()
    short = status("shop_web", Health.PROGRESSING)

    found = []
    for now in (0, 50, 99, 100, 200):
        board.post(WEB, short, now, patience_seconds=100)
        found.append(board.statuses()[0].health)
    board.post(WEB, status("shop_web", running=3), 300, patience_seconds=100)
    board.post(WEB, short, 301, patience_seconds=100)

    assert found == [Health.PROGRESSING] * 3 + [Health.DEGRADED] * 2
    assert board.statuses()[0].health is Health.PROGRESSING


def test_an_update_with_all_replicas_up_progresses_however_long_it_takes() -> None:
    board = Board()
    for now in (0, 1000):
        board.post(WEB, status("shop_web", Health.PROGRESSING, running=3), now, patience_seconds=100)

    assert board.statuses()[0].health is Health.PROGRESSING


def test_what_is_taken_down_neither_stands_nor_moves() -> None:
    board = Board()
    for key, name in ((WEB, "shop_web"), (DB, "shop_db")):
        board.post(key, status(name, Health.PROGRESSING), 0)
    board.remove(DB)
    board.remove(DB)

    assert [item.name for item in board.statuses()] == ["shop_web"]
    assert board.moving() == {WEB: 0}


def test_a_shortage_lasts_until_all_replicas_are_up() -> None:
    board = Board()
    for now, running in ((10, 3), (20, 1), (30, 2)):
        board.post(WEB, status("shop_web", Health.PROGRESSING, running=running), now, patience_seconds=5)

    posted = board.status(WEB)
    assert (board.short_since(WEB), posted and posted.health) == (20, Health.DEGRADED)

    board.post(WEB, status("shop_web", Health.HEALTHY, running=3), 40)

    assert board.short_since(WEB) is None
    assert board.status(DB) is None
