from __future__ import annotations

import pytest

from controller.model.plan import ObjectKind
from controller.simulator.behaviour import CRASHING, MISSING, Behaviour
from controller.simulator.engine import Simulator
from controller.simulator.records import TaskState
from tests.unit.simulator.conftest import SECOND, Scene


@pytest.mark.parametrize(
    ("policy", "delay"), [({}, 5.0), ({"RestartPolicy": {"Delay": 0}}, 0.0), ({"RestartPolicy": {"Delay": 60 * SECOND}}, 60.0)]
)
def test_the_restart_delay_is_constant_and_five_seconds_by_default(scene: Scene, policy: dict[str, object], delay: float) -> None:
    scene.start(scene.spec(template=policy))
    for _ in range(3):
        [task] = scene.sim.running("web")
        scene.sim.kill(task.id)
        scene.sim.advance(delay * 0.98)
        assert (len(scene.sim.running("web")) == 0) is (delay > 0) or delay == 0
        scene.sim.advance(delay * 0.02 + 2)
        assert len(scene.sim.running("web")) == 1


def test_a_killed_task_says_how_it_ended(scene: Scene) -> None:
    scene.start(scene.spec())
    [task] = scene.sim.running("web")
    scene.sim.kill(task.id)
    view = scene.sim.inspect(ObjectKind.TASK, task.id)
    assert (view["Status"]["State"], view["Status"]["Err"]) == ("failed", "task: non-zero exit (137)")
    assert view["Status"]["ContainerStatus"]["ExitCode"] == 137


def test_a_crash_loop_keeps_five_tasks_of_its_slot(scene: Scene) -> None:
    scene.sim.images["bad"] = CRASHING
    scene.start(scene.spec(image="bad"), seconds=120)
    assert len(scene.sim.tasks("web")) == 5


def test_an_image_that_is_missing_is_tried_again_after_each_delay(scene: Scene) -> None:
    scene.sim.images["gone"] = MISSING
    scene.start(scene.spec(image="gone"), seconds=14)
    assert [word for word, _ in scene.words()].count(
        "rejected"
    ) == 4  # the next one is prepared, and rejected, ahead of its delay
    scene.sim.images["gone"] = Behaviour()
    scene.sim.advance(10)
    assert scene.images() == ["gone"]


def test_attempts_within_a_window_are_counted_and_older_ones_are_not(scene: Scene) -> None:
    scene.sim.images["flaky"] = Behaviour(exits_after=10, exit_code=1)
    policy = {"Condition": "any", "Delay": SECOND, "MaxAttempts": 2}
    scene.start(scene.spec("limited", image="flaky", template={"RestartPolicy": policy}), seconds=120)
    scene.start(scene.spec("windowed", image="flaky", template={"RestartPolicy": {**policy, "Window": 15 * SECOND}}), seconds=120)
    assert len(scene.sim.tasks("limited")) == 3
    assert scene.sim.tasks("limited")[0].desired is TaskState.SHUTDOWN
    assert len(scene.sim.store.tasks_of_slot(scene.sim.service("windowed").id, 1)) == 3
    assert scene.sim.tasks("windowed")[0].desired <= TaskState.RUNNING


def test_replicas_are_spread_over_the_nodes(three_nodes: Scene) -> None:
    three_nodes.start(three_nodes.spec(replicas=6))
    nodes = [task.node_id for task in three_nodes.sim.running("web")]
    assert sorted(nodes.count(node) for node in set(nodes)) == [2, 2, 2]


def test_a_scale_down_takes_from_the_slots_that_do_not_run_first(scene: Scene) -> None:
    scene.start(scene.spec(replicas=3))
    scene.sim.kill(scene.sim.running("web")[0].id)
    scene.write(scene.spec(replicas=2))
    scene.sim.advance(1)
    assert [task.slot for task in scene.sim.running("web")] == [2, 3]


def test_a_node_that_fails_is_noticed_late_and_its_tasks_start_elsewhere_after_the_delay(three_nodes: Scene) -> None:
    sim = three_nodes.sim
    three_nodes.start(three_nodes.spec(replicas=3))
    lost = next(task for task in sim.running("web") if sim.nodes.get(task.node_id).hostname == "node2")
    sim.fail_node("node2")
    sim.advance(14)
    assert len(sim.running("web")) == 3
    sim.advance(3)
    assert len(sim.running("web")) == 2
    assert sim.inspect(ObjectKind.NODE, "node2")["Status"] == {
        "State": "down",
        "Addr": "192.0.2.2",
        "Message": "heartbeat failure",
    }
    sim.advance(5)
    assert len(sim.running("web")) == 3
    assert (sim.task(lost.id).state, sim.task(lost.id).desired) == (TaskState.RUNNING, TaskState.SHUTDOWN)
    sim.recover_node("node2")
    sim.advance(2)
    assert sim.task(lost.id).state is TaskState.SHUTDOWN
    assert "node2" not in {sim.nodes.get(task.node_id).hostname for task in sim.running("web")}


def test_a_node_that_is_back_before_anybody_noticed_was_never_down(three_nodes: Scene) -> None:
    sim = three_nodes.sim
    three_nodes.start(three_nodes.spec(replicas=3))
    before = [task.id for task in sim.running("web")]
    sim.fail_node("node2", noticed_after=10)
    sim.advance(5)
    sim.recover_node("node2")
    sim.advance(30)
    assert sim.inspect(ObjectKind.NODE, "node2")["Status"]["State"] == "ready"
    assert [task.id for task in sim.running("web")] == before


def test_a_node_that_was_never_cut_off_is_not_disturbed_by_coming_back(scene: Scene) -> None:
    scene.sim.images["slow"] = Behaviour(prepare_seconds=10)
    scene.start(scene.spec(image="slow"), seconds=8)
    scene.sim.recover_node("node1")
    scene.sim.advance(4)
    assert scene.images() == ["slow"]


def test_a_node_that_is_cut_off_starts_nothing_until_it_is_back(scene: Scene) -> None:
    scene.sim.fail_node("node1", noticed_after=1e6)
    scene.start(scene.spec(image="new"))
    assert scene.images() == []
    scene.sim.recover_node("node1")
    scene.sim.advance(5)
    assert scene.images() == ["new"]


@pytest.mark.parametrize("seconds", [0.25, 3.0])
def test_a_task_that_starts_or_runs_on_a_node_that_is_cut_off_goes_on_when_it_is_back(scene: Scene, seconds: float) -> None:
    scene.sim.images["ends"] = Behaviour(start_seconds=1, exits_after=20, exit_code=1)
    scene.start(scene.spec(image="ends"), seconds=seconds)
    scene.sim.fail_node("node1", noticed_after=1e6)
    scene.sim.advance(60)
    assert not any(task.has_ended for task in scene.sim.tasks("web"))
    scene.sim.recover_node("node1")
    scene.sim.advance(25)
    assert [task.state for task in scene.sim.tasks("web") if task.has_ended] == [TaskState.FAILED]


def test_a_node_that_fails_while_a_task_starts_there_goes_on_with_it_when_it_is_back(scene: Scene) -> None:
    scene.sim.images["slow"] = Behaviour(prepare_seconds=10)
    scene.start(scene.spec(image="slow"), seconds=1)
    scene.sim.fail_node("node1", noticed_after=1e6)
    scene.sim.advance(60)
    assert scene.words() == [("preparing", "running")]
    scene.sim.recover_node("node1")
    scene.sim.advance(12)
    assert scene.images() == ["slow"]


def test_a_drain_moves_all_tasks_at_once_and_without_a_delay(three_nodes: Scene) -> None:
    sim = three_nodes.sim
    three_nodes.start(three_nodes.spec(replicas=6))
    sim.set_availability("node1", "drain")
    sim.advance(2)
    assert {sim.nodes.get(task.node_id).hostname for task in sim.running("web")} == {"node2", "node3"}
    assert len(sim.running("web")) == 6


def test_a_label_that_no_longer_fits_evicts_the_task(three_nodes: Scene) -> None:
    sim = three_nodes.sim
    for name in ("node2", "node3"):
        node = sim.nodes.get(name)
        sim.update(ObjectKind.NODE, name, node.version, {**node.spec, "Labels": {"disk": "fast"}})
    three_nodes.start(three_nodes.spec(template={"Placement": {"Constraints": ["node.labels.disk==fast"]}}))
    [task] = sim.running("web")
    host = sim.nodes.get(task.node_id)
    sim.update(ObjectKind.NODE, host.id, host.version, {**host.spec, "Labels": {}})
    sim.advance(8)
    assert (sim.task(task.id).state, sim.task(task.id).err) == (TaskState.REJECTED, "assigned node no longer meets constraints")
    [moved] = sim.running("web")
    assert moved.node_id not in (host.id, "")


def test_a_global_service_follows_the_nodes(three_nodes: Scene) -> None:
    sim = three_nodes.sim
    three_nodes.start(three_nodes.spec(Mode={"Global": {}}) | {"Mode": {"Global": {}}})
    assert len(sim.running("web")) == 3
    sim.add_node()
    sim.set_availability("node2", "drain")
    sim.advance(3)
    assert {sim.nodes.get(task.node_id).hostname for task in sim.running("web")} == {"node1", "node3", "node4"}
    sim.set_availability("node2", "active")
    sim.advance(3)
    assert len(sim.running("web")) == 4
    three_nodes.write(
        three_nodes.spec(template={"Placement": {"Constraints": ["node.role==manager"]}}) | {"Mode": {"Global": {}}}
    )
    sim.advance(3)
    assert [sim.nodes.get(task.node_id).hostname for task in sim.running("web")] == ["node1"]


def test_a_node_can_be_removed_once_it_is_down(three_nodes: Scene) -> None:
    three_nodes.sim.fail_node("node3", noticed_after=0)
    three_nodes.sim.advance(1)
    three_nodes.sim.remove(ObjectKind.NODE, "node3")
    assert len(three_nodes.sim.list_objects(ObjectKind.NODE)) == 2


def test_a_failed_job_task_is_tried_again_after_its_delay(scene: Scene) -> None:
    scene.sim.images["bad"] = CRASHING
    scene.start(scene.spec(image="bad") | {"Mode": {"ReplicatedJob": {}}}, seconds=4)
    assert len(scene.sim.tasks("web")) == 1
    scene.sim.advance(5)
    assert len(scene.sim.tasks("web")) == 2


def test_a_global_job_runs_once_on_each_node(three_nodes: Scene) -> None:
    three_nodes.sim.images["once"] = Behaviour(exits_after=1)
    three_nodes.start(three_nodes.spec(image="once") | {"Mode": {"GlobalJob": {}}}, seconds=5)
    assert three_nodes.words() == [("complete", "complete")] * 3


def test_a_removed_jobs_running_tasks_run_on(scene: Scene) -> None:
    scene.start(scene.spec() | {"Mode": {"ReplicatedJob": {}}})
    scene.sim.remove(ObjectKind.SERVICE, "web")
    scene.sim.advance(60)
    assert [task.state for task in scene.sim.store.tasks.values()] == [TaskState.RUNNING]


def test_a_task_that_outlasts_its_stop_is_replaced_after_a_minute_all_the_same(scene: Scene) -> None:
    scene.sim.images["stubborn"] = Behaviour(stop_seconds=1e6)
    scene.start(scene.spec(image="stubborn"))
    scene.write(scene.spec(image="good:2"))
    scene.sim.advance(55)
    assert scene.images() == []
    scene.sim.advance(10)
    assert scene.images() == ["good:2"]


def test_five_thousand_tasks_start_in_moments_of_real_time() -> None:
    scene = Scene(nodes=5)
    for number in range(1000):
        scene.sim.create(ObjectKind.SERVICE, scene.spec(f"s{number}", replicas=5))
    scene.sim.advance(3)
    assert sum(task.is_up for task in scene.sim.store.tasks.values()) == 5000


def test_the_same_seed_gives_the_same_ids() -> None:
    ids = [[node["ID"] for node in Simulator(seed=seed).list_objects(ObjectKind.NODE)] for seed in (1, 1, 2)]
    assert (ids[0] == ids[1], ids[1] == ids[2]) == (True, False)


def test_what_a_task_reserves_is_gone_from_its_node_until_it_ends(scene: Scene) -> None:
    reserved = {"Resources": {"Reservations": {"MemoryBytes": 5 << 30}}}  # of the eight that a node has
    scene.start(scene.spec(template=reserved))
    scene.start(scene.spec("late", template=reserved))
    [waiting] = scene.sim.tasks("late")
    assert (waiting.state, waiting.err) == (TaskState.PENDING, "no suitable node (insufficient resources on 1 node)")
    scene.sim.remove(ObjectKind.SERVICE, "web")
    scene.sim.advance(2)
    assert len(scene.sim.running("late")) == 1
