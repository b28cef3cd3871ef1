"""`apply` against the simulator: one plan after another until nothing is left, then the wait for tasks."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest

from controller.core.images import Resolve
from controller.core.planner import Options
from controller.core.state import STATE_NAME
from controller.engine.apply import Limits, apply_stack
from controller.engine.convergence import task_error
from controller.engine.executor import ActionResult, Executor
from controller.engine.memory import Memory
from controller.engine.observer import Observer
from controller.engine.pausing import set_paused
from controller.engine.planning import plan_stack
from controller.errors import NotConvergedError, ProdBreakerError
from controller.model.plan import Action, ObjectKind, Plan
from controller.model.policy import DriftMode, RollbackPolicy, ServicePolicy
from controller.model.spec import DesiredStack, Json
from controller.model.status import ServiceStatus
from controller.simulator.behaviour import CRASHING, MISSING
from controller.simulator.engine import Simulator
from controller.simulator.faults import Fault, Site
from controller.simulator.inprocess import InProcessSwarm
from controller.simulator.refusals import RefusalError
from tests.integration.test_healing import WEB, with_env
from tests.support.fakes import LoopClock, changed
from tests.support.rig import REVISION
from tests.support.specs import content, mounted, network, service, snapshot, stack

pytestmark = pytest.mark.looptime
NEVER = Options(resolve=Resolve.NEVER)
PRUNE = Options(resolve=Resolve.NEVER, prune=True)
SERVICE, NETWORK = ObjectKind.SERVICE, ObjectKind.NETWORK
SLOW = Fault(delay=0.002)


@dataclass
class Seen:
    """Implements controller.engine.convergence.Progress."""

    plans: list[Plan] = field(default_factory=list)
    results: list[ActionResult] = field(default_factory=list)
    waited: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    given_up: list[str] = field(default_factory=list)
    statuses: list[Sequence[ServiceStatus]] = field(default_factory=list)
    errors: dict[str, str] = field(default_factory=dict)

    def planned(self, plan: Plan) -> None:
        self.plans.append(plan)

    def acted(self, result: ActionResult) -> None:
        self.results.append(result)

    def waits(self, action: Action, unready: Sequence[str]) -> None:
        self.waited.append((action.name, tuple(unready)))

    def waited_enough(self, action: Action, unready: Sequence[str]) -> None:
        self.given_up.append(action.name)

    def converging(self, statuses: Sequence[ServiceStatus], errors: Mapping[str, str]) -> None:
        self.statuses.append(statuses)
        self.errors |= errors


class Scene:
    def __init__(self) -> None:
        self.sim = Simulator()
        self.sim.gate.hook = lambda site: SLOW
        self.swarm = InProcessSwarm(self.sim)

    async def apply(
        self, desired: DesiredStack, options: Options = NEVER, *, timeout_seconds: float = 600, wait: bool = True
    ) -> Seen:
        seen = Seen()
        self.sim.gate.forget()
        executor = Executor(self.swarm, LoopClock(), with_registry_auth=False)
        try:
            await apply_stack(self.swarm, executor, desired, options, Limits(timeout_seconds, wait), seen)
        finally:
            self.swarm.close()
        return seen

    @property
    def writes(self) -> list[str]:
        """In order; what is kept of revisions stands in `records`."""
        return [write for write in self._writes() if REVISION not in write]

    @property
    def records(self) -> list[str]:
        return [f"{write.split()[0]} {write.rpartition('_')[2]}" for write in self._writes() if REVISION in write]

    def _writes(self) -> list[str]:
        return [f"{call.site.operation} {call.site.target}" for call in self.sim.gate.writes()]

    def env(self, name: str) -> Any:
        return self.sim.inspect(SERVICE, name)["Spec"]["TaskTemplate"]["ContainerSpec"].get("Env")

    def edit(self, name: str, env: str) -> None:
        live = self.sim.inspect(SERVICE, name)
        self.sim.update(SERVICE, name, live["Version"]["Index"], with_env(live["Spec"], env))


@pytest.fixture
def scene() -> Scene:
    return Scene()


async def test_apply_makes_a_stack_and_waits_until_it_runs(scene: Scene) -> None:
    attached = {"Networks": [{"Target": "shop_default"}]}
    seen = await scene.apply(stack(service("web", Mode=WEB, task=attached), service("db"), networks=[network()]))

    assert scene.writes[0] == "create network/shop_default"
    assert len(scene.sim.running("shop_web")) == 3
    assert [len(plan.actions) for plan in seen.plans] == [3]
    assert [status.running for status in seen.statuses[-1]] == [3, 1]
    assert {result.outcome.value for result in seen.results} == {"done"}


async def test_apply_again_writes_nothing(scene: Scene) -> None:
    desired = stack(service("web"), networks=[network()])
    await scene.apply(desired)

    seen = await scene.apply(desired)

    assert scene.writes == []
    assert seen.plans[0].is_empty


async def test_without_waiting_apply_ends_when_everything_is_written(scene: Scene) -> None:
    seen = await scene.apply(stack(service("web")), wait=False)

    assert scene.writes == ["create service/shop_web"]
    assert seen.statuses == []


async def test_a_service_is_created_after_those_it_depends_on_run(scene: Scene) -> None:
    seen = await scene.apply(stack(service("web", depends_on=["db"]), service("db")))

    assert scene.writes == ["create service/shop_db", "create service/shop_web"]
    assert seen.waited == [("shop_web", ("shop_db",))]
    created = scene.sim.service("shop_web").created_ns
    assert all(task.created_ns < created for task in scene.sim.running("shop_db"))


async def test_at_the_deadline_a_service_is_created_all_the_same_and_that_is_told(scene: Scene) -> None:
    scene.sim.images["nginx:2"] = CRASHING
    policy = ServicePolicy(rollback=RollbackPolicy(deadline=timedelta(seconds=20)))
    desired = stack(service("web", depends_on=["db"], policy=policy), service("db", "nginx:2"))

    with pytest.raises(NotConvergedError, match="shop_db"):
        await scene.apply(desired, timeout_seconds=60)

    assert scene.writes == ["create service/shop_db", "create service/shop_web"]


async def test_a_timeout_ends_the_wait_for_a_dependency(scene: Scene) -> None:
    scene.sim.images["nginx:2"] = CRASHING

    with pytest.raises(NotConvergedError, match="shop_web still waits"):
        await scene.apply(stack(service("web", depends_on=["db"]), service("db", "nginx:2")), timeout_seconds=30)

    assert scene.writes == ["create service/shop_db"]


async def test_tasks_that_do_not_run_in_time_are_told_with_their_error(scene: Scene) -> None:
    scene.sim.images["nginx:2"] = MISSING

    with pytest.raises(NotConvergedError, match=r"not converged in 3\d s: shop_web: task 1 rejected: .*nginx:2"):
        await scene.apply(stack(service("web", "nginx:2")), timeout_seconds=30)


@pytest.mark.parametrize(("action", "words"), [("pause", "its update is paused"), ("rollback", "Swarm rolled it back")])
async def test_an_update_that_ends_badly_is_an_error_at_once(scene: Scene, action: str, words: str) -> None:
    config: dict[str, Any] = {"UpdateConfig": {"Parallelism": 1, "FailureAction": action}}
    await scene.apply(stack(service("web", Mode=WEB, **config)))
    scene.sim.images["nginx:2"] = CRASHING

    with pytest.raises(NotConvergedError, match=f"shop_web: {words}"):
        await scene.apply(stack(service("web", "nginx:2", Mode=WEB, **config)))

    assert scene.sim.timeline.now_ns - scene.sim.service("shop_web").updated_ns < 60e9


async def test_what_the_engine_refuses_is_told_and_nothing_is_pruned_after_it(scene: Scene) -> None:
    await scene.apply(stack(service("web"), service("old")))
    bad = service("new", task={"Placement": {"Constraints": ["nonsense"]}})

    with pytest.raises(ProdBreakerError, match="create service shop_new"):
        await scene.apply(stack(service("web"), bad), PRUNE)

    assert [write for write in scene.writes if write.startswith("remove")] == []


async def test_prune_takes_services_then_what_they_used(scene: Scene) -> None:
    old = service("old", task={"Networks": [{"Target": "shop_old"}]}, container={"Configs": [mounted("Config", "shop_c")]})
    await scene.apply(stack(service("web"), old, networks=[network("shop_old")], configs=[content("shop_c")]))

    await scene.apply(stack(service("web")), PRUNE)

    assert scene.writes[0] == "remove service/shop_old"
    assert sorted(scene.writes[1:]) == ["remove config/shop_c", "remove network/shop_old"]


async def test_nothing_is_removed_while_a_service_still_waits_for_another(scene: Scene) -> None:
    await scene.apply(stack(service("keep"), service("old")))

    await scene.apply(stack(service("keep"), service("db"), service("web", depends_on=["db"])), PRUNE)

    assert scene.writes == ["create service/shop_db", "create service/shop_web", "remove service/shop_old"]


async def test_a_secret_makes_the_clusters_key_first(scene: Scene) -> None:
    uses = {"Secrets": [mounted("Secret", "shop_s")]}

    await scene.apply(stack(service("web", container=uses), secrets=[content("shop_s")]))

    assert scene.writes == [f"create config/{STATE_NAME}", "create secret/shop_s", "create service/shop_web"]


async def test_another_writer_in_between_means_to_look_again(scene: Scene) -> None:
    await scene.apply(stack(service("web")))
    stale = RefusalError(500, "rpc error: code = Unknown desc = update out of sequence")
    scene.sim.gate.hook = lambda site: Fault(error=stale) if site == Site("update", "service/shop_web", 1) else SLOW

    seen = await scene.apply(stack(service("web", container={"Env": ["A=1"]})))

    assert scene.writes == ["update service/shop_web"] * 2
    assert [result.outcome.value for result in seen.results] == ["superseded", "done"]


async def test_another_writer_who_never_stops_is_given_up(scene: Scene) -> None:
    await scene.apply(stack(service("web")))
    stale = RefusalError(500, "rpc error: code = Unknown desc = update out of sequence")
    scene.sim.gate.hook = lambda site: Fault(error=stale) if site.operation == "update" else SLOW

    with pytest.raises(ProdBreakerError, match="shop_web: given up after 8 attempts"):
        await scene.apply(stack(service("web", container={"Env": ["A=1"]})))


async def test_drift_under_a_running_update_is_reverted_once_that_has_ended(scene: Scene) -> None:
    slow: dict[str, Any] = {"UpdateConfig": {"Parallelism": 1, "Delay": 5_000_000_000}}
    desired = stack(service("web", Mode=WEB, container={"Env": ["A=1"]}, **slow))
    await scene.apply(desired)
    scene.edit("shop_web", "A=2")

    await scene.apply(desired)

    assert scene.env("shop_web") == ["A=1"]


async def test_an_update_that_never_ends_is_waited_for_until_the_timeout(scene: Scene) -> None:
    desired = stack(service("web", Mode=WEB))
    await scene.apply(desired)
    live = scene.sim.inspect(SERVICE, "shop_web")
    stuck = changed(live["Spec"], lambda spec: spec["TaskTemplate"].update(Placement={"Constraints": ["node.role==worker"]}))
    stuck = with_env(stuck, "A=1")
    scene.sim.update(SERVICE, "shop_web", live["Version"]["Index"], stuck)

    with pytest.raises(NotConvergedError, match="shop_web: Swarm's updater is at work"):
        await scene.apply(desired, timeout_seconds=30)


async def test_a_global_service_has_converged_only_when_its_tasks_run(scene: Scene) -> None:
    for _ in range(2):
        scene.sim.add_node()

    await scene.apply(stack(service("agent", Mode={"Global": {}})))

    assert len(scene.sim.running("shop_agent")) == 3


async def test_a_changed_port_has_converged_only_when_tasks_were_replaced(scene: Scene) -> None:
    await scene.apply(stack(service("web", Mode=WEB)))
    before = {task.id for task in scene.sim.running("shop_web")}

    ports: dict[str, Any] = {"EndpointSpec": {"Ports": [{"TargetPort": 80, "PublishedPort": 8080, "PublishMode": "ingress"}]}}
    await scene.apply(stack(service("web", Mode=WEB, **ports)))

    assert not before & {task.id for task in scene.sim.running("shop_web")}


@pytest.mark.parametrize(
    ("desired", "words"),
    [
        (stack(service("web", Mode={"Global": {}})), "mode of a service cannot be changed"),
        (stack(service("web"), networks=[network("front", external=True)]), "network front: is declared as external"),
        (stack(service("web"), service("foreign")), "service shop_foreign: exists and does not belong"),
    ],
)
async def test_what_apply_cannot_do_is_an_error_at_the_end(scene: Scene, desired: DesiredStack, words: str) -> None:
    scene.sim.create(SERVICE, {"Name": "shop_foreign", "TaskTemplate": {"ContainerSpec": {"Image": "nginx:1"}}})
    await scene.apply(stack(service("web")))

    with pytest.raises(ProdBreakerError, match=words):
        await scene.apply(desired)


async def test_drift_that_is_only_reported_is_an_error_at_the_end(scene: Scene) -> None:
    desired = stack(service("web", container={"Env": ["A=1"]}, policy=ServicePolicy(drift=DriftMode.REPORT)))
    await scene.apply(desired)
    scene.edit("shop_web", "A=2")

    with pytest.raises(ProdBreakerError, match="its drift is only reported"):
        await scene.apply(desired)

    assert scene.writes == []


async def test_a_paused_stack_is_an_error(scene: Scene) -> None:
    await set_paused(scene.swarm, LoopClock(), "shop", paused=True)

    with pytest.raises(ProdBreakerError, match="is paused"):
        await scene.apply(stack(service("web")))

    assert scene.writes == []


async def test_an_image_that_no_registry_has_is_an_error_and_nothing_runs_unpinned(scene: Scene) -> None:
    scene.sim.images["nginx:9"] = MISSING

    with pytest.raises(ProdBreakerError, match="nginx:9 cannot be pinned to a digest"):
        await scene.apply(stack(service("web", "nginx:9")), Options())

    assert scene.writes == []


async def test_a_plan_alone_writes_nothing_and_asks_the_registry_once_per_image(scene: Scene) -> None:
    desired = stack(service("a"), service("b"), service("c", "nginx:2"))
    plan = await plan_stack(
        scene.swarm, Observer(scene.swarm), Memory(), desired, Options(), since=asyncio.get_running_loop().time()
    )
    scene.swarm.close()

    assert len(plan.actions) == 3
    assert scene.writes == []
    assert [call.site.target for call in scene.sim.gate.calls if call.site.operation == "resolve"] in (
        ["nginx:1", "nginx:2"],
        ["nginx:2", "nginx:1"],
    )


def failed(error: str, time: str, **parts: Any) -> Json:
    return {"Status": {"State": "failed", "Err": error, "Timestamp": time}, **parts}


@pytest.mark.looptime(False)
def test_the_newest_error_of_a_service_is_told_with_its_place() -> None:
    live = {"ID": "web", "Spec": {"Name": "shop_web"}}
    nodes = [{"ID": "n1", "Description": {"Hostname": "alpha"}}, {"ID": "n2"}]
    tasks = {"web": [failed("old", "1", Slot=1), failed("new", "2", NodeID="n1"), {"Status": {"State": "running"}}]}
    seen = replace(snapshot(live, nodes=nodes), tasks=tasks)

    assert task_error(seen, "shop_web") == "task alpha failed: new"
    assert task_error(replace(seen, tasks={"web": [failed("x", "1", Slot=2)]}), "shop_web") == "task 2 failed: x"
    assert task_error(replace(seen, tasks={"web": [failed("x", "1", NodeID="n2")]}), "shop_web") == "task n2 failed: x"
    assert task_error(replace(seen, tasks={"web": [failed("x", "1")]}), "shop_web") == "task ? failed: x"
    assert task_error(replace(seen, tasks={}), "shop_web") == ""
    assert task_error(seen, "shop_gone") == ""
