"""What is kept of revisions, whoever writes it, and what the way back needs."""

from __future__ import annotations

import asyncio

import pytest

from controller.core.revisions import config_name
from controller.model.plan import ObjectKind
from controller.model.policy import DriftMode, RollbackPolicy, ServicePolicy, StackPolicy
from controller.model.revision import RevisionState
from controller.model.spec import DesiredStack
from controller.simulator.behaviour import CRASHING, Behaviour
from controller.simulator.faults import Fault, Site
from controller.simulator.refusals import out_of_sequence
from tests.integration.test_rollbacks import DEADLINE, image, shop, states, update
from tests.integration.test_rollout_edges import (
    NEVER_UP,
    ONE,
    QUARANTINED,
    STABLE,
    one,
    states_of,
)
from tests.integration.test_rollout_hands import without_own
from tests.support.rig import Rig
from tests.support.specs import content, mounted, network, service, stack

pytestmark = pytest.mark.looptime


# Records


async def test_an_edit_that_was_kept_and_not_written_is_not_taken_for_rolled_back() -> None:
    async with Rig(shop(action="rollback")) as rig:
        rig.sim.images["web:2"] = CRASHING
        await rig.settle()
        await update(rig, shop("web:2", action="rollback"), seconds=300)
        assert rig.live("shop_web")["UpdateStatus"]["State"] == "rollback_completed"
        raised: list[Site] = []

        def swarm_writes_first(site: Site) -> None:
            if site.operation == "update" and site.target == "service/shop_web" and not raised:
                raised.append(site)
                rig.sim.store.write_service(rig.sim.service("shop_web"))  # another version, the same status

        rig.fault = swarm_writes_first
        await update(rig, shop("web:3", action="rollback"), seconds=200)

        assert raised
        assert (image(rig), states_of(rig)) == ("web:3", [STABLE, QUARANTINED, STABLE])


async def test_an_edit_that_could_not_be_written_at_first_stays_an_edit() -> None:
    policy = ServicePolicy(rollback=DEADLINE, drift=DriftMode.REPORT)
    async with Rig(one(policy=policy)) as rig:
        await rig.settle()
        rig.edit("shop_web", lambda spec: {**spec, "Labels": without_own(spec["Labels"])})
        await rig.settle()
        rig.fault = lambda site: Fault(error=out_of_sequence()) if site == Site("update", "service/shop_web", 1) else None
        await update(rig, one("web:2", policy=policy))

        assert (image(rig), states_of(rig)) == ("web:2", [STABLE, STABLE])


async def test_a_bad_revision_that_was_overtaken_leads_to_what_came_after_it() -> None:
    async with Rig(one()) as rig:
        rig.sim.images["web:2"] = NEVER_UP
        await rig.settle()
        rig.fault = lambda site: Fault(delay=3.0) if site == Site("update", "service/shop_web", 2) else None
        await update(rig, one("web:2"), seconds=62)
        assert states_of(rig)[-1] is RevisionState.FAILED
        await update(rig, one("web:3"))
        assert (image(rig), states_of(rig)) == ("web:3", [STABLE, QUARANTINED, STABLE])
        await update(rig, one("web:2"))

        assert image(rig) == "web:3"
        assert rig.service_writes == []


async def test_a_service_that_is_removed_on_its_way_back_comes_back_as_what_it_goes_back_to() -> None:
    async with Rig(one()) as rig:
        rig.sim.images["web:2"] = CRASHING
        await rig.settle()

        def remove_first(site: Site) -> Fault | None:
            if site == Site("update", "service/shop_web", 2):
                rig.sim.remove(ObjectKind.SERVICE, "shop_web")
            return None

        rig.fault = remove_first
        await update(rig, one("web:2"), seconds=300)

        assert rig.service_writes == ["update service/shop_web", "update service/shop_web", "create service/shop_web"]
        assert (image(rig), states_of(rig)) == ("web:1", [STABLE, QUARANTINED])
        rig.sim.remove(ObjectKind.SERVICE, "shop_web")
        await asyncio.sleep(60)
        assert image(rig) == "web:1"


async def test_what_was_edited_while_its_service_was_gone_is_watched_like_any_edit() -> None:
    async with Rig(one()) as rig:
        rig.sim.images["web:3"] = CRASHING
        await rig.settle()
        await update(rig, one("web:2"), seconds=300)
        rig.sim.remove(ObjectKind.SERVICE, "shop_web")
        await update(rig, one("web:3"), seconds=300)

        assert rig.service_writes == ["create service/shop_web", "update service/shop_web"]
        assert (image(rig), states_of(rig)) == ("web:2", [STABLE, STABLE, QUARANTINED])


async def test_what_is_created_again_as_it_was_is_no_new_revision() -> None:
    async with Rig(one()) as rig:
        await rig.settle()
        await update(rig, one("web:2"), seconds=300)
        rig.forget()
        rig.sim.remove(ObjectKind.SERVICE, "shop_web")
        await asyncio.sleep(60)

        assert rig.writes == ["create service/shop_web"]
        assert states_of(rig) == [STABLE, STABLE]


async def test_what_somebody_wrote_as_a_revision_and_is_none_stands_in_nobodys_way() -> None:
    labels = {"prodbreaker.rev.service": "shop_web", "prodbreaker.rev.number": "7", "prodbreaker.rev.digest": "x"}
    async with Rig(one()) as rig:
        body = {"Labels": {**labels, "prodbreaker.rev.state": "stable"}, "Data": "e30="}
        rig.sim.create(ObjectKind.CONFIG, {**body, "Name": config_name("shop_web", 7)})
        rig.sim.create(ObjectKind.CONFIG, {**body, "Name": "elsewhere"})
        rig.sim.images["web:2"] = CRASHING
        await rig.settle()
        await update(rig, one("web:2"))

        assert (image(rig), states(rig)) == ("web:1", [(1, STABLE), (2, QUARANTINED)])


# What the way back needs


def mounting(data: bytes, tag: int, *, prune: bool = True) -> DesiredStack:
    policy = ServicePolicy(rollback=DEADLINE)
    web = service("web", f"web:{tag}", Mode=ONE, policy=policy, container={"Configs": [mounted("Config", "shop_c", "/c")]})
    return stack(web, configs=[content("shop_c", data)], policy=StackPolicy(prune=prune))


async def test_the_contents_of_kept_revisions_stay_and_those_of_forgotten_ones_go() -> None:
    async with Rig(mounting(b"0", 0)) as rig:
        await rig.settle()
        for tag in range(1, 14):
            await update(rig, mounting(str(tag).encode(), tag), seconds=60)

        assert [revision.number for revision in rig.revisions()] == list(range(5, 15))
        used = [
            reference["ConfigName"]
            for revision in rig.revisions()
            for reference in revision.body["TaskTemplate"]["ContainerSpec"]["Configs"]
        ]
        assert rig.names(ObjectKind.CONFIG) == sorted(used)


async def test_a_way_back_to_what_is_gone_ends_and_is_told() -> None:
    async with Rig(mounting(b"good", 1)) as rig:
        rig.sim.images["web:2"] = NEVER_UP
        await rig.settle()
        await update(rig, mounting(b"bad", 2), seconds=30)
        for name in rig.names(ObjectKind.CONFIG):
            if name == "shop_c":
                live = rig.live("shop_web")
                rig.sim.update(ObjectKind.SERVICE, "shop_web", live["Version"]["Index"], live["Spec"])  # drops PreviousSpec's
                rig.sim.remove(ObjectKind.CONFIG, name)
        rig.forget()
        await asyncio.sleep(300)

        assert rig.service_writes == []
        assert states_of(rig) == [STABLE, QUARANTINED]
        assert "needs what is gone: config shop_c" in rig.revisions()[-1].why
        calls = rig.calls
        await asyncio.sleep(600)
        assert rig.calls - calls < 100


async def test_networks_that_a_kept_revision_is_attached_to_are_not_pruned() -> None:
    def attached(tag: str, *networks: str) -> DesiredStack:
        policy = ServicePolicy(rollback=RollbackPolicy(keep=2, deadline=DEADLINE.deadline))
        task = {"Networks": [{"Target": f"shop_{name}", "Aliases": ["web"]} for name in networks]}
        web = service("web", tag, Mode=ONE, policy=policy, task=task)
        return stack(web, networks=[network(f"shop_{name}") for name in networks], policy=StackPolicy(prune=True))

    async with Rig(attached("web:1", "a", "b")) as rig:
        rig.sim.images["web:2"] = Behaviour(exits_after=25.0, exit_code=1)
        await rig.settle()
        await update(rig, attached("web:2", "a"), seconds=300)

        assert (image(rig), states_of(rig)) == ("web:1", [STABLE, QUARANTINED])
        assert len(rig.spec("shop_web")["TaskTemplate"]["Networks"]) == 2
        for tag in ("web:3", "web:4", "web:5"):
            await update(rig, attached(tag, "a"), seconds=100)
        await asyncio.sleep(120)
        assert "shop_b" not in rig.names(ObjectKind.NETWORK)


async def test_of_a_service_that_is_pruned_nothing_is_kept() -> None:
    prune, policy = StackPolicy(prune=True), ServicePolicy(rollback=DEADLINE)
    api = service("api", Mode=ONE)

    def both(data: bytes) -> DesiredStack:
        uses = {"Configs": [mounted("Config", "shop_c", "/c")]}
        web = service("web", Mode=ONE, policy=policy, container=uses)
        return stack(api, web, configs=[content("shop_c", data)], policy=prune)

    async with Rig(both(b"1")) as rig:
        await rig.settle()
        await update(rig, both(b"2"), seconds=60)
        assert len(rig.revisions()) == len(rig.names(ObjectKind.CONFIG)) == 2
        await update(rig, stack(api, policy=prune), seconds=120)

        assert rig.revisions() == []
        assert rig.names(ObjectKind.CONFIG) == []
