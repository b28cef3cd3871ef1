"""What the adapter sends, and what it makes of good answers."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from controller.adapters.swarm import DockerSwarm
from controller.errors import EngineUnavailableError, RefusedError
from controller.model.plan import ObjectKind
from tests.unit.adapters.conftest import Calls
from tests.unit.adapters.fake_engine import VERSION, FakeEngine, refuse, reply, silence, vanish

SERVICE = {"Name": "shop_web", "TaskTemplate": {"ContainerSpec": {"Image": "app:1", "Env": ["TOKEN=S3CR3T-planted"]}}}


async def test_facts_come_from_version_and_info(swarm: DockerSwarm, engine: FakeEngine) -> None:
    engine.says(
        reply(200, {"ServerVersion": "20.10.24", "Swarm": {"NodeID": "n1", "ControlAvailable": True, "Cluster": {"ID": "c1"}}})
    )

    facts = await swarm.facts()

    assert (facts.api_version, facts.engine_version) == ((1, 41), "20.10.24")
    assert (facts.node_id, facts.is_manager, facts.cluster_id) == ("n1", True, "c1")


async def test_facts_of_an_engine_outside_of_a_swarm_say_no_manager(swarm: DockerSwarm, engine: FakeEngine) -> None:
    engine.says(reply(200, {"ServerVersion": "20.10.24", "Swarm": {"NodeID": "", "ControlAvailable": False, "Cluster": None}}))

    facts = await swarm.facts()

    assert (facts.is_manager, facts.cluster_id) == (False, "")


async def test_version_is_asked_for_once_by_all_threads_together(
    make_swarm: Callable[..., DockerSwarm], engine: FakeEngine
) -> None:
    swarm = make_swarm(workers=4)
    engine.says(*[reply(200, [])] * 12)

    await asyncio.gather(*(swarm.list_objects(ObjectKind.NODE) for _ in range(12)))

    assert [asked.path for asked in engine.asked].count("/version") == 1


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        (ObjectKind.SERVICE, "/v1.41/services"),
        (ObjectKind.TASK, "/v1.41/tasks"),
        (ObjectKind.NETWORK, "/v1.41/networks"),
        (ObjectKind.CONFIG, "/v1.41/configs"),
        (ObjectKind.SECRET, "/v1.41/secrets"),
        (ObjectKind.NODE, "/v1.41/nodes"),
    ],
)
async def test_list_asks_for_the_kinds_collection(swarm: DockerSwarm, engine: FakeEngine, kind: ObjectKind, path: str) -> None:
    found = [{"ID": "1", "Id": "1", "Name": "a"}]
    engine.says(reply(200, found))

    assert await swarm.list_objects(kind, filters={"label": ["a=b"]}) == found

    asked = engine.asked[-1]
    assert (asked.method, asked.path, json.loads(asked.query["filters"])) == ("GET", path, {"label": ["a=b"]})
    assert asked.query.get("status") == ("true" if kind is ObjectKind.SERVICE else None)


async def test_all_networks_include_swarms_own_entries_which_no_list_has(swarm: DockerSwarm, engine: FakeEngine) -> None:
    listed, host = {"Id": "1", "Name": "web"}, {"Id": "2", "Name": "host", "Scope": "swarm"}
    engine.says(reply(200, [listed]), reply(200, host), reply(404, {"message": "network bridge not found"}), reply(200, [listed]))

    assert await swarm.list_objects(ObjectKind.NETWORK) == [listed, host]
    assert await swarm.list_objects(ObjectKind.NETWORK) == [listed, host]

    asked = [(call.path, call.query.get("scope")) for call in engine.asked if "/networks" in call.path]
    assert asked == [
        ("/v1.41/networks", None),
        ("/v1.41/networks/host", "swarm"),
        ("/v1.41/networks/bridge", "swarm"),
        ("/v1.41/networks", None),
    ]


async def test_list_of_an_old_engine_does_not_ask_for_status(swarm: DockerSwarm, engine: FakeEngine) -> None:
    engine.version = reply(200, {**VERSION, "ApiVersion": "1.40"})
    engine.says(reply(200, []))

    assert await swarm.list_objects(ObjectKind.SERVICE) == []

    assert engine.asked[-1].path == "/v1.40/services"
    assert engine.asked[-1].query == {}


async def test_create_sends_the_body_as_it_is_and_returns_the_id(swarm: DockerSwarm, engine: FakeEngine) -> None:
    engine.says(reply(201, {"ID": "s1"}))

    assert await swarm.create(ObjectKind.SERVICE, SERVICE, auth="c2VjcmV0") == "s1"

    asked = engine.asked[-1]
    assert (asked.method, asked.path, asked.json) == ("POST", "/v1.41/services/create", SERVICE)
    assert asked.headers["x-registry-auth"] == "c2VjcmV0"
    assert asked.headers["content-type"] == "application/json"


async def test_create_without_credentials_sends_no_auth_header(swarm: DockerSwarm, engine: FakeEngine) -> None:
    engine.says(reply(201, {"ID": "s1"}))

    await swarm.create(ObjectKind.SERVICE, SERVICE)

    assert "x-registry-auth" not in engine.asked[-1].headers


@pytest.mark.parametrize(("version", "checked"), [("1.43", True), ("1.44", None)])
async def test_create_of_a_network_asks_old_engines_to_check_its_name(
    swarm: DockerSwarm, engine: FakeEngine, version: str, checked: bool | None
) -> None:
    engine.version = reply(200, {**VERSION, "ApiVersion": version})
    engine.says(reply(201, {"Id": "n1", "Warning": ""}))

    assert await swarm.create(ObjectKind.NETWORK, {"Name": "net"}) == "n1"

    assert engine.asked[-1].json.get("CheckDuplicate") is checked


async def test_update_carries_the_version_of_its_decision(swarm: DockerSwarm, engine: FakeEngine) -> None:
    engine.says(reply(200, {"Warnings": None}))

    await swarm.update(ObjectKind.CONFIG, "c1", 17, {"Name": "c", "Labels": {"a": "b"}})

    asked = engine.asked[-1]
    assert (asked.method, asked.path, asked.query) == ("POST", "/v1.41/configs/c1/update", {"version": "17"})
    assert asked.json == {"Name": "c", "Labels": {"a": "b"}}


@pytest.mark.parametrize("kind", [ObjectKind.NETWORK, ObjectKind.TASK])
async def test_update_of_what_cannot_be_updated_is_refused_without_a_call(
    swarm: DockerSwarm, engine: FakeEngine, kind: ObjectKind
) -> None:
    with pytest.raises(RefusedError, match=f"no way to update a {kind}"):
        await swarm.update(kind, "x", 1, {})

    assert engine.asked == []


async def test_remove_deletes_by_id(swarm: DockerSwarm, engine: FakeEngine) -> None:
    engine.says(reply(204))

    await swarm.remove(ObjectKind.SECRET, "x1")

    assert engine.calls() == ["DELETE /v1.41/secrets/x1"]


async def test_every_call_is_told_with_its_outcome(swarm: DockerSwarm, engine: FakeEngine, calls: Calls) -> None:
    engine.says(reply(200, []), reply(201, {"ID": "1"}), refuse(404, "service x not found"), refuse(503, "registry away"), vanish)

    await swarm.list_objects(ObjectKind.SERVICE)
    await swarm.create(ObjectKind.CONFIG, {"Name": "c"})
    for failing in (swarm.remove(ObjectKind.SERVICE, "x"), swarm.remove(ObjectKind.SERVICE, "x")):
        with pytest.raises(Exception, match="service x remove"):
            await failing

    assert calls == [
        ("version", "ok"),
        ("service_list", "ok"),
        ("config_create", "ok"),
        ("service_remove", "not_found"),
        ("service_remove", "engine_unavailable"),
    ]


async def test_a_read_is_repeated_over_a_hiccup(swarm: DockerSwarm, engine: FakeEngine) -> None:
    engine.says(vanish, refuse(500, "rpc error: code = Unknown desc = The swarm does not have a leader."), reply(200, []))

    assert await swarm.list_objects(ObjectKind.NODE) == []


async def test_a_read_gives_up_after_three_tries(swarm: DockerSwarm, engine: FakeEngine) -> None:
    engine.says(vanish, vanish, vanish, reply(200, []))

    with pytest.raises(EngineUnavailableError):
        await swarm.list_objects(ObjectKind.NODE)

    assert len(engine.calls()) == 3


async def test_a_write_is_never_repeated(swarm: DockerSwarm, engine: FakeEngine) -> None:
    engine.says(vanish, reply(201, {"ID": "s1"}))

    with pytest.raises(EngineUnavailableError, match="perhaps applied"):
        await swarm.create(ObjectKind.SERVICE, SERVICE)

    assert len(engine.calls()) == 1


async def test_an_engine_of_another_version_is_negotiated_anew(swarm: DockerSwarm, engine: FakeEngine) -> None:
    engine.says(
        reply(200, []), refuse(400, "client version 1.41 is too old. Minimum supported API version is 1.44"), reply(200, [])
    )
    await swarm.list_objects(ObjectKind.NODE)
    engine.version = reply(200, {**VERSION, "ApiVersion": "1.51"})

    assert await swarm.list_objects(ObjectKind.NODE) == []

    assert engine.calls()[-1] == "GET /v1.51/nodes"


async def test_a_cancelled_write_that_waits_for_its_turn_is_never_sent(
    make_swarm: Callable[..., DockerSwarm], engine: FakeEngine
) -> None:
    swarm = make_swarm(workers=1)
    released = threading.Event()
    engine.says(lambda connection: released.wait(5) and reply(200, [])(connection), reply(201, {"ID": "s1"}))
    first = asyncio.create_task(swarm.list_objects(ObjectKind.NODE))
    await asyncio.sleep(0.2)
    second = asyncio.create_task(swarm.create(ObjectKind.SERVICE, SERVICE))
    await asyncio.sleep(0.1)

    second.cancel()
    released.set()
    assert isinstance((await asyncio.gather(first, second, return_exceptions=True))[1], asyncio.CancelledError)

    assert engine.calls() == ["GET /v1.41/nodes"]


async def test_a_silent_engine_is_given_up_in_time(make_swarm: Callable[..., DockerSwarm], engine: FakeEngine) -> None:
    swarm = make_swarm(call_seconds=0.3)
    engine.says(silence)

    with pytest.raises(EngineUnavailableError, match="timed out; perhaps applied"):
        await swarm.create(ObjectKind.SERVICE, SERVICE)


async def test_a_connection_that_the_engine_left_is_not_written_on(
    make_swarm: Callable[..., DockerSwarm], engine: FakeEngine
) -> None:
    swarm = make_swarm(workers=1)
    engine.says(reply(200, [], cut=len("[]")), reply(201, {"ID": "s1"}))
    await swarm.list_objects(ObjectKind.NODE)
    assert engine.left.wait(5)  # the loop stands still meanwhile: nobody has told the adapter of the end

    assert await swarm.create(ObjectKind.SERVICE, SERVICE) == "s1"


async def test_headers_of_dockers_configuration_are_sent(
    make_swarm: Callable[..., DockerSwarm], engine: FakeEngine, tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"HttpHeaders": {"X-Gate": "open"}}))
    engine.says(reply(200, []))

    await make_swarm().list_objects(ObjectKind.NODE)

    assert engine.asked[-1].headers["x-gate"] == "open"
    assert engine.asked[-1].headers["user-agent"].startswith("prodbreaker/")
