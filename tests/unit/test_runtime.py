"""The composition root, in this process: a whole controller over a simulated Swarm behind a unix socket."""

from __future__ import annotations

import asyncio
import ctypes
import json
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib import request
from urllib.error import HTTPError, URLError

import pytest
import pytest_asyncio
from aiohttp import ClientSession

from controller import runtime
from controller.adapters.allocator import return_large_blocks
from controller.adapters.logs import JsonFormatter
from controller.cli import run_command
from controller.errors import SettingsError
from controller.model.status import Health, Key, Sync
from controller.runtime import Controller, jittered, later
from controller.simulator.engine import Simulator
from controller.simulator.faults import Fault, Site
from controller.simulator.http import SocketServer
from tests.contract.conftest import serving
from tests.support.house import SERVICE, SHOP, House, free_port, until

SPEED = 20.0


@pytest.fixture(autouse=True)
def _surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An environment that leads to the simulated Swarm alone, and the log as it was before."""
    for name in [name for name in os.environ if name.startswith(("PRODBREAKER_", "DOCKER_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/s.sock")
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    yield
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if isinstance(handler.formatter, JsonFormatter)]:
        root.removeHandler(handler)
    logging.getLogger("prodbreaker").setLevel(logging.NOTSET)


@pytest_asyncio.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    sim = Simulator(epoch_ns=time.time_ns())
    server = SocketServer(sim, tmp_path / "s.sock", speed=SPEED)
    await server.start()
    yield House(tmp_path, sim)
    await server.stop()


def is_ready(controller: Controller) -> bool:
    return all(controller.readiness().values())


def is_synced(controller: Controller) -> bool:
    return [item.sync for item in controller.statuses()] == [Sync.SYNCED] * 2


def is_well(controller: Controller) -> bool:
    statuses = controller.statuses()
    return len(statuses) == 2 and all((item.sync, item.health) == (Sync.SYNCED, Health.HEALTHY) for item in statuses)


def log_lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


async def test_a_controller_makes_what_is_declared_and_says_when_it_is_ready(house: House) -> None:
    address = f"127.0.0.1:{free_port()}"
    async with house.running(listen=address) as controller, ClientSession(f"http://{address}") as client:
        await until(lambda: is_ready(controller) and is_well(controller), "ready and well")
        async with client.get("/readyz") as ready, client.get("/api/v1/services") as services:
            assert (ready.status, (await ready.json())["ready"]) == (200, True)
            assert [item["health"] for item in (await services.json())["services"]] == ["Healthy", "Healthy"]
        assert [plan.is_empty for plan in await controller.plans()] == [True]

    assert house.writes[0] == "create network/shop_default"
    assert sorted(house.writes[1:]) == ["create service/shop_db", "create service/shop_web"]
    assert controller.owner("shop_web") == Key("shop", "web")
    assert controller.owner("blog_web") is None


async def test_a_service_that_is_removed_comes_back(house: House) -> None:
    async with house.running() as controller:
        await until(lambda: is_synced(controller), "synced")
        house.sim.gate.forget()

        house.sim.remove(SERVICE, "shop_web")

        await until(lambda: "shop_web" in house.names() and len(house.sim.running("shop_web")) == 2, "healed")
    assert house.writes == ["create service/shop_web"]


async def test_an_edit_is_carried_out_as_soon_as_it_is_seen(house: House) -> None:
    async with house.running() as controller:
        await until(lambda: is_synced(controller), "synced")
        house.declare(SHOP.replace("redis:7", "redis:8"))
        await until(lambda: house.image("shop_db") == "redis:8", "updated long before the resync of 30 s")


async def test_what_is_paused_stays_as_it_is_until_it_is_resumed(house: House) -> None:
    async with house.running() as controller:
        await until(lambda: is_synced(controller), "synced")
        await controller.pause("shop/db")
        house.declare(SHOP.replace("redis:7", "redis:8").replace("nginx:1", "nginx:2"))
        await until(lambda: house.image("shop_web") == "nginx:2", "the other service updated")
        await until(
            lambda: next(item for item in controller.statuses() if item.name == "shop_db").health is Health.SUSPENDED, "suspended"
        )
        assert house.image("shop_db") == "redis:7"
        (plan,) = await controller.plans()
        assert [notice.name for notice in plan.notices] == ["shop_db"]

        await controller.resume("shop/db")

        await until(lambda: house.image("shop_db") == "redis:8", "updated after all")


async def test_pausing_and_resuming_hold_though_the_event_stream_is_silent(house: House) -> None:
    async with house.running() as controller:
        await until(lambda: is_synced(controller), "synced")
        house.sim.events.is_silent = True
        await controller.pause("shop/db")
        house.declare(SHOP.replace("redis:7", "redis:8").replace("nginx:1", "nginx:2"))
        await until(lambda: house.image("shop_web") == "nginx:2", "the other service updated")
        await asyncio.sleep(0.2)
        assert house.image("shop_db") == "redis:7"

        await controller.resume("shop")  # a stack's own switch: its service is still held by another
        await asyncio.sleep(0.2)
        assert house.image("shop_db") == "redis:7"
        await controller.resume("shop/db")

        await until(lambda: house.image("shop_db") == "redis:8", "updated long before the resync of 30 s")


async def test_a_broken_manifest_keeps_the_last_good_one_and_its_sync_is_unknown(house: House) -> None:
    house.declare("services: {blog: {image: nginx:1}}", stack="blog")
    async with house.running() as controller:
        await until(lambda: len(controller.statuses()) == 3 and is_ready(controller), "ready")
        house.declare("services: [", stack="shop")
        house.declare("services: 5", stack="new")

        await until(lambda: controller.stacks()["shop"] and controller.stacks().get("new"), "told")

        assert {item.name: item.sync for item in controller.statuses()} == {
            "blog_blog": Sync.SYNCED,
            "shop_db": Sync.UNKNOWN,
            "shop_web": Sync.UNKNOWN,
        }
        assert controller.stacks()["blog"] == ""
        assert controller.stacks()["shop"].startswith(f"{house.manifests}/shop.yml:1:")
        house.sim.remove(SERVICE, "shop_db")
        await until(lambda: "shop_db" in house.names(), "healed from the last good one")


async def test_while_the_engine_is_away_nothing_is_known_and_afterwards_all_is_well(house: House) -> None:
    async with house.running(resync_seconds=1) as controller:
        await until(lambda: is_well(controller), "well")
        house.sim.take_away()
        await until(lambda: all(item.sync is Sync.UNKNOWN for item in controller.statuses()), "unknown")
        assert not controller.readiness()["event stream up"]
        house.sim.bring_back()
        await until(lambda: is_well(controller) and is_ready(controller), "well again")


async def test_a_pass_under_way_ends_before_the_controller_does(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    began = asyncio.Event()

    def slow(site: Site) -> Fault | None:
        if site.operation != "create" or not site.target.startswith("service/"):
            return None
        began.set()
        return Fault(delay=0.3)

    house.sim.gate.hook = slow
    async with house.running():
        await began.wait()

    assert house.sim.gate.writes()[-1].outcome == "ok"
    assert house.names() == ["shop_db", "shop_web"]
    events = [line["event"] for line in log_lines(capsys)]
    assert events[-1] == "stopped"
    assert "passes cut short" not in events


async def test_a_pass_that_hangs_is_cut_short(
    house: House, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime, "DRAIN_SECONDS", 0.05)
    began = asyncio.Event()

    def hang(site: Site) -> Fault | None:
        if site.operation != "create":
            return None
        began.set()
        return Fault(delay=1.0)

    house.sim.gate.hook = hang
    async with house.running():
        await began.wait()

    assert [line["event"] for line in log_lines(capsys)][-2:] == ["passes cut short", "stopped"]


async def test_without_a_journal_the_controller_works_and_says_so(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    address = f"127.0.0.1:{free_port()}"
    (house.folder / "file").touch()
    async with (
        house.running(listen=address, journal=house.folder / "file" / "journal.db") as controller,
        ClientSession(f"http://{address}") as client,
    ):
        await until(lambda: is_synced(controller), "synced")
        async with client.get("/readyz") as answer:
            assert answer.status == 503
            assert (await answer.json())["missing"] == ["journal writable"]

    told = [line for line in log_lines(capsys) if line["event"] == "journal"]
    assert len(told) >= 2  # at the start and at the end
    assert str(house.folder / "file") in told[0]["reason"]


async def test_a_folder_of_manifests_that_is_not_there_is_told_by_its_variable(house: House) -> None:
    async with AsyncExitStack() as cleanup:
        with pytest.raises(SettingsError, match=r"^PRODBREAKER_MANIFESTS: .*/nowhere is not a folder$"):
            await Controller.build(house.settings(manifests=house.folder / "nowhere"), cleanup)


async def test_an_address_that_is_taken_is_told_by_its_variable(house: House) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        async with AsyncExitStack() as cleanup:
            controller = await Controller.build(house.settings(listen=address), cleanup)
            with pytest.raises(SettingsError, match=f"^PRODBREAKER_LISTEN: {address} cannot be listened on: "):
                await controller.serve(cleanup)


async def test_neither_secrets_nor_the_token_nor_own_settings_get_out(
    house: House, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRODBREAKER_PLANTED", "own-setting")
    (house.manifests / "key").write_text("planted-secret")
    house.declare(
        "services: {web: {image: nginx:1, secrets: [key], environment: {A: '${PRODBREAKER_PLANTED:-unset}'}}}\n"
        "secrets: {key: {file: key}}\n"
    )
    async with house.running(token="planted-token", log_level="DEBUG") as controller:
        await until(lambda: is_ready(controller) and house.names() == ["shop_web"], "ready")
        logging.getLogger("prodbreaker.test").info("said planted-secret and planted-token")
        container = house.sim.inspect(SERVICE, "shop_web")["Spec"]["TaskTemplate"]["ContainerSpec"]
        assert container["Env"] == ["A=unset"]

    text = capsys.readouterr().err
    assert "said *** and ***" in text
    assert "planted" not in text


async def test_a_source_that_ends_by_itself_ends_the_controller(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    async def over(*_: object, **__: object) -> None:
        """Ends at once."""

    monkeypatch.setattr(runtime, "resync", over)
    async with AsyncExitStack() as cleanup:
        controller = await Controller.build(house.settings(), cleanup)
        with pytest.raises(RuntimeError, match="the task resync ended by itself"):
            await controller.run(asyncio.Event())


async def test_a_source_that_fails_ends_the_controller_with_its_error(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: object, **__: object) -> None:
        raise LookupError("planted")

    monkeypatch.setattr(runtime, "resync", fail)
    async with AsyncExitStack() as cleanup:
        controller = await Controller.build(house.settings(), cleanup)
        with pytest.raises(LookupError, match="planted"):
            await controller.run(asyncio.Event())


async def test_an_edit_is_told_by_the_watcher_until_it_is_stopped(tmp_path: Path) -> None:
    stop = asyncio.Event()
    folder = tmp_path / "watched"
    folder.mkdir()
    changes = runtime._changes(folder, stop)
    told = asyncio.ensure_future(anext(changes))
    async with asyncio.timeout(60):
        while not told.done():  # edited until the watch, which starts in a thread, stands
            (folder / "shop.yml").write_text(str(time.monotonic_ns()))
            await asyncio.sleep(0.1)
        assert told.result()
        stop.set()
        rest = [change async for change in changes]  # ends, where it would else wait for edits for ever
    assert len(rest) <= 1


async def test_a_folder_that_cannot_be_watched_is_told_and_left_to_the_resync(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    waiting = asyncio.ensure_future(anext(aiter(runtime._changes(tmp_path / "gone", asyncio.Event()))))
    await until(lambda: "manifests not watched" in caplog.messages, "told")
    assert not waiting.done()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


def test_delays_differ_and_periods_never_fall_short() -> None:
    delays, periods = {jittered(10) for _ in range(50)}, {later(10) for _ in range(50)}

    assert len(delays) > 1
    assert all(9 <= delay <= 11 for delay in delays)
    assert len(periods) > 1
    assert all(10 <= period <= 11 for period in periods)


def test_run_works_until_sigterm_and_then_ends_with_0(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "manifests").mkdir()
    (tmp_path / "manifests" / "shop.yml").write_text(SHOP)
    address, pid = f"127.0.0.1:{free_port()}", os.getpid()
    ready: list[int] = []

    def stop_when_ready() -> None:
        deadline = time.monotonic() + 10
        while not ready and time.monotonic() < deadline:
            try:
                with request.urlopen(f"http://{address}/readyz", timeout=1) as answer:
                    ready.append(answer.status)
            except HTTPError as error:
                error.close()
            except URLError:
                time.sleep(0.02)
        os.kill(pid, signal.SIGTERM)

    words = ["run", "--manifests", str(tmp_path / "manifests"), "--journal", str(tmp_path / "journal.db"), "--listen", address]
    watcher = threading.Thread(target=stop_when_ready)
    with serving(Simulator(epoch_ns=time.time_ns()), tmp_path / "s.sock", speed=SPEED):
        # A SIGTERM that came too early or too late would otherwise end the tests themselves.
        before = signal.signal(signal.SIGTERM, lambda *_: pytest.fail("SIGTERM was not taken"))
        watcher.start()
        try:
            code = run_command(words)
        finally:
            watcher.join()
            signal.signal(signal.SIGTERM, before)

    assert (code, ready) == (0, [200])
    assert log_lines(capsys)[-1]["event"] == "stopped"


def test_glibcs_allocator_is_told_and_others_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[int, int]] = []
    glibc = SimpleNamespace(gnu_get_libc_version=None, mallopt=lambda *option: told.append(option))
    monkeypatch.setattr(ctypes, "CDLL", lambda _: glibc)
    return_large_blocks()
    assert told == [(-8, 2), (-3, 131072)]  # M_ARENA_MAX and M_MMAP_THRESHOLD of malloc.h

    monkeypatch.setattr(ctypes, "CDLL", lambda _: SimpleNamespace())
    return_large_blocks()
    assert len(told) == 2
