"""A bad update under a controller that dies at any write, or under two at once: the end is that of one that lives."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from controller.model.revision import RevisionState
from controller.model.spec import DesiredStack
from controller.simulator.behaviour import CRASHING, Behaviour
from controller.simulator.engine import Simulator
from controller.simulator.faults import WRITES, Fault, Site
from controller.simulator.refusals import UnreachableError
from controller.simulator.timeline import DEFAULT_EPOCH_NS, NANO
from tests.integration.test_rollbacks import shop
from tests.support.fakes import FakeJournal
from tests.support.rig import REVISION, Rig

pytestmark = pytest.mark.looptime

SECONDS = 200.0
STUCK = Behaviour(prepare_seconds=1e9)
SCENES: dict[str, tuple[Behaviour, dict[str, str]]] = {
    "crashing": (CRASHING, {}),
    "stuck": (STUCK, {}),
    "rolled back by Swarm": (CRASHING, {"action": "rollback"}),
    "nothing to go back to": (CRASHING, {"order": "stop-first"}),
    "good": (Behaviour(), {}),
}


@dataclass(frozen=True)
class End:
    image: str
    running: int
    states: tuple[RevisionState, ...]
    targets: tuple[int | None, ...]


class Death:
    """Lets a controller's calls through up to a write of a number; from then on none."""

    def __init__(self, number: int, *, applied: bool) -> None:
        self.number, self.applied = number, applied
        self.seen: list[Site] = []
        self.came = asyncio.Event()

    def __call__(self, site: Site) -> Fault | None:
        if self.came.is_set():
            return Fault(error=UnreachableError("it is dead"))
        if site.operation not in WRITES:
            return None
        self.seen.append(site)
        if len(self.seen) < self.number:
            return None
        self.came.set()
        return Fault(error=UnreachableError("it died"), applied=self.applied)


def end(rig: Rig) -> End:
    revisions = rig.revisions()
    return End(
        rig.spec("shop_web")["TaskTemplate"]["ContainerSpec"]["Image"],
        len(rig.sim.running("shop_web")),
        tuple(revision.state for revision in revisions),
        tuple(revision.target for revision in revisions),
    )


async def before(name: str) -> tuple[Simulator, FakeJournal, DesiredStack]:
    """web:1 as it runs before the edit, what the controller remembers of it, and the edit."""
    behaviour, options = SCENES[name]
    now_ns = int(asyncio.get_running_loop().time() * NANO)  # each Swarm is born when the test has come so far
    async with Rig(shop(**options), sim=Simulator(epoch_ns=DEFAULT_EPOCH_NS + now_ns)) as rig:  # type: ignore[arg-type] # only words
        rig.sim.images["web:2"] = behaviour
        if name == "nothing to go back to":
            rig.sim.images["web:1"] = Behaviour(exits_after=7.0, exit_code=1)
        await rig.settle()
        rig.forget()
        return rig.sim, rig.journal, shop("web:2", **options)  # type: ignore[arg-type] # as above


async def lived(name: str) -> tuple[End, list[Site]]:
    sim, journal, edit = await before(name)
    seen: list[Site] = []

    def note(site: Site) -> None:
        if site.operation in WRITES:
            seen.append(site)

    async with Rig(edit, sim=sim, journal=journal) as rig:
        rig.fault = note
        await asyncio.sleep(SECONDS)
        return end(rig), seen


def of_service(sites: list[Site]) -> int:
    return sum(site.target.startswith("service/") for site in sites)


@pytest.mark.parametrize("applied", [True, False], ids=["after the write", "before the write"])
@pytest.mark.parametrize("name", SCENES)
async def test_a_controller_that_dies_at_any_write_is_followed_by_one_that_ends_where_it_would_have(
    name: str, applied: bool
) -> None:
    expected, writes = await lived(name)
    for number in range(1, len(writes) + 1):
        sim, journal, edit = await before(name)
        death = Death(number, applied=applied)
        async with Rig(edit, sim=sim, journal=journal) as rig:
            rig.fault = death
            await asyncio.wait_for(death.came.wait(), SECONDS)
        done = death.seen if applied else death.seen[:-1]
        sim.gate.forget()
        async with Rig(edit, sim=sim, journal=journal if number % 2 == 0 else None) as rig:  # the next one may be elsewhere
            await asyncio.sleep(SECONDS)
            after = [call.site for call in sim.gate.writes()]

            assert end(rig) == expected, (number, done, after)
            assert of_service(done) + of_service(after) <= of_service(writes) + 1, (number, done, after)
            assert [site for site in done + after if REVISION in site.target and site.operation == "remove"] == []


@pytest.mark.parametrize("delay", [0.0, 0.001, 0.005, 0.3])
@pytest.mark.parametrize("name", SCENES)
async def test_two_controllers_at_once_end_where_one_does(name: str, delay: float) -> None:
    expected, writes = await lived(name)
    sim, journal, edit = await before(name)
    async with Rig(edit, sim=sim, journal=journal) as one:
        await asyncio.sleep(delay)
        async with Rig(edit, sim=sim) as other:
            await asyncio.sleep(SECONDS)
            done = [call.site for call in sim.gate.writes() if call.outcome == "ok"]

            assert end(one) == end(other) == expected, done
            assert of_service(done) == of_service(writes), done


ORDER: dict[str, Callable[[Site], bool]] = {
    "the baseline": lambda site: site.operation == "create" and site.target.endswith("_1"),
    "the new revision": lambda site: site.operation == "create" and site.target.endswith("_2"),
}


@pytest.mark.parametrize("what", ORDER)
async def test_a_record_that_could_not_be_kept_is_kept_before_the_edit_goes_out(what: str) -> None:
    sim, journal, edit = await before("crashing")
    refused: list[Site] = []

    def once(site: Site) -> Fault | None:
        if ORDER[what](site) and not refused:
            refused.append(site)
            return Fault(error=UnreachableError("lost"))
        return None

    async with Rig(edit, sim=sim, journal=journal) as rig:
        rig.fault = once
        await asyncio.sleep(SECONDS)

        assert refused
        assert rig.spec("shop_web")["TaskTemplate"]["ContainerSpec"]["Image"] == "web:1"
        assert rig.revisions()[-1].state is RevisionState.QUARANTINED
        assert len(rig.service_writes) == 2
