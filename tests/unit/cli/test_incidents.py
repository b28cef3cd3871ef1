"""`prodbreaker incidents`, asking a controller over HTTP or reading its journal."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry

from controller.adapters.journal import SqliteJournal
from controller.cli import remote, run_command
from controller.model.incident import Entry, EntryKind, FaultKind, Incident, IncidentState
from controller.web import make_app
from tests.unit.cli.conftest import Ended
from tests.unit.web.conftest import ScriptedController

Run = Callable[..., Ended]
OPENED = 1_767_225_600.25
MISSING = Incident(
    7,
    "shop_web",
    FaultKind.MISSING,
    IncidentState.OPEN,
    OPENED,
    "is not there",
    began=OPENED - 0.012,
    acted=OPENED + 1.5,
    entries=(
        Entry(OPENED, EntryKind.OBSERVATION, "is not there"),
        Entry(OPENED + 0.001, EntryKind.DECISION, "create it (missing)"),
        Entry(OPENED + 1.5, EntryKind.ACTION, "created\n\x1b[31m in 1.498 s"),
    ),
)
BRAKE = Incident(4, "", FaultKind.BRAKE, IncidentState.HELD, OPENED, "two nodes are lost")
ENDED = Incident(3, "shop_db", FaultKind.DRIFT, IncidentState.RECOVERED, OPENED, "was changed", ended=OPENED + 125.0)
KNOWN = [MISSING, BRAKE, ENDED]
OPEN_TABLE = """\
ID  SERVICE      KIND     STATE  OPENED               DETECT  ACT   RECOVER
7   shop_web     missing  open   2026-01-01 00:00:00  0.012s  1.5s  -        is not there
4   (the Swarm)  brake    held   2026-01-01 00:00:00  -       -     -        two nodes are lost
"""


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    for name in ("URL", "TOKEN", "TOKEN_FILE"):
        monkeypatch.delenv(f"PRODBREAKER_{name}", raising=False)

    def once(*words: str) -> Ended:
        capsys.readouterr()
        code = run_command(["incidents", *words])
        captured = capsys.readouterr()
        return Ended(code, captured.out, captured.err)

    return once


@contextmanager
def _serving(controller: ScriptedController, token: str | None = None) -> Iterator[str]:
    """The controller's own HTTP interface on a thread of its own; yields its address."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    app = make_app(controller, token=token, registry=CollectorRegistry(), loopback_only=True)
    runner = web.AppRunner(app)

    async def start() -> int:
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port: int = runner.addresses[0][1]
        return port

    try:
        yield f"http://127.0.0.1:{asyncio.run_coroutine_threadsafe(start(), loop).result(10)}"
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


@pytest.fixture
def url() -> Iterator[str]:
    with _serving(ScriptedController(known=KNOWN)) as address:
        yield address


def _journal(path: Path, *incidents: Incident) -> Path:
    async def write() -> None:
        journal = SqliteJournal(path)
        await journal.open()
        await journal.keep_incidents(incidents)
        await journal.close()

    asyncio.run(write())
    return path


def test_the_list_shows_what_has_not_ended(run: Run, url: str) -> None:
    assert run("--controller", url) == Ended(0, OPEN_TABLE, "")


def test_the_address_may_come_from_the_environment(run: Run, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRODBREAKER_URL", f"{url}/")

    assert run().out == OPEN_TABLE


def test_all_and_one_service_can_be_asked_for(run: Run, url: str) -> None:
    rows = run("--controller", url, "--all").out.splitlines()

    assert [row.split()[0] for row in rows] == ["ID", "7", "4", "3"]
    assert "shop_db      drift    recovered  2026-01-01 00:00:00  -       -     2m05s    was changed" in rows[3]
    assert run("--controller", url, "--service", "shop_web").out.count("\n") == 2
    assert run("--controller", url, "--service", "shop_db").out == "no incident is open\n"
    assert run("--controller", url, "--service", "nobody", "--all").out == "no incidents\n"


def test_show_tells_the_timeline_one_line_each(run: Run, url: str) -> None:
    assert run("show", "7", "--controller", url).out == (
        "incident 7: shop_web, missing, open\n"
        "detected   2026-01-01 00:00:00.250  0.012s after it came about\n"
        "acted      2026-01-01 00:00:01.750  1.5s after the detection\n"
        "\n"
        "2026-01-01 00:00:00.250  observation  is not there\n"
        "2026-01-01 00:00:00.251  decision     create it (missing)\n"
        "2026-01-01 00:00:01.750  action       created  [31m in 1.498 s\n"
    )
    assert "ended      2026-01-01 00:02:05.250  2m05s after the detection" in run("--controller", url, "show", "3").out


def test_json_is_what_http_answers(run: Run, url: str) -> None:
    listed, shown = run("--controller", url, "-o", "json").json, run("--controller", url, "show", "7", "-o", "json").json

    assert [incident["id"] for incident in listed] == [7, 4]
    assert shown["timeline"][1] == {"time": "2026-01-01T00:00:00.251Z", "kind": "decision", "text": "create it (missing)"}
    assert {**listed[0], "timeline": shown["timeline"]} == shown


def test_the_journal_says_the_same_as_the_controller(run: Run, url: str, tmp_path: Path) -> None:
    journal = str(_journal(tmp_path / "a b%.db", *KNOWN))

    for words in ([], ["--all"], ["--service", "shop_db", "--all"], ["show", "7"], ["-o", "json"], ["show", "7", "-o", "json"]):
        assert run("--journal", journal, *words) == run("--controller", url, *words)


def test_a_journal_is_read_while_its_controller_writes_it(run: Run, tmp_path: Path) -> None:
    async def during() -> Ended:
        journal = SqliteJournal(tmp_path / "journal.db")
        await journal.open()
        await journal.keep_incidents(KNOWN)
        found = await asyncio.to_thread(run, "--journal", str(tmp_path / "journal.db"))
        await journal.keep_incidents([replace(BRAKE, state=IncidentState.RECOVERED)])
        await journal.close()
        return found

    assert asyncio.run(during()).out == OPEN_TABLE


def test_reading_a_journal_leaves_it_as_it_is(run: Run, tmp_path: Path) -> None:
    path = _journal(tmp_path / "journal.db", *KNOWN)
    before = path.read_bytes()

    run("--journal", str(path))

    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["show"], "'show' is not `show ID`"),
        (["show", "x"], "'show x' is not `show ID`"),
        (["show", "²"], "is not `show ID`"),
        (["hide", "7"], "'hide 7' is not `show ID`"),
        (["show", "7", "8"], "'show 7 8' is not `show ID`"),
        (["--journal", "x", "--controller", "y"], "give either --controller or --journal"),
        (["--controller", "nonsense"], "'nonsense' is no address of a controller, such as http://127.0.0.1:8900"),
        (["--controller", "ftp://x"], "'ftp://x' is no address of a controller"),
        (["--controller", "http://x:port"], "'http://x:port' is no address of a controller"),
        (["--controller", "http://[::1"], "'http://[::1' is no address of a controller"),
        (["--journal", "none.db"], "the journal none.db cannot be read: unable to open database file"),
        (["--journal", "text.db"], "the journal text.db cannot be read: file is not a database"),
    ],
)
def test_what_cannot_be_asked_is_one_line(
    run: Run, words: list[str], complaint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.db").write_text("this is a text and no database " * 50)

    ended = run(*words)

    assert (ended.code, ended.out, ended.err.count("\n")) == (1, "", 1)
    assert complaint in ended.err


def test_a_journal_of_another_version_is_left_alone(run: Run, tmp_path: Path) -> None:
    import sqlite3

    with closing(sqlite3.connect(tmp_path / "old.db")) as connection:
        connection.execute("PRAGMA user_version = 1")
        connection.commit()

    ended = run("--journal", str(tmp_path / "old.db"))

    assert ended.code == 1
    assert "is no journal of this version: schema 1, not 2" in ended.err


def test_an_incident_that_is_not_there_is_an_error(run: Run, url: str, tmp_path: Path) -> None:
    assert "there is no incident of this number" in run("--controller", url, "show", "9").err
    path = str(_journal(tmp_path / "journal.db", *KNOWN))
    assert run("--journal", path, "show", "9") == Ended(1, "", f"prodbreaker: {path} holds no incident 9\n")


def test_the_token_comes_from_the_same_variables_as_the_controllers(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with _serving(ScriptedController(known=KNOWN), token="S3CR3T") as url:
        refused = run("--controller", url)
        assert (refused.code, refused.err.count("\n")) == (1, 1)
        assert "401" in refused.err
        assert "PRODBREAKER_TOKEN_FILE" in refused.err

        monkeypatch.setenv("PRODBREAKER_TOKEN", " S3CR3T ")
        assert run("--controller", url).out == OPEN_TABLE

        monkeypatch.setenv("PRODBREAKER_TOKEN_FILE", str(tmp_path / "token"))
        assert "PRODBREAKER_TOKEN_FILE: " in run("--controller", url).err
        (tmp_path / "token").write_text("wrong")
        assert "401" in run("--controller", url).err
        (tmp_path / "token").write_text("S3CR3T\n")
        assert run("--controller", url).out == OPEN_TABLE


def test_a_token_that_cannot_be_sent_is_one_line_and_not_shown(run: Run, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRODBREAKER_TOKEN", "a\nb-S3CR3T")

    ended = run("--controller", url)

    assert (ended.code, ended.err.count("\n")) == (1, 1)
    assert "S3CR3T" not in ended.err


def test_nobody_there_is_one_line(run: Run) -> None:
    with closing(socket.socket()) as holder:
        holder.bind(("127.0.0.1", 0))  # taken and not listened on
        url = f"http://127.0.0.1:{holder.getsockname()[1]}"

        assert run("--controller", url) == Ended(1, "", f"prodbreaker: no answer from {url}: Connection refused\n")


def test_silence_ends_in_time(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "TIMEOUT_SECONDS", 0.2)
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        ended = run("--controller", f"http://127.0.0.1:{silent.getsockname()[1]}")

    assert ended.code == 1
    assert "none came within" in ended.err


@pytest.mark.parametrize(
    ("status", "body", "complaint"),
    [
        (200, b"<html>hello</html>", "answers 200 and no JSON: is it a controller?"),
        (200, b'{"other": 1}', "answers something else than incidents: is it a controller?"),
        (200, b"[]", "answers something else than incidents: is it a controller?"),
        (502, b"\xff", "answers 502 and no JSON"),
        (503, b'{"error": "the disk is gone"}', "answers 503: the disk is gone"),
        (500, b"[]", "answers 500: without a reason"),
    ],
)
def test_somebody_else_at_that_address_is_one_line(run: Run, status: int, body: bytes, complaint: str) -> None:
    class Stranger(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Stranger) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        ended = run("--controller", f"http://127.0.0.1:{server.server_port}")
        thread.join(10)

    assert (ended.code, ended.out, ended.err.count("\n")) == (1, "", 1)
    assert complaint in ended.err


def test_json_can_be_read_by_a_program(run: Run, url: str) -> None:
    assert json.loads(run("--controller", url, "--all", "-o", "json").out)[2]["seconds_to_recover"] == 125.0
