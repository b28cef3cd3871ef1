"""Going back and releasing by hand, with a loop that carries it out and without one."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from controller.core.by_hand import Rollback
from controller.core.images import Resolve
from controller.core.planner import Options
from controller.core.revisions import config_name
from controller.core.state import STATE_NAME, new_state, with_guards
from controller.engine.by_hand import carry_out, release, roll_back
from controller.engine.executor import ActionResult, Executor
from controller.engine.memory import Memory
from controller.engine.pausing import set_paused
from controller.errors import NotConvergedError, ProdBreakerError
from controller.model.plan import Action, ObjectKind, Plan
from controller.model.revision import RevisionState
from controller.model.spec import DesiredStack
from controller.model.status import ServiceStatus, Sync
from controller.simulator.behaviour import CRASHING, Behaviour
from controller.simulator.faults import Fault, Site
from controller.simulator.refusals import RefusalError
from tests.integration.test_rollbacks import image, shop, states, update
from tests.support.fakes import LoopClock
from tests.support.rig import Rig
from tests.support.specs import content, mounted, service, stack

pytestmark = pytest.mark.looptime

OPTIONS = Options(resolve=Resolve.NEVER)
STABLE, QUARANTINED, SUPERSEDED = RevisionState.STABLE, RevisionState.QUARANTINED, RevisionState.SUPERSEDED


class Quiet:
    """Implements controller.engine.convergence.Progress."""

    def __init__(self) -> None:
        self.plans: list[Plan] = []

    def planned(self, plan: Plan) -> None:
        self.plans.append(plan)

    def acted(self, result: ActionResult) -> None: ...

    def waits(self, action: Action, unready: Sequence[str]) -> None: ...

    def waited_enough(self, action: Action, unready: Sequence[str]) -> None: ...

    def converging(self, statuses: Sequence[ServiceStatus], errors: Mapping[str, str]) -> None: ...


async def back(rig: Rig, desired: DesiredStack, to: int | None = None) -> Rollback:
    return await roll_back(rig.swarm, Memory(), desired, desired.services["web"], OPTIONS, to=to)


async def carried_out(rig: Rig, desired: DesiredStack, order: Rollback, *, seconds: float = 120) -> Quiet:
    progress, executor = Quiet(), Executor(rig.swarm, LoopClock(), with_registry_auth=False)
    await carry_out(
        rig.swarm, executor, desired, desired.services["web"], OPTIONS,
        target=order.target, timeout_seconds=seconds, progress=progress,
    )  # fmt: skip
    return progress


async def edited(rig: Rig) -> None:
    """web:1, and web:2 over it, both proven."""
    await rig.settle()
    await update(rig, shop("web:2"))
    assert states(rig) == [(1, STABLE), (2, STABLE)]
    rig.forget()


async def test_a_running_loop_carries_out_what_was_ordered_at_once_and_keeps_it() -> None:
    async with Rig(shop()) as rig:
        await edited(rig)

        order = await back(rig, shop("web:2"))
        await asyncio.sleep(1)

        assert (order.refused.number, order.target.number) == (2, 1)
        assert rig.service_writes == ["update service/shop_web"]
        await asyncio.sleep(300)
        assert (image(rig), len(rig.sim.running("shop_web"))) == ("web:1", 3)
        assert states(rig) == [(1, STABLE), (2, QUARANTINED)]
        assert rig.service_writes == ["update service/shop_web"]
        assert rig.status("shop_web").sync is Sync.OUT_OF_SYNC
        assert "rolled back by hand" in rig.status("shop_web").message


async def test_without_a_loop_whoever_orders_it_carries_it_out() -> None:
    async with Rig(shop()) as rig:
        await edited(rig)
    rig.forget()

    order = await back(rig, shop("web:2"))
    progress = await carried_out(rig, shop("web:2"), order)

    assert [action.reason.value for plan in progress.plans for action in plan.actions] == ["rolled back"]
    assert (image(rig), len(rig.sim.running("shop_web"))) == ("web:1", 3)
    assert rig.writes == ["update service/shop_web"]
    async with Rig(shop("web:2"), sim=rig.sim) as after:
        after.forget()
        await asyncio.sleep(120)
        assert after.writes == []
        assert (image(after), states(after)) == ("web:1", [(1, STABLE), (2, QUARANTINED)])


async def test_with_a_loop_that_was_faster_nothing_is_left_to_write() -> None:
    async with Rig(shop()) as rig:
        await edited(rig)
        order = await back(rig, shop("web:2"))
        await asyncio.sleep(1)

        progress = await carried_out(rig, shop("web:2"), order)

        assert progress.plans == []
        assert rig.service_writes == ["update service/shop_web"]


async def test_ordered_twice_it_is_done_once() -> None:
    async with Rig(shop()) as rig:
        await edited(rig)
    for _ in range(2):
        order = await back(rig, shop("web:2"))
        await carried_out(rig, shop("web:2"), order)

    assert rig.service_writes == ["update service/shop_web"]
    assert rig.records == ["update 2"]


async def test_back_and_forth_by_hand() -> None:
    async with Rig(shop()) as rig:
        await edited(rig)
        for number in (2, 3):
            order = await back(rig, shop("web:2"))
            await asyncio.sleep(120)
            assert (order.refused.number, image(rig)) == (number, "web:1")

            given = await release(rig.swarm, "shop_web")
            await asyncio.sleep(120)
            assert given.revision is not None
            assert (given.revision.number, image(rig)) == (number, "web:2")

        assert rig.service_writes == ["update service/shop_web"] * 4
        assert states(rig) == [(1, STABLE), (2, SUPERSEDED), (3, SUPERSEDED), (4, STABLE)]
        assert (await release(rig.swarm, "shop_web")).revision is None


async def test_further_back_than_what_took_the_place_of_a_bad_one() -> None:
    async with Rig(shop()) as rig:
        await edited(rig)
        rig.sim.images["web:3"] = CRASHING
        await update(rig, shop("web:3"))
        assert image(rig) == "web:2"
        rig.forget()

        order = await back(rig, shop("web:3"))
        await asyncio.sleep(120)

        assert (order.refused.number, order.target.number) == (3, 1)
        assert image(rig) == "web:1"
        assert states(rig) == [(1, STABLE), (2, QUARANTINED), (3, QUARANTINED)]
        assert rig.service_writes == ["update service/shop_web"]


async def test_a_revision_that_never_was_stable_is_gone_back_to_when_its_number_is_given() -> None:
    async with Rig(shop()) as rig:
        await rig.settle()
        rig.declare(shop("web:2"))
        await asyncio.sleep(4)
        await update(rig, shop("web:3"))
        assert states(rig) == [(1, STABLE), (2, SUPERSEDED), (3, STABLE)]

        await back(rig, shop("web:3"), to=2)
        await asyncio.sleep(120)

        assert (image(rig), states(rig)[-1]) == ("web:2", (3, QUARANTINED))


async def test_a_way_back_by_hand_that_is_bad_ends_as_not_converged() -> None:
    async with Rig(shop()) as rig:
        await edited(rig)
    rig.sim.images["web:1"] = CRASHING

    order = await back(rig, shop("web:2"))
    with pytest.raises(NotConvergedError, match="its update is paused"):
        await carried_out(rig, shop("web:2"), order)


async def test_a_paused_service_is_not_gone_back_with_and_says_so() -> None:
    async with Rig(shop()) as rig:
        await edited(rig)
    await set_paused(rig.swarm, LoopClock(), "shop/web", paused=True)

    order = await back(rig, shop("web:2"))
    with pytest.raises(ProdBreakerError, match="shop_web: is paused"):
        await carried_out(rig, shop("web:2"), order)


async def test_an_order_frees_a_service_that_is_held() -> None:
    async with Rig(shop()) as rig:
        await edited(rig)
        held = {"shop/web": "2026-01-01T00:00:00+00:00 why", "shop/db": "2026-01-01T00:00:00+00:00 why"}
        rig.sim.create(ObjectKind.CONFIG, with_guards(new_state(b"k"), held, {}))
        await asyncio.sleep(1)

        await back(rig, shop("web:2"))
        await asyncio.sleep(60)

        assert image(rig) == "web:1"
        labels = rig.sim.inspect(ObjectKind.CONFIG, STATE_NAME)["Spec"]["Labels"]
        assert [name for name in labels if ".held." in name] == ["prodbreaker.held.shop/db"]


async def test_somebody_who_writes_the_same_labels_at_once_means_to_decide_again() -> None:
    async with Rig(shop()) as rig:
        await edited(rig)
    raced: list[Site] = []

    def race(site: Site) -> Fault | None:
        if site.operation == "update" and site.target.endswith(config_name("shop_web", 2)) and not raced:
            raced.append(site)
            found = rig.sim.inspect(ObjectKind.CONFIG, config_name("shop_web", 2))
            spec = {**found["Spec"], "Labels": {**found["Spec"]["Labels"], "mine": "1"}}
            rig.sim.update(ObjectKind.CONFIG, found["ID"], found["Version"]["Index"], spec)
        return None

    rig.fault = race
    await back(rig, shop("web:2"))

    labels = rig.sim.inspect(ObjectKind.CONFIG, config_name("shop_web", 2))["Spec"]["Labels"]
    assert raced
    assert (labels["mine"], labels["prodbreaker.rev.state"]) == ("1", "failed")


STALE = RefusalError(500, "rpc error: code = Unknown desc = update out of sequence")


async def test_what_the_engine_refuses_ends_it_with_the_reason() -> None:
    async with Rig(shop()) as rig:
        await edited(rig)
    refusal = RefusalError(400, "rpc error: code = InvalidArgument desc = no")
    rig.fault = lambda site: Fault(refusal) if site.target == "service/shop_web" else None

    order = await back(rig, shop("web:2"))
    with pytest.raises(ProdBreakerError, match=r"update service shop_web: .*no"):
        await carried_out(rig, shop("web:2"), order)


async def test_writers_who_never_stop_are_given_up() -> None:
    async with Rig(shop()) as rig:
        await edited(rig)
    rig.fault = lambda site: Fault(STALE) if site.operation == "update" and "config/" in site.target else None
    with pytest.raises(ProdBreakerError, match="shop_web: others kept writing its revisions"):
        await back(rig, shop("web:2"))

    rig.fault = lambda site: Fault(STALE) if site.target == "service/shop_web" else None
    order = await back(rig, shop("web:2"))
    with pytest.raises(ProdBreakerError, match="shop_web: given up after 8 attempts"):
        await carried_out(rig, shop("web:2"), order)
    assert len(rig.service_writes) == 8


async def test_what_does_not_run_in_time_has_not_converged() -> None:
    async with Rig(shop()) as rig:
        await edited(rig)
    rig.sim.images["web:1"] = Behaviour(prepare_seconds=1e9)

    order = await back(rig, shop("web:2"))
    with pytest.raises(NotConvergedError, match="not converged in 30 s: shop_web: "):
        await carried_out(rig, shop("web:2"), order, seconds=30)


async def test_what_somebody_releases_meanwhile_is_told() -> None:
    async with Rig(shop()) as rig:
        await edited(rig)

    order = await back(rig, shop("web:2"))
    await release(rig.swarm, "shop_web")
    with pytest.raises(ProdBreakerError, match="shop_web: somebody else changed it"):
        await carried_out(rig, shop("web:2"), order)


async def test_a_service_that_was_removed_comes_back_as_the_earlier_revision() -> None:
    async with Rig(shop()) as rig:
        await edited(rig)
    rig.sim.remove(ObjectKind.SERVICE, "shop_web")

    order = await back(rig, shop("web:2"))
    await carried_out(rig, shop("web:2"), order)

    assert (image(rig), len(rig.sim.running("shop_web"))) == ("web:1", 3)
    assert (await release(rig.swarm, "shop_web")).revision is not None


async def test_a_release_goes_out_where_the_service_itself_is_gone() -> None:
    async with Rig(shop()) as rig:
        await edited(rig)
    await back(rig, shop("web:2"))
    rig.sim.remove(ObjectKind.SERVICE, "shop_web")

    given = await release(rig.swarm, "shop_web")

    assert given.revision is not None
    assert states(rig)[-1] == (2, SUPERSEDED)


async def test_what_swarm_itself_went_back_to_is_gone_back_from_by_hand() -> None:
    async with Rig(shop(action="rollback")) as rig:
        await rig.settle()
        await update(rig, shop("web:2", action="rollback"))
        rig.sim.images["web:3"] = CRASHING
        await update(rig, shop("web:3", action="rollback"), seconds=300)
        await update(rig, shop("web:2", action="rollback"))
        assert (image(rig), rig.writes) == ("web:2", [])

        await back(rig, shop("web:2", action="rollback"))
        await asyncio.sleep(120)

        assert image(rig) == "web:1"
        assert states(rig) == [(1, STABLE), (2, QUARANTINED), (3, QUARANTINED)]


async def test_a_way_back_by_hand_that_swarm_undid_is_not_tried_again_and_leads_elsewhere_when_ordered() -> None:
    desired = shop("web:3", action="rollback")
    async with Rig(shop(action="rollback")) as rig:
        await rig.settle()
        await update(rig, shop("web:2", action="rollback"))
        await update(rig, desired)
        rig.sim.images["web:2"] = CRASHING
        rig.forget()

        await back(rig, desired)
        await asyncio.sleep(600)
        assert (image(rig), rig.service_writes) == ("web:3", ["update service/shop_web"])

        await back(rig, desired, to=1)
        await asyncio.sleep(120)
        assert image(rig) == "web:1"


async def test_what_is_lost_is_not_gone_back_to() -> None:
    def using(name: str, number: int) -> DesiredStack:
        uses = {"Configs": [mounted("Config", name, "/c")]}
        return stack(service("web", f"web:{number}", container=uses), configs=[content(name, external=True)])

    rig = Rig(using("first", 1))
    for name in ("first", "second", "third"):
        rig.sim.create(ObjectKind.CONFIG, {"Name": name, "Labels": {}, "Data": "b25l"})
    async with rig:
        await rig.settle()
        await update(rig, using("second", 2))
        await update(rig, using("third", 3))
        rig.sim.remove(ObjectKind.CONFIG, "second")

        with pytest.raises(ProdBreakerError, match="revision 2 needs what is gone: config second"):
            await back(rig, using("third", 3), to=2)
        assert (await back(rig, using("third", 3))).target.number == 1
        rig.sim.remove(ObjectKind.CONFIG, "first")
        await release(rig.swarm, "shop_web")
        with pytest.raises(ProdBreakerError, match="there is no other stable revision to go back to"):
            await back(rig, using("third", 3))


async def test_replicas_are_not_gone_back_with_and_what_differs_in_nothing_else_is_passed_over() -> None:
    more = stack(service("web", "web:2", Mode={"Replicated": {"Replicas": 5}}))
    async with Rig(stack(service("web", "web:1"))) as rig:
        await rig.settle()
        await update(rig, stack(service("web", "web:2")))
        await update(rig, more)
        assert states(rig) == [(1, STABLE), (2, STABLE), (3, STABLE)]

        with pytest.raises(ProdBreakerError, match="revision 2 is what runs, but for its replicas"):
            await back(rig, more, to=2)
        order = await back(rig, more)
        await asyncio.sleep(120)

        assert order.target.number == 1
        assert (image(rig), len(rig.sim.running("shop_web"))) == ("web:1", 5)


async def test_a_removed_service_whose_declaration_is_refused_comes_back_as_what_is_ordered() -> None:
    async with Rig(shop()) as rig:
        await edited(rig)
        rig.sim.images["web:3"] = CRASHING
        await update(rig, shop("web:3"))
    rig.sim.remove(ObjectKind.SERVICE, "shop_web")

    order = await back(rig, shop("web:3"), to=1)
    await carried_out(rig, shop("web:3"), order)

    assert image(rig) == "web:1"
