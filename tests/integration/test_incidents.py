"""What goes wrong is told as incidents: from the loop's own looks, with times that hold."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from controller.core.images import Resolve
from controller.core.planner import Options
from controller.engine.pausing import set_paused
from controller.model.incident import EntryKind, FaultKind, Incident, IncidentState
from controller.model.plan import ObjectKind
from controller.model.policy import BudgetPolicy, DriftMode, RollbackPolicy, ServicePolicy
from controller.model.spec import DesiredStack, Json
from controller.model.status import Key
from controller.simulator.behaviour import CRASHING, DEFAULT
from controller.simulator.faults import Fault
from controller.simulator.refusals import RefusalError, UnreachableError
from tests.support.fakes import changed
from tests.support.rig import CALL_SECONDS, Rig
from tests.support.specs import service, stack

pytestmark = pytest.mark.looptime
RESYNC_SECONDS = 30.0


def shop(*, drift: DriftMode = DriftMode.REVERT, image: str = "web:1", deadline: float = 60.0) -> DesiredStack:
    budget = BudgetPolicy(actions=1000, per=timedelta(seconds=100))  # never spent here
    policy = ServicePolicy(drift=drift, rollback=RollbackPolicy(deadline=timedelta(seconds=deadline)), budget=budget)
    web = service("web", image, Mode={"Replicated": {"Replicas": 3}}, policy=policy, depends_on=["db"])
    return stack(web, service("db"))


def scaled(spec: Json, count: int = 1) -> Json:
    return changed(spec, lambda copy: copy["Mode"]["Replicated"].update(Replicas=count))


async def now_in_the_swarm(rig: Rig) -> float:
    """The simulated engine's clock follows the loop's with each call; read it where stamps are compared."""
    await rig.swarm.facts()
    return rig.clock.wall()


async def told(rig: Rig) -> list[Incident]:
    return await rig.incidents.recent(limit=99)


def texts(incident: Incident) -> list[str]:
    return [entry.text for entry in incident.entries]


async def test_a_stack_that_comes_up_and_rests_is_no_incident_and_writes_none() -> None:
    empty = service("none", Mode={"Replicated": {"Replicas": 0}})
    job = service(
        "job", container={"Command": ["true"]}, task={"RestartPolicy": {"Condition": "none"}}, Mode={"ReplicatedJob": {}}
    )
    async with Rig(stack(*shop().services.values(), empty, job)) as rig:
        await asyncio.sleep(900)

        assert await told(rig) == []
        assert rig.journal.known == {}


async def test_a_removed_service_is_one_incident_with_its_three_times() -> None:
    async with Rig(shop()) as rig:
        await rig.settle()
        await now_in_the_swarm(rig)
        rig.sim.remove(ObjectKind.SERVICE, "shop_web")
        await asyncio.sleep(20)

        (incident,) = await told(rig)
        assert (incident.service, incident.kind, incident.state) == ("shop_web", FaultKind.MISSING, IncidentState.RECOVERED)
        assert [entry.kind for entry in incident.entries][:3] == [EntryKind.OBSERVATION, EntryKind.DECISION, EntryKind.ACTION]
        assert texts(incident)[:2] == ["is not there", "create it (missing)"]
        assert texts(incident)[-1] == "recovered: 3 of 3 replicas run"
        assert incident.seconds_to_detect is not None
        assert 0 < incident.seconds_to_detect < 0.25
        assert incident.seconds_to_act is not None
        assert CALL_SECONDS / 2 < incident.seconds_to_act < 0.25
        assert incident.seconds_to_recover is not None
        assert DEFAULT.prepare_seconds + DEFAULT.start_seconds < incident.seconds_to_recover < 5
        assert list(rig.journal.known.values()) == [incident]
        assert [step for step, _, _ in rig.recorder.timed] == ["detected", "acted", "recovered"]


async def test_a_whole_stack_that_was_removed_tells_what_waits_for_what() -> None:
    async with Rig(shop()) as rig:
        await rig.settle()
        rig.sim.remove(ObjectKind.SERVICE, "shop_web")
        rig.sim.remove(ObjectKind.SERVICE, "shop_db")
        await asyncio.sleep(30)

        found = {incident.service: incident for incident in await told(rig)}
        assert {name: incident.state for name, incident in found.items()} == dict.fromkeys(
            ("shop_db", "shop_web"), IncidentState.RECOVERED
        )
        assert "waits for shop_db" in texts(found["shop_web"])


async def test_drift_is_timed_by_the_engines_stamp_also_when_no_event_told_of_it() -> None:
    async with Rig(shop()) as rig:
        await rig.settle()
        rig._tasks[0].cancel()  # the event stream; nothing but the resync looks now
        await asyncio.sleep(31)
        edited = await now_in_the_swarm(rig)
        rig.edit("shop_web", scaled)
        await asyncio.sleep(70)
        rig._tasks.pop(0)

        (incident,) = await told(rig)
        assert (incident.kind, incident.state) == (FaultKind.DRIFT, IncidentState.RECOVERED)
        assert texts(incident)[0] == "was changed by hand: deploy.replicas 3 -> 1"
        assert incident.began == pytest.approx(edited, abs=0.01)
        assert incident.seconds_to_detect is not None
        assert 1.0 < incident.seconds_to_detect <= RESYNC_SECONDS + 1


async def test_drift_that_is_only_reported_stays_open_until_a_hand_undoes_it() -> None:
    async with Rig(shop(drift=DriftMode.REPORT)) as rig:
        await rig.settle()
        rig.edit("shop_web", scaled)
        await asyncio.sleep(300)

        (incident,) = await told(rig)
        assert (incident.state, incident.acted) == (IncidentState.OPEN, None)
        assert texts(incident)[1].startswith("nothing is written: ")
        lines = len(incident.entries)
        await asyncio.sleep(600)
        assert len((await told(rig))[0].entries) == lines

        rig.edit("shop_web", lambda spec: scaled(spec, 3))
        await asyncio.sleep(20)
        assert [item.state for item in await told(rig)] == [IncidentState.RECOVERED]


async def test_replicas_that_cannot_come_up_are_an_incident_after_patience_and_no_line_per_pass() -> None:
    async with Rig(shop()) as rig:
        await rig.settle()
        rig.sim.images["web:1"] = CRASHING
        for task in rig.sim.running("shop_web"):
            rig.sim.kill(task.id)
        broke = rig.clock.wall()
        await asyncio.sleep(55)
        assert await told(rig) == []
        await asyncio.sleep(600)

        (incident,) = await told(rig)
        assert (incident.kind, incident.state) == (FaultKind.DEGRADED, IncidentState.OPEN)
        assert incident.began == pytest.approx(broke, abs=1)
        assert incident.seconds_to_detect == pytest.approx(60, abs=RESYNC_SECONDS)
        assert len(incident.entries) < 20

        rig.sim.images["web:1"] = DEFAULT
        await asyncio.sleep(60)
        assert [item.state for item in await told(rig)] == [IncidentState.RECOVERED]


async def test_what_is_paused_is_no_fault_and_what_was_one_stays_open() -> None:
    async with Rig(shop()) as rig:
        await rig.settle()
        await set_paused(rig.swarm, rig.clock, "shop/web", paused=True)
        rig.edit("shop_web", scaled)
        await asyncio.sleep(300)
        assert await told(rig) == []

        await set_paused(rig.swarm, rig.clock, "shop/web", paused=False)
        await asyncio.sleep(40)

        (incident,) = await told(rig)
        assert incident.state is IncidentState.RECOVERED
        assert incident.seconds_to_detect is not None
        assert incident.seconds_to_detect < RESYNC_SECONDS + 1  # the pause does not count


async def test_a_refused_declaration_is_an_incident_until_it_is_accepted() -> None:
    async with Rig(shop()) as rig:
        await rig.settle()
        refused = Fault(error=RefusalError(400, "invalid mount"))
        rig.fault = lambda site: refused if site.operation == "update" and site.target == "service/shop_db" else None
        rig.declare(stack(shop().services["web"], service("db", "db:2")))
        await asyncio.sleep(120)

        (incident,) = await told(rig)
        assert (incident.service, incident.kind, incident.state) == ("shop_db", FaultKind.REFUSED, IncidentState.OPEN)
        assert "invalid mount" in incident.summary
        lines = len(incident.entries)
        await asyncio.sleep(900)
        assert len((await told(rig))[0].entries) == lines

        rig.fault = lambda site: None
        rig.declare(stack(shop().services["web"], service("db", "db:3")))
        await asyncio.sleep(60)
        assert [item.state for item in await told(rig)] == [IncidentState.RECOVERED]


async def test_a_new_service_that_the_engine_refuses_is_refused_and_not_missing() -> None:
    async with Rig(shop()) as rig:
        await rig.settle()
        rig.fault = lambda site: Fault(error=RefusalError(400, "no")) if site.target == "service/shop_new" else None
        rig.declare(stack(*shop().services.values(), service("new")))
        await asyncio.sleep(120)

        assert [(item.service, item.kind) for item in await told(rig)] == [("shop_new", FaultKind.REFUSED)]


async def test_an_incident_goes_on_after_a_restart() -> None:
    async with Rig(shop()) as rig:
        await rig.settle()
        rig.fault = lambda site: Fault(error=UnreachableError("gone")) if site.operation == "create" else None
        rig.sim.remove(ObjectKind.SERVICE, "shop_web")
        await asyncio.sleep(1)
        assert [item.state for item in rig.journal.known.values()] == [IncidentState.OPEN]
    async with Rig(shop(), sim=rig.sim, journal=rig.journal) as later:
        await asyncio.sleep(20)

        (incident,) = await told(later)
        assert (incident.id, incident.state) == (1, IncidentState.RECOVERED)
        assert texts(incident)[-1] == "recovered: 3 of 3 replicas run"


async def test_a_service_lost_while_no_controller_ran_is_missing_without_a_time_to_detect() -> None:
    async with Rig(shop()) as rig:
        await rig.settle()
    rig.sim.remove(ObjectKind.SERVICE, "shop_web")
    await asyncio.sleep(100)
    async with Rig(shop(), sim=rig.sim, journal=rig.journal) as later:
        await asyncio.sleep(20)

        (incident,) = await told(later)
        assert (incident.kind, incident.state, incident.began) == (FaultKind.MISSING, IncidentState.RECOVERED, None)


async def test_a_full_disk_stops_no_healing_and_loses_no_incident() -> None:
    async with Rig(shop()) as rig:
        await rig.settle()
        rig.journal.broken = True
        rig.sim.remove(ObjectKind.SERVICE, "shop_web")
        await asyncio.sleep(120)
        assert len(rig.sim.running("shop_web")) == 3
        assert rig.journal.known == {}

        rig.journal.broken = False
        await asyncio.sleep(60)
        assert [item.state for item in rig.journal.known.values()] == [IncidentState.RECOVERED]


async def test_a_fight_over_a_service_is_one_incident_of_bounded_length() -> None:
    async with Rig(shop()) as rig:
        await rig.settle()
        for _ in range(100):
            rig.edit("shop_web", scaled)
            await asyncio.sleep(10)
        await asyncio.sleep(20)

        (incident,) = await told(rig)
        assert incident.state is IncidentState.RECOVERED
        assert len(incident.entries) == 200
        assert any("lines are left out here" in text for text in texts(incident))


async def test_what_is_not_declared_any_more_has_no_open_incident() -> None:
    async with Rig(shop(drift=DriftMode.REPORT)) as rig:
        await rig.settle()
        rig.edit("shop_web", scaled)
        await asyncio.sleep(5)
        assert len(rig.incidents.open_ones()) == 1

        rig.declare(stack(service("db")))
        rig.queue.add(Key("shop", "web"), reason="manifest edited")
        await asyncio.sleep(60)

        assert rig.incidents.open_ones() == []


async def test_the_controllers_own_stack_is_told_of_and_not_healed() -> None:
    async with Rig(shop()) as rig:
        await rig.settle()
    rig.sim.remove(ObjectKind.SERVICE, "shop_web")
    async with Rig(shop(), sim=rig.sim, journal=rig.journal, options=Options(resolve=Resolve.NEVER, own_stack="shop")) as later:
        await asyncio.sleep(60)

        (incident,) = await told(later)
        assert (incident.kind, incident.state, incident.acted) == (FaultKind.MISSING, IncidentState.OPEN, None)
