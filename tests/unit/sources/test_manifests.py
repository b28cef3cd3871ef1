"""Files become declarations: on a change, on the resync, never half."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from controller.engine.declarations import Declarations
from controller.engine.workqueue import WorkQueue
from controller.errors import ManifestError
from controller.model.problem import Problem
from controller.model.spec import DesiredStack
from controller.model.status import Key
from controller.sources.manifests import SECOND_LOOK_SECONDS, Manifests, stack_files
from controller.sources.resync import resync
from tests.support.fakes import FakeRecorder
from tests.support.specs import service, stack


class Scene:
    """A manifest here is a line of service keys; `!` is a fault, `@file` a further file that is read."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.queue, self.recorder = folder, WorkQueue(), FakeRecorder()
        self.declarations = Declarations()
        self.loads: list[str] = []
        self.while_reading: Callable[[], object] = lambda: None
        self.source = Manifests(folder, self._load, self.declarations, self.queue, self.recorder)

    def write(self, text: str, name: str = "shop.yml") -> None:
        (self.folder / name).write_text(text)

    def declared(self, name: str = "shop") -> list[str]:
        return sorted(self.declarations.stacks[name].services) if name in self.declarations.stacks else []

    async def keys(self) -> list[Key]:
        found = []
        while len(self.queue):
            due = await self.queue.get()
            assert due is not None
            self.queue.done(due.key)
            found.append(due.key)
        return found

    def _load(self, path: Path, name: str) -> DesiredStack:
        self.loads.append(name)
        words = path.read_text().split()
        files = tuple(str(self.folder / word[1:]) for word in words if word.startswith("@"))
        self.while_reading()
        if "!" in words:
            raise ManifestError([Problem(str(path), 1, 1, "", "broken")])
        made = stack(*(service(word, stack=name) for word in words if not word.startswith("@")), name=name)
        return DesiredStack(name, made.services, {}, {}, {}, files=(str(path), *files))


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def test_a_folders_manifests_are_its_yaml_files_that_are_not_hidden(tmp_path: Path) -> None:
    for name in ("b.yml", "a.yaml", ".hidden.yml", "notes.txt", "c.yml.swp"):
        (tmp_path / name).write_text("")
    (tmp_path / "folder.yml").mkdir()

    assert {name: path.name for name, path in stack_files(tmp_path).items()} == {"a": "a.yaml", "b": "b.yml"}


async def test_every_manifest_is_read_and_its_keys_become_due(scene: Scene) -> None:
    scene.write("web db")
    scene.write("x", "more.yaml")
    await scene.source.read_all()

    assert (scene.declared(), scene.declared("more")) == (["db", "web"], ["x"])
    assert set(await scene.keys()) == {Key("shop"), Key("shop", "web"), Key("shop", "db"), Key("more"), Key("more", "x")}


async def test_a_file_that_looks_the_same_is_not_read_again(scene: Scene) -> None:
    scene.write("web")
    for _ in range(3):
        await scene.source.read_all()

    assert scene.loads == ["shop"]


async def test_an_edit_of_a_file_that_the_manifest_refers_to_is_an_edit(scene: Scene) -> None:
    scene.write("A=1", "web.env")
    scene.write("web @web.env")
    await scene.source.read_all()
    scene.write("A=22", "web.env")
    await scene.source.read_all()
    await scene.source.read_all()

    assert scene.loads == ["shop", "shop"]


async def test_a_file_that_is_missing_at_first_and_comes_is_an_edit(scene: Scene) -> None:
    scene.write("web @web.env")
    await scene.source.read_all()
    scene.write("A=1", "web.env")
    await scene.source.read_all()

    assert scene.loads == ["shop", "shop"]


@pytest.mark.parametrize("name", ["shop.yml", "web.env"])
async def test_an_edit_during_the_reading_is_not_missed(scene: Scene, name: str) -> None:
    scene.write("A=1", "web.env")
    scene.write("web @web.env")
    await scene.source.read_all()
    scene.write("web @web.env ")
    scene.while_reading = lambda: scene.write("web @web.env  ", name)
    await scene.source.read_all()
    scene.while_reading = lambda: None
    await scene.source.read_all()
    await scene.source.read_all()

    assert scene.loads == ["shop"] * 3


async def test_the_same_declaration_written_otherwise_wakes_nobody(scene: Scene) -> None:
    scene.write("web db")
    await scene.source.read_all()
    await scene.keys()
    scene.write("db   web")
    await scene.source.read_all()

    assert len(scene.loads) == 2
    assert await scene.keys() == []


async def test_a_broken_manifest_keeps_the_last_good_reading_is_told_once_and_tried_every_time(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    scene.write("web")
    await scene.source.read_all()
    await scene.keys()
    scene.write("!")
    for _ in range(3):
        await scene.source.read_all()

    assert scene.declared() == ["web"]
    assert await scene.keys() == []
    assert scene.loads == ["shop"] * 4
    assert [record.message for record in caplog.records].count("manifest refused") == 1
    assert scene.recorder.broken_manifests == 1
    scene.write("web db")
    await scene.source.read_all()
    assert (scene.declared(), scene.recorder.broken_manifests) == (["db", "web"], 0)


async def test_a_fault_harms_no_other_stack(scene: Scene) -> None:
    scene.write("!", "a.yml")
    scene.write("web")
    await scene.source.read_all()

    assert scene.declared() == ["web"]
    assert set(scene.declarations.errors) == {"a"}


@pytest.mark.looptime
async def test_a_manifest_that_loses_services_is_read_twice(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asyncio, "to_thread", _at_once)  # a thread would let virtual time run
    scene.write("web db")
    await scene.source.read_all()
    scene.write("web")  # half of what is being written
    asyncio.get_running_loop().call_later(SECOND_LOOK_SECONDS / 2, scene.write, "web db cache")
    await scene.source.read_all()

    assert scene.declared() == ["cache", "db", "web"]


@pytest.mark.looptime
async def test_a_manifest_that_breaks_between_two_looks_changes_nothing(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asyncio, "to_thread", _at_once)
    scene.write("web db")
    await scene.source.read_all()
    scene.write("web")
    asyncio.get_running_loop().call_later(SECOND_LOOK_SECONDS / 2, scene.write, "!")
    await scene.source.read_all()

    assert scene.declared() == ["db", "web"]


@pytest.mark.looptime
async def test_a_service_that_is_gone_for_good_wakes_its_key_too(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asyncio, "to_thread", _at_once)
    scene.write("web db")
    await scene.source.read_all()
    await scene.keys()
    scene.write("web")
    await scene.source.read_all()

    assert scene.declared() == ["web"]
    assert await scene.keys() == [Key("shop"), Key("shop", "web"), Key("shop", "db")]


async def test_a_manifest_that_is_gone_is_forgotten_and_its_keys_are_woken(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    scene.write("web")
    scene.write("!", "bad.yml")
    await scene.source.read_all()
    await scene.keys()
    (scene.folder / "shop.yml").unlink()
    (scene.folder / "bad.yml").unlink()
    await scene.source.read_all()

    assert scene.declarations.keys() == []
    assert scene.declarations.errors == {}
    assert await scene.keys() == [Key("shop"), Key("shop", "web")]
    assert [record.message for record in caplog.records].count("manifest gone") == 1


async def test_a_folder_that_cannot_be_read_changes_nothing(scene: Scene) -> None:
    scene.write("web")
    await scene.source.read_all()
    scene.folder.rename(scene.folder.with_name("elsewhere"))
    await scene.source.read_all()

    assert scene.declared() == ["web"]


@pytest.mark.looptime
async def test_it_runs_on_changes_and_behind_them_on_the_resync(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asyncio, "to_thread", _at_once)
    edits: asyncio.Queue[None] = asyncio.Queue()

    async def told() -> AsyncIterator[object]:
        while True:
            await edits.get()
            yield "an edit"

    task = asyncio.create_task(scene.source.run(told(), resync_seconds=30))
    await asyncio.sleep(10)
    scene.write("web")
    edits.put_nowait(None)
    await asyncio.sleep(1)
    assert scene.declared() == ["web"]
    scene.write("web db")
    await asyncio.sleep(28)
    assert scene.declared() == ["web"]
    await asyncio.sleep(3)
    assert scene.declared() == ["db", "web"]

    task.cancel()
    await asyncio.wait([task])
    assert len(asyncio.all_tasks()) == 1


@pytest.mark.looptime
async def test_a_watcher_that_ends_ends_the_source(scene: Scene) -> None:
    async def none() -> AsyncIterator[object]:
        for edit in list[object]():
            yield edit

    with pytest.raises((StopAsyncIteration, RuntimeError)):
        await scene.source.run(none(), resync_seconds=30)


@pytest.mark.looptime
async def test_the_resync_makes_every_key_due_and_leaves_those_that_back_off(scene: Scene) -> None:
    scene.declarations.accept(stack(service("web"), service("db")))
    scene.queue = WorkQueue(base_seconds=100)
    task = asyncio.create_task(resync(scene.queue, scene.declarations, seconds=30, jitter=lambda delay: delay * 1.1))
    await asyncio.sleep(32)
    assert await scene.keys() == []
    await asyncio.sleep(2)
    assert await scene.keys() == [Key("shop"), Key("shop", "web"), Key("shop", "db")]
    scene.queue.retry(Key("shop", "db"), reason="failed")
    await asyncio.sleep(33)
    assert await scene.keys() == [Key("shop"), Key("shop", "web")]

    task.cancel()
    await asyncio.wait([task])
    scene.queue.close()


async def _at_once(function: Callable[..., object], *arguments: object) -> object:
    return function(*arguments)
