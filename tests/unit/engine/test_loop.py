"""What each way in which a pass may end does to its key."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from controller.engine.loop import Loop, run_workers
from controller.engine.observer import Observer
from controller.engine.reconciler import Reconciler, Verdict
from controller.engine.records import PassResult
from controller.engine.workqueue import Due, WorkQueue
from controller.errors import EngineUnavailableError, NotLeaderError, NotManagerError, ProdBreakerError
from controller.model.status import Key
from tests.support.fakes import FakeRecorder, FakeSwarm

pytestmark = pytest.mark.looptime
WEB, DB, SHARED = Key("shop", "web"), Key("shop", "db"), Key("shop")
FINE = Verdict(PassResult.UNCHANGED)
Ending = Verdict | Exception


class Scripted(Reconciler):
    """A reconciler whose passes end as a test says, the last way for ever."""

    def __init__(self, *endings: Ending) -> None:
        self.endings = list(endings)
        self.passes: list[tuple[float, str, str]] = []
        self.always: dict[Key, Ending] = {}
        self.rests = 0
        self.during: Callable[[Key], None] = lambda key: None

    async def reconcile(self, due: Due) -> Verdict:
        self.passes.append((round(asyncio.get_running_loop().time(), 3), str(due.key), due.reason))
        await asyncio.sleep(0.001)
        self.during(due.key)
        ending = self.always.get(due.key) or (self.endings.pop(0) if len(self.endings) > 1 else self.endings[0])
        if isinstance(ending, Exception):
            raise ending
        return ending

    def rest(self) -> None:
        self.rests += 1


class Scene:
    def __init__(self, *endings: Ending) -> None:
        self.queue, self.reconciler, self.swarm = WorkQueue(), Scripted(*endings), FakeSwarm()
        self.observer = Observer(self.swarm)
        self.loop = Loop(self.queue, self.reconciler, self.observer, FakeRecorder())

    async def run(self, *keys: Key, seconds: float = 10.0, workers: int = 2) -> list[tuple[float, str, str]]:
        """Make the keys due, work for a time, and tell the passes: when, key, why."""
        for key in keys:
            self.queue.add(key, reason="test")
        task = asyncio.create_task(run_workers(self.loop, workers))
        await asyncio.sleep(seconds)
        self.queue.close()
        await task
        return self.reconciler.passes


async def test_a_key_that_is_well_has_one_pass_and_then_everything_rests() -> None:
    scene = Scene(FINE)

    assert await scene.run(WEB) == [(0.0, "shop/web", "test")]
    assert scene.reconciler.rests >= 1
    assert scene.loop.has_passed([WEB])
    assert not scene.loop.has_passed([WEB, DB])


async def test_a_key_that_moves_is_looked_at_again() -> None:
    moving = Verdict(PassResult.CHANGED, look_again_seconds=3.0)

    assert [at for at, _, _ in await Scene(moving).run(WEB)] == pytest.approx([0.0, 3.001, 6.002, 9.003])


@pytest.mark.parametrize("ending", [Verdict(PassResult.RETRY, "superseded"), Verdict(PassResult.FAILED, "refused")])
async def test_a_pass_that_failed_is_repeated_with_growing_pauses_until_one_succeeds(ending: Verdict) -> None:
    scene = Scene(ending, ending, ending, FINE)

    times = [at for at, _, _ in await scene.run(WEB)]

    assert times == pytest.approx([0.0, 0.201, 0.602, 1.403])
    assert scene.reconciler.passes[1][2] == f"retry: {ending.reason}"
    assert not scene.queue.is_backing_off(WEB)


async def test_after_a_success_the_next_failure_is_repeated_soon_again() -> None:
    failed, moving = Verdict(PassResult.RETRY, "x"), Verdict(PassResult.CHANGED, look_again_seconds=1.0)

    times = [at for at, _, _ in await Scene(failed, failed, moving, failed, FINE).run(WEB)]

    assert times == pytest.approx([0.0, 0.201, 0.602, 1.603, 1.804])


@pytest.mark.parametrize("error", [EngineUnavailableError("gone"), NotManagerError("left")])
async def test_an_engine_that_is_away_is_told_once_and_everything_known_is_forgotten(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    scene = Scene(error, error, error, FINE)
    await scene.observer.snapshot(since=0.0)
    caplog.set_level("INFO")

    assert len(await scene.run(WEB)) == 4
    assert [record.message for record in caplog.records] == ["engine away", "engine back"]
    await scene.observer.snapshot(since=0.0)
    assert scene.swarm.count("facts") == 2


async def test_no_pass_counts_while_the_swarm_could_not_be_seen() -> None:
    scene = Scene(EngineUnavailableError("gone"))
    await scene.run(WEB)

    assert not scene.loop.has_passed([WEB])


@pytest.mark.parametrize(
    ("error", "told"), [(ProdBreakerError("odd"), "pass failed"), (ZeroDivisionError("a bug"), "unexpected error")]
)
async def test_one_keys_surprise_ends_no_worker(error: Exception, told: str, caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene(error, FINE)

    passes = await scene.run(WEB, DB, workers=1)

    assert [key for _, key, _ in passes] == ["shop/web", "shop/db", "shop/web"]
    assert [record.message for record in caplog.records] == [told]
    assert str(error) in passes[2][2]


async def test_a_pass_wakes_the_keys_that_can_go_on() -> None:
    passes = await Scene(Verdict(PassResult.CHANGED, wake=(WEB, DB)), FINE).run(SHARED)

    assert passes[1:] == [(0.001, "shop/web", "shop went on"), (0.001, "shop/db", "shop went on")]


async def test_a_stack_that_backs_off_is_not_woken_by_its_services() -> None:
    scene = Scene(Verdict(PassResult.RETRY, "needs network", wake=(SHARED,)))
    scene.reconciler.always[SHARED] = Verdict(PassResult.FAILED, "refused")

    passes = await scene.run(SHARED, WEB, DB, seconds=100, workers=1)

    assert {reason for _, key, reason in passes if key == "shop"} == {"test", "retry: refused"}


async def test_a_key_that_comes_due_during_its_pass_has_another_one() -> None:
    scene = Scene(FINE)

    def news(key: Key) -> None:
        if len(scene.reconciler.passes) == 1:
            scene.queue.add(key, reason="news")

    scene.reconciler.during = news

    assert [reason for _, _, reason in await scene.run(WEB)] == ["test", "news"]


async def test_a_worker_that_is_stopped_in_a_pass_gives_its_key_back() -> None:
    scene = Scene(FINE)
    scene.queue.add(WEB, reason="test")
    task = asyncio.create_task(scene.loop.work())
    await asyncio.sleep(0.0005)
    task.cancel()
    await asyncio.wait([task])

    assert scene.queue.is_idle


async def test_a_write_that_a_standby_did_not_send_is_no_failure_to_tell_of(caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene(NotLeaderError("not sent"), FINE)

    assert len(await scene.run(WEB)) == 2
    assert caplog.records == []
