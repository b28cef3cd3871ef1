"""What the journal keeps, and how it takes damage, full disks and crowds."""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from controller.adapters.journal import SqliteJournal
from controller.adapters.journal import file as file_module
from controller.engine.records import ActionOutcome, ActionRecord, PassRecord, PassResult
from controller.errors import JournalError
from controller.model.plan import Change, ObjectKind, Reason, Verb
from tests.unit.adapters.conftest import Open


def _action(name: str = "shop_web", key: str = "shop/web", **more: object) -> ActionRecord:
    fields: dict[str, object] = {
        "reconcile_id": "r1",
        "key": key,
        "verb": Verb.UPDATE,
        "kind": ObjectKind.SERVICE,
        "name": name,
        "reason": Reason.DRIFT,
        "outcome": ActionOutcome.DONE,
        "time": 1000.5,
        "seconds": 0.25,
        **more,
    }
    return ActionRecord(**fields)  # type: ignore[arg-type] # built from parts


def _pass(result: PassResult, *, key: str = "shop/web", started: float = 0.0, reason: str = "") -> PassRecord:
    return PassRecord("r1", key, started, 0.1, result, reason)


def _results(path: Path) -> list[str]:
    with sqlite3.connect(path) as connection:
        found = [row[0] for row in connection.execute("SELECT result FROM passes ORDER BY id")]
    connection.close()
    return found


async def test_actions_come_back_newest_first_and_whole(opened: Open) -> None:
    journal = await opened()
    changes = (Change("image", None, "app:2"), Change("environment.A", "***", "***"))
    first = _action(changes=changes, message="Grüße", outcome=ActionOutcome.UNKNOWN)
    await journal.record_action(first)
    await journal.record_action(_action("shop_db", "shop/db"))

    assert await journal.recent_actions(limit=5) == [_action("shop_db", "shop/db"), first]
    assert await journal.recent_actions(limit=1) == [_action("shop_db", "shop/db")]
    assert await journal.recent_actions(limit=5, key="shop/web") == [first]
    assert await journal.recent_actions(limit=5, key="' OR 1=1 --") == []


async def test_what_was_recorded_outlives_the_process(opened: Open) -> None:
    journal = await opened()
    await journal.record_action(_action())
    await journal.note("salt", "1")
    await journal.close()

    again = await opened()

    assert await again.recent_actions(limit=5) == [_action()]
    assert await again.notes() == {"salt": "1"}


async def test_what_was_recorded_outlives_a_kill(path: Path, opened: Open) -> None:
    code = f"""
import asyncio, os, pathlib, signal
from controller.adapters.journal import SqliteJournal
async def main():
    journal = SqliteJournal(pathlib.Path({str(path)!r}))
    for number in range(20):
        await journal.note(f"n{{number}}", "x")
    os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(main())
"""
    done = await asyncio.to_thread(subprocess.run, [sys.executable, "-c", code], check=False)

    assert done.returncode == -9
    assert len(await (await opened()).notes()) == 20


async def test_a_note_replaces_the_one_before(opened: Open) -> None:
    journal = await opened()
    for name, value in (("memory:a", "1"), ("memory:a", "2"), ("salt", "s")):
        await journal.note(name, value)

    assert await journal.notes(prefix="memory:") == {"memory:a": "2"}


async def test_at_rest_nothing_is_written(opened: Open, path: Path) -> None:
    journal = await opened()
    before = [file.stat().st_mtime_ns for file in sorted(path.parent.iterdir())]

    for number in range(100):
        await journal.record_pass(_pass(PassResult.UNCHANGED, key=f"s/{number % 10}", started=number * 30.0))

    assert [file.stat().st_mtime_ns for file in sorted(path.parent.iterdir())] == before


async def test_only_passes_that_say_something_new_are_written(opened: Open, path: Path) -> None:
    journal = await opened()
    told = [
        (PassResult.UNCHANGED, 0.0, ""),
        (PassResult.CHANGED, 1.0, ""),
        (PassResult.CHANGED, 2.0, ""),
        (PassResult.UNCHANGED, 3.0, "event"),  # it was changed before
        (PassResult.UNCHANGED, 4.0, "resync"),
        (PassResult.RETRY, 5.0, "away"),
        (PassResult.RETRY, 6.0, "away"),
        (PassResult.RETRY, 7.0, "refused"),
        (PassResult.RETRY, 7.0 + 3600.0, "refused"),
    ]
    for result, started, reason in told:
        await journal.record_pass(_pass(result, started=started, reason=reason))

    assert _results(path) == ["changed", "changed", "unchanged", "retry", "retry", "retry"]


async def test_the_file_is_bounded(opened: Open, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_module, "PRUNED_EVERY", 10)
    journal = await opened(kept_rows=20)

    for number in range(95):
        await journal.record_action(_action(f"s{number}"))

    kept = await journal.recent_actions(limit=1000)
    assert 20 <= len(kept) < 30
    assert kept[0].name == "s94"


async def test_long_reasons_are_cut(opened: Open) -> None:
    journal = await opened()
    await journal.record_action(_action(message="x" * 100_000))

    assert len((await journal.recent_actions(limit=1))[0].message) == file_module.LONGEST_TEXT


async def test_many_at_once_lose_nothing(opened: Open) -> None:
    journal = await opened()

    await asyncio.gather(*(journal.record_action(_action(f"s{number}")) for number in range(500)))

    assert {action.name for action in await journal.recent_actions(limit=1000)} == {f"s{number}" for number in range(500)}


async def test_two_processes_may_share_the_file(opened: Open) -> None:
    first, second = await opened(), await opened()

    await asyncio.gather(*(journal.note(f"{name}{n}", "x") for n in range(20) for name, journal in (("a", first), ("b", second))))

    assert len(await first.notes()) == 40


async def test_nobody_else_can_read_the_file(opened: Open, path: Path) -> None:
    await opened()

    for file in path.parent.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def _exists(path: Path) -> bool:
    return path.exists()


def _garbage(path: Path) -> None:
    path.write_bytes(os.urandom(20_000))


def _hole(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[4096 : 3 * 4096] = b"\xff" * (2 * 4096)
    path.write_bytes(content)


def _text(path: Path) -> None:
    path.write_text("this is no journal")


def _foreign(path: Path) -> None:
    path.unlink()
    connection = sqlite3.connect(path)
    connection.executescript("CREATE TABLE other (x); PRAGMA user_version = 1;")
    connection.close()


def _newer(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.commit()
    connection.close()


@pytest.mark.parametrize("damage", [_garbage, _hole, _text, _foreign, _newer])
async def test_a_damaged_file_is_set_aside_and_a_new_one_begins(
    opened: Open, path: Path, caplog: pytest.LogCaptureFixture, damage: Callable[[Path], None]
) -> None:
    old = await opened()
    for number in range(200):
        await old.record_action(_action(f"s{number}", message="x" * 200))
    await old.close()
    damage(path)

    with caplog.at_level(logging.ERROR, "prodbreaker.journal"):
        journal = await opened()
        await journal.note("a", "b")
        await journal.record_action(_action())

    assert journal.writable
    assert await journal.recent_actions(limit=5) == [_action()]
    aside = path.with_name("journal.db.damaged-20231114T221320Z")
    assert aside.exists()
    (record,) = caplog.records
    assert (record.getMessage(), vars(record)["fields"]["set_aside"]) == ("journal damaged, a new one begins", str(aside))


async def test_a_file_that_was_removed_is_made_again(opened: Open, path: Path) -> None:
    journal = await opened()
    await journal.note("a", "1")
    for file in path.parent.iterdir():
        file.unlink()

    await journal.note("b", "2")

    assert _exists(path)
    assert await journal.notes() == {"b": "2"}


async def test_a_path_that_cannot_be_a_file_is_an_error_and_heals(path: Path) -> None:
    os.makedirs(path)  # noqa: PTH103 - ruff minds pathlib in coroutines
    journal = SqliteJournal(path)

    with pytest.raises(JournalError, match=r"the journal .*journal\.db cannot be used"):
        await journal.open()
    assert not journal.writable

    os.rmdir(path)  # noqa: PTH106 - as above
    await journal.record_pass(_pass(PassResult.UNCHANGED))  # at rest, too, it is tried again
    assert journal.writable
    await journal.close()


async def test_a_full_disk_is_an_error_for_all_who_wait_and_heals(opened: Open, path: Path) -> None:
    journal = await opened()
    await journal.note("a", "1")
    await journal._submit(lambda file: file._database.pragma("max_page_count", 1))  # SQLite's own way to run out of room

    answers = await asyncio.gather(*(journal.note(f"n{n}", "x" * 10_000) for n in range(5)), return_exceptions=True)

    assert all(isinstance(answer, JournalError) for answer in answers)
    assert "full" in str(answers[0])
    assert set(await journal.notes()) == {"a"}
    assert not journal.writable  # whatever can be read
    await journal.note("b", "2")  # reopened, without the limit
    assert journal.writable
    assert set(await journal.notes()) == {"a", "b"}


async def test_a_file_held_by_somebody_else_is_an_error_in_time(
    opened: Open, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_module, "BUSY_SECONDS", 0.2)
    journal = await opened()
    holder = sqlite3.connect(path)
    holder.execute("BEGIN IMMEDIATE")

    with pytest.raises(JournalError, match="locked"):
        await journal.note("a", "1")

    holder.rollback()
    holder.close()
    await journal.note("a", "1")
    assert journal.writable


async def test_a_bug_in_reading_is_a_journal_error(opened: Open, path: Path) -> None:
    journal = await opened()
    await journal.record_action(_action())
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE actions SET verb = 'explode'")
    connection.close()

    with pytest.raises(JournalError, match="explode"):
        await journal.recent_actions(limit=1)


async def test_whoever_stops_waiting_harms_nobody(opened: Open) -> None:
    journal = await opened()
    waiting = [asyncio.create_task(journal.note(f"n{number}", "x")) for number in range(50)]
    await asyncio.sleep(0)

    for task in waiting[::2]:
        task.cancel()
    answers = await asyncio.gather(*waiting, return_exceptions=True)

    assert [answer for answer in answers[1::2] if answer is not None] == []
    assert {f"n{number}" for number in range(1, 50, 2)} <= set(await journal.notes())
