"""One pass, where the whole loop on the simulator does not show it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from controller.core.images import Resolve
from controller.core.planner import Options
from controller.engine.board import Board
from controller.engine.declarations import Declarations
from controller.engine.executor import Executor
from controller.engine.guards import Guards
from controller.engine.incidents import Incidents
from controller.engine.memory import Memory
from controller.engine.observer import Observer
from controller.engine.reconciler import Reconciler, Verdict
from controller.engine.records import PassResult
from controller.engine.rollouts import Rollouts
from controller.engine.signals import SignalWatch
from controller.engine.workqueue import Due
from controller.engine.world import World
from controller.errors import EngineUnavailableError, OutOfSequenceError, RefusedError
from controller.model.plan import ObjectKind
from controller.model.policy import StackPolicy
from controller.model.spec import DesiredStack, Json
from controller.model.status import Health, Key
from tests.support.fakes import FakeJournal, FakeRecorder, FakeSwarm, LoopClock
from tests.support.specs import body, live, live_network, network, service, stack

pytestmark = pytest.mark.looptime
WEB, SHARED = Key("shop", "web"), Key("shop")
SERVICE, NETWORK = ObjectKind.SERVICE, ObjectKind.NETWORK


class Scene:
    def __init__(self, desired: DesiredStack, *services: Json, networks: tuple[Json, ...] = (), **options: Any) -> None:
        self.swarm = FakeSwarm({SERVICE: list(services), NETWORK: list(networks)})
        self.journal, self.recorder, self.board, clock = FakeJournal(), FakeRecorder(), Board(), LoopClock()
        self.declarations = Declarations()
        self.declarations.accept(desired)
        self.reconciler = Reconciler(
            World(
                swarm=self.swarm,
                observer=Observer(self.swarm),
                declarations=self.declarations,
                memory=Memory(self.journal, monotonic=clock.monotonic),
                executor=Executor(self.swarm, clock, with_registry_auth=False),
                rollouts=Rollouts(self.swarm, clock, SignalWatch(None, clock)),
                incidents=Incidents(self.journal, self.recorder, clock),
                guards=Guards(self.swarm, clock, self.recorder),
                board=self.board,
                journal=self.journal,
                recorder=self.recorder,
                clock=clock,
                options=Options(**{"resolve": Resolve.NEVER, **options}),
            )
        )

    async def reconcile(self, key: Key = WEB, *, reason: str = "test") -> Verdict:
        await asyncio.sleep(0.001)
        return await self.reconciler.reconcile(Due(key, reason, asyncio.get_running_loop().time()))


def running(**parts: Any) -> Json:
    return live(body(**parts), ServiceStatus={"RunningTasks": 1, "DesiredTasks": 1})


async def test_what_is_as_declared_is_left_and_remembered() -> None:
    scene = Scene(stack(service()), running())

    assert await scene.reconcile() == Verdict(PassResult.UNCHANGED)
    assert scene.swarm.bodies == []
    assert [note for note in scene.journal.kept if ":applied:" in note] == ["memory:applied:shop:shop_web"]


async def test_a_pass_never_rests_on_what_was_read_before_its_own_last_write(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(stack(service(labels={"new": "1"})), running())
    now = asyncio.get_running_loop().time()

    async def refuse(*_: Any, **__: Any) -> None:
        await asyncio.sleep(0.002)
        raise OutOfSequenceError("stale")

    monkeypatch.setattr(scene.swarm, "update", refuse)
    assert (await scene.reconcile()).result is PassResult.RETRY
    scene.swarm.objects[SERVICE] = [running(labels={"new": "1"})]
    verdict = await scene.reconciler.reconcile(Due(WEB, "came due while the one before was at work", now))

    assert verdict == Verdict(PassResult.UNCHANGED)


async def test_a_write_is_remembered_once_it_is_known_to_be_made_and_not_before() -> None:
    scene = Scene(stack(service(labels={"new": "1"})), running())
    scene.swarm.answers = {"update": EngineUnavailableError("gone")}

    verdict = await scene.reconcile()

    assert (verdict.result, verdict.reason) == (PassResult.RETRY, "update service shop_web: gone")
    assert [note for note in scene.journal.kept if ":applied:" in note] == []
    scene.swarm.answers = {}
    assert (await scene.reconcile()).result is PassResult.CHANGED
    assert [note for note in scene.journal.kept if ":applied:" in note] == ["memory:applied:shop:shop_web"]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (RefusedError("no"), PassResult.FAILED),
        (OutOfSequenceError("stale"), PassResult.RETRY),
        (EngineUnavailableError("gone"), PassResult.RETRY),
    ],
)
async def test_the_outcome_of_the_write_is_the_passs_result(error: Exception, expected: PassResult) -> None:
    scene = Scene(stack(service(labels={"new": "1"})), running())
    scene.swarm.answers = {"update": error}

    assert (await scene.reconcile()).result is expected
    assert scene.recorder.passes == {expected: 1}
    assert scene.journal.actions[0].message == str(error)


async def test_a_swarm_that_cannot_be_read_is_the_callers_to_judge() -> None:
    scene = Scene(stack(service()))
    scene.swarm.answers = {"list service": EngineUnavailableError("gone")}

    with pytest.raises(EngineUnavailableError):
        await scene.reconcile()


async def test_passes_over_many_services_prepare_their_plan_once() -> None:
    scene = Scene(stack(service("web"), service("db")), running(), live(body("db")))
    since = asyncio.get_running_loop().time()
    for key in (WEB, Key("shop", "db")):
        await scene.reconciler.reconcile(Due(key, "test", since))

    assert scene.swarm.count("list", "service") == 1
    scene.reconciler.rest()
    await scene.reconciler.reconcile(Due(WEB, "test", since))
    assert scene.swarm.count("list", "service") == 2


async def test_the_registry_is_asked_where_it_must_be_and_its_answer_written() -> None:
    scene = Scene(stack(service()), resolve=Resolve.CHANGED)
    await scene.reconcile()

    assert scene.swarm.count("resolve", "nginx:1") == 1
    assert scene.swarm.bodies[0]["TaskTemplate"]["ContainerSpec"]["Image"] == "nginx:1@sha256:d"


async def test_what_is_not_declared_any_more_is_taken_from_the_board() -> None:
    scene = Scene(stack(service("web"), service("db")), running(), live(body("db")))
    await scene.reconcile()
    scene.declarations.accept(stack(service("db")))

    assert await scene.reconcile() == Verdict(PassResult.UNCHANGED, "not declared any more")
    assert scene.board.statuses() == []
    scene.reconciler.rest()
    assert scene.recorder.stacks == {"shop": []}


async def test_a_service_that_needs_what_the_stack_has_yet_to_make_wakes_the_stack() -> None:
    scene = Scene(stack(service(task={"Networks": [{"Target": "shop_n"}]}), networks=[network("shop_n")]))

    assert await scene.reconcile() == Verdict(PassResult.RETRY, "needs network shop_n", wake=(SHARED,))
    assert scene.swarm.bodies == []


async def test_shared_objects_that_were_made_wake_the_services() -> None:
    scene = Scene(stack(service(), networks=[network("shop_n")]))

    assert await scene.reconcile(SHARED) == Verdict(PassResult.CHANGED, wake=(WEB,))


async def test_shared_objects_that_could_not_be_made_wake_nobody() -> None:
    scene = Scene(stack(service(), networks=[network("shop_n")]))
    scene.swarm.answers = {"create network": RefusedError("no such driver")}

    verdict = await scene.reconcile(SHARED)

    assert (verdict.result, verdict.wake) == (PassResult.FAILED, ())


def pruning() -> Scene:
    desired = stack(service("web"), policy=StackPolicy(prune=True))
    return Scene(desired, running(), networks=(live_network("shop_old"),))


async def test_a_removal_rests_on_two_looks() -> None:
    scene = pruning()
    seconds = iter([0.001, 0.001])

    async def slowly(*call: Any, **parts: Any) -> list[Json]:
        await asyncio.sleep(next(seconds, 0.0))
        return await original(*call, **parts)

    original = scene.swarm.list_objects
    scene.swarm.list_objects = slowly  # type: ignore[method-assign] # time must pass between the looks
    await scene.reconcile(SHARED)

    assert scene.swarm.count("list", "network") == 2
    assert scene.swarm.calls[-1] == ("remove", "network", "net-shop_old")


async def test_what_only_the_first_look_would_remove_stays() -> None:
    scene = pruning()
    looks = 0
    original = scene.swarm.list_objects

    async def changing(kind: ObjectKind, **parts: Any) -> list[Json]:
        nonlocal looks
        await asyncio.sleep(0.001)
        if kind is SERVICE:
            looks += 1
            if looks == 2:  # somebody made a service that uses it
                using = body("late", task={"Networks": [{"Target": "net-shop_old"}]})
                scene.swarm.objects[SERVICE].append(live(using))
        return await original(kind, **parts)

    scene.swarm.list_objects = changing  # type: ignore[method-assign] # the world changes between the looks
    await scene.reconcile(SHARED)

    assert looks == 2
    assert scene.swarm.count("remove") == 0


async def test_a_journal_that_cannot_be_written_is_told_and_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene(stack(service()))
    scene.journal.broken = True

    assert (await scene.reconcile()).result is PassResult.CHANGED
    assert scene.swarm.count("create") == 1
    assert {record.message for record in caplog.records if record.levelname == "ERROR"} == {"journal"}


async def test_what_is_left_alone_is_told_when_that_changes_and_not_once_a_pass(caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene(stack(service(Mode={"Global": {}})), running())
    for _ in range(3):
        assert (await scene.reconcile()).result is PassResult.REPORTED

    assert [record.message for record in caplog.records].count("left alone") == 1


async def test_a_service_that_moves_for_long_is_looked_at_more_rarely() -> None:
    updating = live(body(), ServiceStatus={"RunningTasks": 1, "DesiredTasks": 1}, UpdateStatus={"State": "updating"})
    scene = Scene(stack(service()), updating)
    looks = []
    for seconds in (0, 30, 40, 200, 100):
        await asyncio.sleep(seconds)
        looks.append((await scene.reconcile()).look_again_seconds)

    assert looks == [1.0, 1.0, 5.0, 5.0, None]
    assert scene.board.statuses()[0].health is Health.PROGRESSING


async def test_after_a_containers_end_the_service_is_looked_at_again_when_its_task_has_been_reported() -> None:
    scene = Scene(stack(service()), running())

    assert (await scene.reconcile(reason="container die")).look_again_seconds == 0.3
    assert (await scene.reconcile(reason="moving")).look_again_seconds is None


async def test_a_service_short_of_replicas_past_its_deadline_is_degraded_and_left_to_the_resync() -> None:
    scene = Scene(stack(service()), live(body(), ServiceStatus={"RunningTasks": 0, "DesiredTasks": 1}))
    await scene.reconcile()
    await asyncio.sleep(119)

    assert (await scene.reconcile()).look_again_seconds == 5.0
    assert scene.board.statuses()[0].health is Health.PROGRESSING

    await asyncio.sleep(1)

    assert (await scene.reconcile()).look_again_seconds is None
    assert scene.board.statuses()[0].health is Health.DEGRADED


async def test_a_service_stops_waiting_where_somebody_else_made_it() -> None:
    scene = Scene(stack(service("web", depends_on=["db"]), service("db")))
    assert (await scene.reconcile()).reason == "waits for shop_db"
    scene.swarm.objects[SERVICE] = [running()]
    await asyncio.sleep(100)
    await scene.reconcile()
    scene.swarm.objects[SERVICE] = []
    await asyncio.sleep(100)

    assert (await scene.reconcile()).reason == "waits for shop_db"
