"""Writes: in stages, bound to real ids, each outcome judged, removals never after a failure."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import pytest

from controller.core.state import STATE_NAME, new_state
from controller.engine.executor import ActionResult, Executor, lacking
from controller.engine.records import ActionOutcome
from controller.errors import (
    EngineUnavailableError,
    InUseError,
    NameTakenError,
    NotFoundError,
    NotLeaderError,
    NotManagerError,
    OutOfSequenceError,
    RefusedError,
    SwarmError,
)
from controller.model.observation import Snapshot
from controller.model.plan import Action, ObjectKind, Plan, Reason, Verb
from tests.support.fakes import FakeSwarm, LoopClock
from tests.support.specs import body, live_content, live_network, mounted, snapshot

pytestmark = pytest.mark.looptime
CONFIG, NETWORK, SERVICE, SECRET = ObjectKind.CONFIG, ObjectKind.NETWORK, ObjectKind.SERVICE, ObjectKind.SECRET
DONE, SUPERSEDED, REFUSED, UNKNOWN = ActionOutcome


def create(kind: ObjectKind, name: str, **parts: Any) -> Action:
    made = body(name.removeprefix("shop_")) if kind is SERVICE else {"Name": name}
    return Action(Verb.CREATE, kind, name, Reason.MISSING, body=parts.pop("body", made), **parts)


def update(name: str = "shop_web", **parts: Any) -> Action:
    return Action(Verb.UPDATE, SERVICE, name, Reason.DRIFT, object_id=f"id-of-{name}", version=41, body=body(), **parts)


def remove(kind: ObjectKind, name: str) -> Action:
    return Action(Verb.REMOVE, kind, name, Reason.NOT_DECLARED, object_id=f"id-of-{name}")


async def run(
    swarm: FakeSwarm, *actions: Action, seen: Snapshot | None = None, told: list[ActionResult] | None = None, **parts: Any
) -> list[ActionResult]:
    reports = [] if told is None else told

    async def report(result: ActionResult) -> None:
        reports.append(result)

    executor = Executor(swarm, LoopClock(), **{"with_registry_auth": False, **parts})
    return await executor.execute(Plan("shop", actions), seen or snapshot(), report)


def outcomes(results: list[ActionResult]) -> list[tuple[str, ActionOutcome]]:
    return [(result.action.name, result.outcome) for result in results]


async def test_shared_objects_come_before_services_and_removals_last() -> None:
    swarm = FakeSwarm(seconds=1.0)
    actions = [
        remove(SERVICE, "shop_old"),
        update(),
        create(NETWORK, "shop_n"),
        create(CONFIG, "shop_c"),
        create(SERVICE, "shop_a"),
    ]

    results = await run(swarm, *actions)

    assert [call[:2] for call in swarm.calls] == [
        ("create", "network"), ("create", "config"), ("update", "service"), ("create", "service"), ("remove", "service"),
    ]  # fmt: skip
    assert asyncio.get_running_loop().time() == pytest.approx(3.0)  # within a stage side by side
    assert all(result.outcome is DONE and result.seconds == pytest.approx(1.0) for result in results)


async def test_an_empty_plan_does_nothing() -> None:
    assert await run(FakeSwarm()) == []


async def test_every_result_is_told_when_it_is_there() -> None:
    told: list[ActionResult] = []

    assert await run(FakeSwarm(), create(NETWORK, "a"), create(SERVICE, "shop_b"), told=told) == told


async def test_an_update_carries_the_version_of_its_decision() -> None:
    swarm = FakeSwarm()
    await run(swarm, update())

    assert (swarm.versions, swarm.calls) == ([41], [("update", "service", "id-of-shop_web")])


async def test_no_more_than_the_bound_is_written_at_once() -> None:
    swarm = FakeSwarm(seconds=1.0)
    await run(swarm, *(create(NETWORK, f"n{number}") for number in range(10)), concurrency=3)

    assert swarm.most_busy == 3


_JUDGED = [
    (OutOfSequenceError, SUPERSEDED), (NameTakenError, SUPERSEDED), (InUseError, SUPERSEDED), (NotFoundError, SUPERSEDED),
    (RefusedError, REFUSED), (NotLeaderError, SUPERSEDED), (NotManagerError, UNKNOWN), (EngineUnavailableError, UNKNOWN),
    (SwarmError, UNKNOWN),
]  # fmt: skip


@pytest.mark.parametrize(("error", "expected"), _JUDGED)
async def test_each_error_means_one_outcome(error: type[SwarmError], expected: ActionOutcome) -> None:
    (result,) = await run(FakeSwarm(answers={"update": error("the engine's words")}), update())

    assert (result.outcome, result.message) == (expected, "the engine's words")


async def test_what_is_gone_already_has_been_removed() -> None:
    (result,) = await run(FakeSwarm(answers={"remove": NotFoundError("gone")}), remove(NETWORK, "shop_n"))

    assert result.outcome is DONE


@pytest.mark.parametrize("failing", ["create network", "update service"])
@pytest.mark.parametrize("error", [RefusedError("no"), OutOfSequenceError("stale"), EngineUnavailableError("gone")])
async def test_nothing_is_removed_after_anything_failed(failing: str, error: SwarmError) -> None:
    swarm = FakeSwarm(answers={failing: error})
    await run(swarm, create(NETWORK, "shop_n"), update(), remove(SERVICE, "shop_old"))

    assert swarm.count("remove") == 0


async def test_one_failure_leaves_its_neighbours_alone() -> None:
    swarm = FakeSwarm(answers={"create network a": RefusedError("no")})

    assert outcomes(await run(swarm, create(NETWORK, "a"), create(NETWORK, "b"))) == [("a", REFUSED), ("b", DONE)]


USES = body(
    container={"Configs": [mounted("Config", "shop_c")], "Secrets": [mounted("Secret", "shop_s")]},
    task={"Networks": [{"Target": "shop_n"}, {"Target": "host"}]},
)
NEEDS = ((NETWORK, "shop_n"), (NETWORK, "host"), (CONFIG, "shop_c"), (SECRET, "shop_s"))


async def test_references_are_bound_to_what_exists_and_to_what_the_plan_has_just_made() -> None:
    swarm = FakeSwarm()
    seen = snapshot(networks=[live_network("shop_n")], secrets=[live_content("shop_s", None)])
    service = create(SERVICE, "shop_web", body=USES, needs=NEEDS)

    results = await run(swarm, create(CONFIG, "shop_c"), service, seen=seen)

    container = swarm.bodies[-1]["TaskTemplate"]["ContainerSpec"]
    assert outcomes(results) == [("shop_c", DONE), ("shop_web", DONE)]
    assert container["Configs"][0]["ConfigID"] == "new-shop_c"
    assert container["Secrets"][0]["SecretID"] == "id-of-shop_s"


async def test_a_service_is_not_sent_while_something_that_it_needs_is_missing() -> None:
    swarm = FakeSwarm(answers={"create config": EngineUnavailableError("gone")})
    service = create(SERVICE, "shop_web", body=USES, needs=NEEDS)

    results = await run(swarm, create(CONFIG, "shop_c"), service)

    assert outcomes(results) == [("shop_c", UNKNOWN), ("shop_web", SUPERSEDED)]
    assert results[1].message == "needs network shop_n, config shop_c, secret shop_s, which is not there"
    assert swarm.count("create", "service") == 0


@pytest.mark.looptime(False)
def test_what_is_lacking_is_known_before_anything_is_sent() -> None:
    service = create(SERVICE, "shop_web", body=USES, needs=NEEDS)
    seen = snapshot(networks=[live_network("shop_n")], configs=[live_content("shop_c")])

    assert lacking(service, seen) == "secret shop_s"
    assert lacking(create(SERVICE, "shop_web"), seen) == ""


async def test_a_reference_that_nothing_announced_is_no_crash() -> None:
    (result,) = await run(FakeSwarm(), create(SERVICE, "shop_web", body=USES))

    assert result.outcome is SUPERSEDED


async def test_the_clusters_key_is_made_here_at_random_and_never_planned() -> None:
    first, second = FakeSwarm(), FakeSwarm()
    for swarm in (first, second):
        await run(swarm, create(CONFIG, STATE_NAME, body=new_state(b"")))

    keys = [base64.b64decode(swarm.bodies[0]["Data"]) for swarm in (first, second)]
    assert [len(key) for key in keys] == [32, 32]
    assert keys[0] != keys[1]


async def test_credentials_go_with_services_and_nothing_else_where_that_is_asked_for() -> None:
    swarm = FakeSwarm()
    await run(swarm, create(NETWORK, "shop_n"), create(SERVICE, "shop_web"), with_registry_auth=True)

    assert swarm.auths == [None, "auth for nginx:1"]


async def test_being_stopped_stops_every_write() -> None:
    swarm = FakeSwarm(seconds=3600.0)
    task = asyncio.create_task(run(swarm, create(NETWORK, "a"), create(NETWORK, "b")))
    await asyncio.sleep(1)
    task.cancel()
    await asyncio.wait([task])

    assert swarm.busy == 0
    assert swarm.calls == []
