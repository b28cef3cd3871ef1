"""Snapshots: shared, fresh enough, complete or not at all."""

from __future__ import annotations

import asyncio

import pytest

from controller.engine.observer import SHARED_KINDS, Observer, assemble, full_snapshot
from controller.errors import EngineUnavailableError
from controller.model.observation import Snapshot
from controller.model.plan import ObjectKind
from tests.support.fakes import FACTS, FakeSwarm
from tests.support.specs import API, body, live, live_content, live_network

pytestmark = pytest.mark.looptime
CONFIG, NETWORK, NODE, SERVICE, SECRET = (
    ObjectKind.CONFIG, ObjectKind.NETWORK, ObjectKind.NODE, ObjectKind.SERVICE, ObjectKind.SECRET,
)  # fmt: skip


@pytest.fixture
def swarm() -> FakeSwarm:
    return FakeSwarm(
        {
            SERVICE: [live(body())],
            NETWORK: [live_network()],
            CONFIG: [live_content("shop_c")],
            SECRET: [live_content("shop_s", None)],
            NODE: [{"ID": "n1"}],
        }
    )


def lists(swarm: FakeSwarm) -> dict[str, int]:
    return {kind.value: swarm.count("list", kind.value) for kind in (SERVICE, *SHARED_KINDS)}


async def test_a_snapshot_holds_every_object_by_name(swarm: FakeSwarm) -> None:
    seen = await full_snapshot(swarm)

    assert (seen.api_version, seen.tasks) == (API, None)
    assert [*seen.services, *seen.networks, *seen.configs, *seen.secrets] == ["shop_web", "shop_default", "shop_c", "shop_s"]
    assert seen.nodes == [{"ID": "n1"}]


async def test_keys_that_are_due_together_share_one_look(swarm: FakeSwarm) -> None:
    observer = Observer(swarm)
    seen = await asyncio.gather(*(observer.snapshot(since=0.0) for _ in range(20)))

    assert len({id(item) for item in seen}) == 1
    assert set(lists(swarm).values()) == {1}
    assert swarm.count("facts") == 1


async def test_a_look_during_which_something_was_called_out_of_date_is_not_shared_with_who_asks_then(swarm: FakeSwarm) -> None:
    observer = Observer(swarm)
    await observer.snapshot(since=0.0)
    swarm.hold = asyncio.Event()
    await asyncio.sleep(1)
    now = asyncio.get_running_loop().time()
    early = asyncio.create_task(observer.snapshot(since=now))
    await asyncio.sleep(0)
    swarm.objects[CONFIG] = [live_content("shop_new")]
    observer.invalidate(CONFIG)
    late = asyncio.create_task(observer.snapshot(since=now))
    await asyncio.sleep(0)
    swarm.hold.set()

    assert [*(await early).configs] == ["shop_c"]
    assert [*(await late).configs] == ["shop_new"]


async def test_a_key_that_came_due_after_a_look_began_gets_a_new_one(swarm: FakeSwarm) -> None:
    swarm.hold = asyncio.Event()
    observer = Observer(swarm)
    first = asyncio.create_task(observer.snapshot(since=0.0))
    await asyncio.sleep(1)
    second = asyncio.create_task(observer.snapshot(since=0.5))
    swarm.hold.set()

    assert await first is not await second
    assert lists(swarm)["service"] == 2


async def test_shared_lists_are_kept_and_then_read_again_one_at_a_time(swarm: FakeSwarm) -> None:
    observer = Observer(swarm)
    counts = []
    for _ in range(9):
        await observer.snapshot(since=asyncio.get_running_loop().time())
        counts.append([lists(swarm)[kind] for kind in ("service", "network", "config", "secret", "node")])
        await asyncio.sleep(30)

    assert counts[3] == [4, 1, 1, 1, 1]
    assert counts[4:8] == [[5, 2, 1, 1, 1], [6, 2, 2, 1, 1], [7, 2, 2, 2, 1], [8, 2, 2, 2, 2]]
    assert counts[8] == [9, 3, 2, 2, 2]


async def test_news_of_one_kind_lists_that_kind_again(swarm: FakeSwarm) -> None:
    observer = Observer(swarm)
    await observer.snapshot(since=0.0)
    swarm.objects[NETWORK] = []
    observer.invalidate(NETWORK)

    assert (await observer.snapshot(since=0.0)).networks == {}
    assert lists(swarm) == {"service": 2, "network": 2, "config": 1, "secret": 1, "node": 1}


async def test_news_that_comes_while_a_list_is_on_its_way_is_not_lost(swarm: FakeSwarm) -> None:
    swarm.hold = asyncio.Event()
    observer = Observer(swarm)
    under_way = asyncio.create_task(observer.snapshot(since=0.0))
    await asyncio.sleep(1)  # the engine has read its networks
    swarm.objects[NETWORK] = []
    observer.invalidate(NETWORK)
    swarm.hold.set()
    await under_way
    await asyncio.sleep(1)

    assert (await observer.snapshot(since=asyncio.get_running_loop().time())).networks == {}
    assert lists(swarm) == {"service": 2, "network": 2, "config": 1, "secret": 1, "node": 1}


async def test_after_a_lost_connection_everything_is_asked_anew(swarm: FakeSwarm) -> None:
    observer = Observer(swarm)
    await observer.snapshot(since=0.0)
    observer.forget_all()
    await observer.snapshot(since=0.0)

    assert set(lists(swarm).values()) == {2}
    assert swarm.count("facts") == 2


async def test_a_reader_may_ask_for_lists_no_older_than_a_time(swarm: FakeSwarm) -> None:
    observer = Observer(swarm)
    await observer.snapshot(since=0.0)
    await asyncio.sleep(10)
    await observer.snapshot(since=0.0, shared_since=0.0)
    assert set(lists(swarm).values()) == {1}
    await observer.snapshot(since=0.0, shared_since=5.0)

    assert set(lists(swarm).values()) == {2}


async def test_at_rest_the_last_snapshot_is_let_go_and_the_shared_lists_are_kept(swarm: FakeSwarm) -> None:
    observer = Observer(swarm)
    await observer.snapshot(since=0.0)
    observer.rest()
    await observer.snapshot(since=0.0)

    assert lists(swarm)["service"] == 2
    assert lists(swarm)["network"] == 1


@pytest.mark.parametrize("failing", ["facts", "list service", "list network", "list node"])
async def test_a_look_that_fails_in_part_fails_and_the_next_one_is_whole(swarm: FakeSwarm, failing: str) -> None:
    observer = Observer(swarm)
    swarm.answers = {failing: EngineUnavailableError("gone")}
    with pytest.raises(EngineUnavailableError):
        await observer.snapshot(since=0.0)
    swarm.answers = {}

    assert set((await observer.snapshot(since=0.0)).services) == {"shop_web"}


def seen_networks(*networks: dict[str, object]) -> Snapshot:
    return assemble(FACTS, [], {NETWORK: list(networks), CONFIG: [], SECRET: [], NODE: []})


@pytest.mark.looptime(False)
def test_networks_of_this_node_alone_are_not_seen_except_the_predefined_ones() -> None:
    seen = seen_networks(
        {"Name": "lan", "Id": "1", "Scope": "local", "Driver": "macvlan"},
        {"Name": "host", "Id": "2", "Scope": "local", "Driver": "host"},
        {"Name": "none", "Id": "3", "Scope": "local", "Driver": "null"},
    )

    assert sorted(seen.networks) == ["host", "none"]


@pytest.mark.parametrize("swarms_first", [True, False])
@pytest.mark.looptime(False)
def test_of_two_networks_called_host_services_mean_swarms(*, swarms_first: bool) -> None:
    both: list[dict[str, object]] = [
        {"Name": "host", "Id": "s", "Scope": "swarm", "Driver": "host"},
        {"Name": "host", "Id": "l", "Scope": "local", "Driver": "host"},
    ]

    assert seen_networks(*(both if swarms_first else both[::-1])).networks["host"]["Id"] == "s"
