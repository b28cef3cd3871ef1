from __future__ import annotations

from typing import Any

import pytest

from controller.simulator.behaviour import CRASHING, UNHEALTHY, Behaviour
from controller.simulator.records import UpdateState
from tests.unit.simulator.conftest import SECOND, Scene


def test_parallelism_slots_are_replaced_at_a_time_with_the_delay_between(scene: Scene) -> None:
    config = {"Parallelism": 2, "Delay": 30 * SECOND}
    scene.start(scene.spec(replicas=4))
    scene.write(scene.spec(image="good:2", replicas=4, UpdateConfig=config))
    scene.sim.advance(20)
    assert sorted(scene.images()) == ["good:1", "good:1", "good:2", "good:2"]
    scene.sim.advance(20)
    assert (scene.images(), scene.state()) == (["good:2"] * 4, "updating")
    scene.sim.advance(30)
    assert scene.state() == "completed"


def test_an_update_is_complete_when_the_monitor_time_has_passed(scene: Scene) -> None:
    scene.start(scene.spec())
    scene.write(scene.spec(image="good:2", UpdateConfig={"Parallelism": 1, "Monitor": 60 * SECOND}))
    scene.sim.advance(50)
    assert (scene.images(), scene.state()) == (["good:2"], "updating")
    scene.sim.advance(15)
    assert scene.state() == "completed"


def test_a_crash_within_the_monitor_time_fails_the_update_and_one_after_it_does_not(scene: Scene) -> None:
    config = {"Parallelism": 1, "FailureAction": "rollback", "Monitor": 20 * SECOND}
    for name, after, state in (("early", 10.0, "rollback_completed"), ("late", 40.0, "completed")):
        scene.sim.images[f"{name}:2"] = Behaviour(exits_after=after, exit_code=1)
        scene.start(scene.spec(name))
        scene.write(scene.spec(name, image=f"{name}:2", UpdateConfig=config))
        scene.sim.advance(100)
        assert scene.state(name) == state


def test_a_crash_at_once_pauses_before_the_next_slot_is_touched(scene: Scene) -> None:
    scene.sim.images["bad"] = CRASHING
    scene.start(scene.spec(replicas=3))
    scene.write(scene.spec(image="bad", replicas=3))
    scene.sim.advance(10)
    assert (scene.state(), scene.images()) == ("paused", ["good:1"] * 2)


def test_a_crash_soon_after_the_start_touches_further_slots_before_it_pauses(scene: Scene) -> None:
    scene.sim.images["bad"] = Behaviour(exits_after=0.5, exit_code=1)
    scene.start(scene.spec(replicas=3))
    scene.write(scene.spec(image="bad", replicas=3))
    scene.sim.advance(2.5)
    assert (scene.state(), scene.images()) == ("paused", ["good:1"])


def test_a_task_that_never_gets_healthy_pauses_the_update(scene: Scene) -> None:
    scene.sim.images["sick"] = UNHEALTHY
    scene.start(scene.spec())
    spec = scene.spec(image="sick")
    spec["TaskTemplate"]["ContainerSpec"]["Healthcheck"] = {"Test": ["CMD", "x"], "Interval": 10 * SECOND, "Retries": 3}
    scene.write(spec)
    scene.sim.advance(25)
    assert scene.state() == "updating"
    scene.sim.advance(15)
    assert scene.state() == "paused"


def test_an_update_whose_task_never_starts_lasts_for_ever(scene: Scene) -> None:
    scene.sim.images["slow"] = Behaviour(prepare_seconds=1e6)
    scene.start(scene.spec())
    scene.write(scene.spec(image="slow", UpdateConfig={"Parallelism": 1, "FailureAction": "rollback"}))
    scene.sim.advance(86_400)
    assert (scene.state(), scene.images()) == ("updating", [])


def test_a_newer_spec_cancels_the_update_that_runs(scene: Scene) -> None:
    config = {"Parallelism": 1, "Delay": 20 * SECOND}
    scene.start(scene.spec(replicas=2))
    scene.write(scene.spec(image="good:2", replicas=2, UpdateConfig=config))
    scene.sim.advance(5)
    scene.write(scene.spec(image="good:3", replicas=2, UpdateConfig={"Parallelism": 0}))
    scene.sim.advance(10)
    assert (scene.images(), scene.state()) == (["good:3"] * 2, "completed")


def test_a_label_written_during_an_update_starts_it_anew(scene: Scene) -> None:
    scene.start(scene.spec(replicas=2))
    config = {"Parallelism": 1, "Delay": 20 * SECOND}
    scene.write(scene.spec(image="good:2", replicas=2, UpdateConfig=config))
    scene.sim.advance(5)
    started = scene.sim.service("web").update_status
    scene.write(scene.spec(image="good:2", replicas=2, UpdateConfig=config, Labels={"a": "b"}))
    assert scene.state() == ""
    scene.sim.advance(1)
    again = scene.sim.service("web").update_status
    assert started is not None
    assert again is not None
    assert (again.state, again.started_ns != started.started_ns) == (UpdateState.UPDATING, True)
    scene.sim.advance(60)
    assert (scene.images(), scene.state()) == (["good:2"] * 2, "completed")


def test_going_back_to_the_old_spec_during_an_update_keeps_the_tasks_that_still_fit(scene: Scene) -> None:
    scene.start(scene.spec(replicas=3))
    before = {task.id for task in scene.sim.running("web")}
    scene.write(scene.spec(image="good:2", replicas=3, UpdateConfig={"Parallelism": 1, "Delay": 60 * SECOND}))
    scene.sim.advance(5)
    scene.write(scene.spec(replicas=3))
    scene.sim.advance(20)
    assert scene.images() == ["good:1"] * 3
    assert len(before & {task.id for task in scene.sim.running("web")}) == 2


def test_a_rollback_without_a_previous_spec_is_left_undone(scene: Scene) -> None:
    scene.sim.images["bad"] = CRASHING
    config = {"Parallelism": 1, "FailureAction": "rollback"}
    scene.start(scene.spec(UpdateConfig=config))
    scene.write(scene.spec(image="bad", UpdateConfig=config))
    scene.sim.advance(20)
    assert (scene.state(), scene.images()) == ("rollback_completed", ["good:1"])
    assert scene.sim.service("web").previous_spec is None


def test_a_crashing_rollback_with_rollback_as_its_failure_action_goes_on_to_break_the_rest(scene: Scene) -> None:
    """Seen on a real engine (20.10), state by state: the pause is overwritten, and what is completed is updated again."""
    scene.sim.images["bad"] = CRASHING
    configs: dict[str, Any] = {
        "UpdateConfig": {"Parallelism": 0},
        "RollbackConfig": {"Parallelism": 1, "FailureAction": "rollback"},
    }
    template = {"RestartPolicy": {"Delay": 3600 * SECOND}}
    good = scene.spec(replicas=3, template=template, **configs)
    scene.start(scene.spec(image="bad", replicas=3, template=template, **configs))
    scene.write(good)
    scene.sim.advance(20)
    service = scene.sim.service("web")
    scene.sim.services.update("web", service.version, good, api=(1, 47), rollback="previous")
    scene.sim.advance(3)
    assert (scene.state(), len(scene.images())) == ("rollback_paused", 2)
    scene.sim.advance(10)
    assert (scene.state(), len(scene.images())) == ("paused", 0)
    status = scene.sim.service("web").update_status
    assert status is not None
    assert status.completed_ns is not None


def test_start_first_keeps_the_old_task_until_the_new_one_runs(scene: Scene) -> None:
    scene.sim.images["slow"] = Behaviour(start_seconds=20)
    scene.start(scene.spec())
    scene.write(scene.spec(image="slow", UpdateConfig={"Parallelism": 1, "Order": "start-first"}))
    scene.sim.advance(15)
    assert scene.images() == ["good:1"]
    scene.sim.advance(10)
    assert scene.images() == ["slow"]


@pytest.mark.parametrize(("policy", "ran_again"), [("any", True), ("none", False)])
def test_a_slot_that_is_over_is_updated_too(scene: Scene, policy: str, ran_again: bool) -> None:
    scene.sim.images["once"] = Behaviour(exits_after=1)
    template = {"RestartPolicy": {"Condition": policy, "Delay": SECOND}}
    scene.start(scene.spec(image="once", template=template), seconds=10)
    assert (len(scene.sim.tasks("web")) > 1) is ran_again
    scene.write(scene.spec(template=template))
    scene.sim.advance(10)
    assert scene.images() == ["good:1"]


def test_scaling_down_during_an_update_removes_slots_and_finishes(scene: Scene) -> None:
    scene.start(scene.spec(replicas=4))
    scene.write(scene.spec(image="good:2", replicas=4))
    scene.sim.advance(0.5)
    scene.write(scene.spec(image="good:2", replicas=1))
    scene.sim.advance(20)
    assert (scene.images(), scene.state()) == (["good:2"], "completed")


def test_a_service_removed_during_its_update_leaves_nothing(scene: Scene) -> None:
    scene.start(scene.spec(replicas=2))
    scene.write(scene.spec(image="good:2", replicas=2))
    scene.sim.advance(0.5)
    scene.sim.services.remove("web")
    scene.sim.advance(30)
    assert scene.sim.store.tasks == {}


def test_a_label_written_during_a_start_first_update_takes_the_old_task_down_before_the_new_one_runs(scene: Scene) -> None:
    """Seen on a real engine too: the updater that starts anew finds a task of the new spec, and is content with it."""
    scene.sim.images["slow"] = Behaviour(start_seconds=20)
    config = {"Parallelism": 1, "Order": "start-first"}
    scene.start(scene.spec())
    scene.write(scene.spec(image="slow", UpdateConfig=config))
    scene.sim.advance(5)
    assert scene.images() == ["good:1"]
    scene.write(scene.spec(image="slow", UpdateConfig=config, Labels={"a": "b"}))
    scene.sim.advance(1)
    assert scene.images() == []
    scene.sim.advance(20)
    assert scene.images() == ["slow"]


def test_a_rollback_can_be_completed_while_its_replica_still_waits_out_a_restart_delay(scene: Scene) -> None:
    """Seen on a real engine in two runs of four: the replacement was of the old spec already, with nothing to roll back."""
    scene.sim.images["bad"] = CRASHING
    template = {"RestartPolicy": {"Delay": 60 * SECOND}}
    scene.start(scene.spec(template=template))
    update = {"Parallelism": 1, "FailureAction": "rollback"}
    scene.write(scene.spec(image="bad", template=template, UpdateConfig=update))
    scene.sim.advance(20)
    assert (scene.state(), scene.images()) == ("rollback_completed", [])
    scene.sim.advance(60)
    assert scene.images() == ["good:1"]


def test_a_task_of_the_new_spec_goes_on_waiting_out_its_delay_when_the_service_is_written_again(scene: Scene) -> None:
    scene.sim.images["bad"] = Behaviour(exits_after=3, exit_code=1)
    template = {"RestartPolicy": {"Delay": 3600 * SECOND}}
    scene.start(scene.spec(replicas=2, image="bad", template=template), seconds=10)
    scene.write(scene.spec(replicas=2, template=template, UpdateConfig={"Parallelism": 1, "Delay": 30 * SECOND}))
    scene.sim.advance(5)
    assert scene.images() == ["good:1"]
    scene.sim.kill(scene.sim.running("web")[0].id)
    scene.sim.advance(1)
    assert scene.state() == "paused"
    assert scene.words().count(("ready", "ready")) == 2
    scene.write(scene.spec(replicas=2, template=template, UpdateConfig={"Parallelism": 0}))
    scene.sim.advance(10)
    assert scene.images() == ["good:1"]
    assert scene.words().count(("ready", "ready")) == 1
