"""What `apply` keeps of revisions: what the loop would, at no call more than it must."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from controller.core.revisions import histories
from controller.errors import ProdBreakerError
from controller.model.observation import Snapshot
from controller.model.plan import ObjectKind
from controller.model.policy import AlertAction, AlertRule, Condition, RollbackPolicy, ServicePolicy
from controller.model.revision import Revision, RevisionState
from controller.model.spec import DesiredStack
from controller.simulator.behaviour import CRASHING
from controller.simulator.faults import Fault, Site
from controller.simulator.refusals import RefusalError
from tests.integration.test_apply import SLOW, Scene, scene
from tests.support.rig import REVISION, Rig
from tests.support.specs import service, stack

__all__ = ["scene"]
pytestmark = pytest.mark.looptime
PROGRESSING, STABLE, SUPERSEDED = RevisionState.PROGRESSING, RevisionState.STABLE, RevisionState.SUPERSEDED


def shop(image: str, **policy: Any) -> DesiredStack:
    return stack(service("web", image, policy=ServicePolicy(rollback=RollbackPolicy(**policy))))


def kept(scene: Scene, name: str = "shop_web") -> list[Revision]:
    configs = {item["Spec"]["Name"]: item for item in scene.sim.list_objects(ObjectKind.CONFIG)}
    return list(histories(Snapshot((1, 41), services={}, networks={}, configs=configs, secrets={})).get(name, ()))


async def rest(scene: Scene, seconds: float) -> None:
    """The Swarm's time stands still between two commands unless somebody asks it something."""
    await scene.swarm.facts()
    await asyncio.sleep(seconds)


def states(scene: Scene) -> list[RevisionState]:
    return [revision.state for revision in kept(scene)]


def task_lists(scene: Scene) -> int:
    return sum(call.site.operation == "list" and call.site.target == "task" for call in scene.sim.gate.calls)


async def test_a_creation_keeps_nothing(scene: Scene) -> None:
    await scene.apply(shop("web:1"), wait=False)

    assert (scene.writes, scene.records, task_lists(scene)) == (["create service/shop_web"], [], 0)


async def test_an_edit_is_kept_with_what_it_replaces(scene: Scene) -> None:
    await scene.apply(shop("web:1"))
    await rest(scene, 20)
    await scene.apply(shop("web:2"))

    assert scene.records == ["create 1", "create 2"]
    assert scene.writes == ["update service/shop_web"]
    assert states(scene) == [STABLE, PROGRESSING]
    await scene.apply(shop("web:2"))
    assert (scene.records, scene.writes) == ([], [])


async def test_what_was_edited_while_its_service_was_gone_is_kept(scene: Scene) -> None:
    await scene.apply(shop("web:1"))
    await rest(scene, 20)
    await scene.apply(shop("web:2"))
    scene.sim.remove(ObjectKind.SERVICE, "shop_web")
    await scene.apply(shop("web:3"), wait=False)

    assert (scene.records, scene.writes) == (["update 2", "create 3"], ["create service/shop_web"])
    assert states(scene) == [STABLE, SUPERSEDED, PROGRESSING]


async def test_the_next_edit_proves_what_ran_meanwhile_or_not(scene: Scene) -> None:
    await scene.apply(shop("web:1"))
    await scene.apply(shop("web:2"))
    await rest(scene, 20)
    await scene.apply(shop("web:3"))
    await scene.apply(shop("web:4"))

    assert states(scene) == [SUPERSEDED, STABLE, SUPERSEDED, PROGRESSING]


async def test_what_has_run_long_enough_at_the_end_is_stable_at_once(scene: Scene) -> None:
    await scene.apply(shop("web:1"))
    await scene.apply(shop("web:2", min_healthy=timedelta(seconds=3)))

    assert scene.records == ["create 1", "create 2", "update 2"]
    assert kept(scene)[-1].why == "all replicas up for 3 s"


async def test_tasks_are_listed_once_for_all_edits_of_a_stack(scene: Scene) -> None:
    names = [f"s{number}" for number in range(20)]
    await scene.apply(stack(*(service(name, "web:1") for name in names)))
    await rest(scene, 20)
    await scene.apply(stack(*(service(name, "web:2") for name in names)), wait=False)

    assert task_lists(scene) == 1
    assert all(revision.state is STABLE for name in names for revision in kept(scene, f"shop_{name}")[:1])
    assert len({kept(scene, f"shop_{name}")[-1].group for name in names}) == 1
    await rest(scene, 60)
    async with Rig(stack(*(service(name, "web:2") for name in names)), sim=scene.sim):
        await asyncio.sleep(60)  # a controller proves them
    await scene.apply(stack(*(service(name, "web:3") for name in names)), wait=False)
    assert task_lists(scene) == 0


async def test_a_controller_goes_on_with_what_apply_wrote(scene: Scene) -> None:
    await scene.apply(shop("web:1"))
    await rest(scene, 20)
    scene.sim.images["web:2"] = CRASHING
    await scene.apply(shop("web:2"), wait=False)
    async with Rig(shop("web:2"), sim=scene.sim) as rig:
        await asyncio.sleep(120)
        assert rig.spec("shop_web")["TaskTemplate"]["ContainerSpec"]["Image"] == "web:1"

    assert states(scene) == [STABLE, RevisionState.QUARANTINED]


async def test_a_declaration_that_is_refused_ends_apply_with_the_reason(scene: Scene) -> None:
    await test_a_controller_goes_on_with_what_apply_wrote(scene)

    with pytest.raises(ProdBreakerError, match=r"shop_web: revision 2 is bad .* revision 1 runs in its place"):
        await scene.apply(shop("web:2"))
    assert (scene.writes, scene.records) == ([], [])


async def test_what_nobody_measured_before_does_not_count_afterwards(scene: Scene) -> None:
    alerts = (AlertRule({"alertname": "Errors"}, AlertAction.ROLLBACK),)
    measured = ServicePolicy(rollback=RollbackPolicy(conditions=(Condition("errors > 0"),)), alerts=alerts)
    await scene.apply(stack(service("web", "web:1", policy=measured)))
    await scene.apply(stack(service("web", "web:2", policy=measured)))

    assert len(kept(scene)[-1].noise) == 2
    await rest(scene, 60)
    await scene.apply(stack(service("web", "web:3", policy=measured)))
    assert states(scene)[1:] == [SUPERSEDED, PROGRESSING]  # nor is it proven by tasks alone


async def test_jobs_are_not_kept(scene: Scene) -> None:
    job = {"ReplicatedJob": {"MaxConcurrent": 1, "TotalCompletions": 1}}
    await scene.apply(stack(service("web", "web:1", Mode=job)), wait=False)
    await rest(scene, 20)
    await scene.apply(stack(service("web", "web:2", Mode=job)), wait=False)

    assert (scene.writes, scene.records) == (["update service/shop_web"], [])


async def test_an_edit_is_not_written_when_it_cannot_be_kept(scene: Scene) -> None:
    await scene.apply(shop("web:1"))
    refusal = RefusalError(400, "no space for configs")
    scene.sim.gate.hook = lambda site: Fault(refusal) if REVISION in site.target else SLOW

    with pytest.raises(ProdBreakerError, match="no space for configs"):
        await scene.apply(shop("web:2"))
    assert scene.writes == []


async def test_somebody_who_counts_to_the_same_number_means_to_look_again(scene: Scene) -> None:
    await scene.apply(shop("web:1"))
    await rest(scene, 20)
    raced: list[Site] = []

    def race(site: Site) -> Fault:
        if site.operation == "create" and REVISION in site.target and not raced:
            raced.append(site)
            return Fault(RefusalError(409, "rpc error: code = AlreadyExists desc = config already exists"))
        return SLOW

    scene.sim.gate.hook = race
    await scene.apply(shop("web:2"))

    assert raced
    assert [state for state in states(scene) if state is not SUPERSEDED] == [STABLE, PROGRESSING]
    assert scene.writes == ["update service/shop_web"]
