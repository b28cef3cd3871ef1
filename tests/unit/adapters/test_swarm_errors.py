"""What the adapter makes of refusals, half answers and silence."""

from __future__ import annotations

import pytest

from controller.adapters.swarm import DockerSwarm
from controller.errors import (
    EngineUnavailableError,
    InUseError,
    NameTakenError,
    NotFoundError,
    NotManagerError,
    OutOfSequenceError,
    RefusedError,
    SwarmError,
)
from controller.model.plan import ObjectKind
from tests.unit.adapters.fake_engine import Answer, FakeEngine, chunked, refuse, reply, vanish

RPC = "rpc error: code = {} desc = {}"
LEADERLESS = RPC.format("Unknown", "The swarm does not have a leader. It's possible that too few managers are online.")
SEEN_ON_WRITES = [
    # Texts of a real engine (20.10), with the verb that drew them.
    ("update", 500, RPC.format("Unknown", "update out of sequence"), OutOfSequenceError),
    (
        "create",
        409,
        RPC.format("AlreadyExists", "name conflicts with an existing object: service a already exists"),
        NameTakenError,
    ),
    ("create", 409, "network with name ov already exists", NameTakenError),
    ("update", 404, "service nope not found", NotFoundError),
    ("remove", 404, "service nope not found", NotFoundError),
    ("remove", 400, RPC.format("InvalidArgument", "config 'c' is in use by the following service: u"), InUseError),
    ("remove", 400, RPC.format("FailedPrecondition", "network x is in use by service z"), InUseError),
    ("remove", 403, "error while removing network: network x id y has active endpoints", InUseError),
    ("remove", 403, "bridge is a pre-defined network and cannot be removed", RefusedError),
    (
        "create",
        400,
        RPC.format("InvalidArgument", "port '80' is already in use by service 'p' (id) as an ingress port"),
        RefusedError,
    ),
    ("update", 400, RPC.format("InvalidArgument", "only updates to Labels are allowed"), RefusedError),
    ("update", 501, RPC.format("Unimplemented", "service mode change is not allowed"), RefusedError),
    ("create", 500, RPC.format("Unknown", "constraint expected one operator from ==, !="), RefusedError),
    ("create", 500, "network nope not found", RefusedError),
    ("create", 404, 'plugin "nope" not found', RefusedError),
    ("update", 404, "network nope not found", RefusedError),
    ("create", 404, "page not found", RefusedError),
    ("update", 409, "conflict", RefusedError),
    ("create", 503, 'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join"', NotManagerError),
    ("create", 503, "Swarm is encrypted and needs to be unlocked before it can be used.", NotManagerError),
    ("create", 503, "upstream connect error", EngineUnavailableError),
    ("create", 500, LEADERLESS, EngineUnavailableError),
    ("create", 500, RPC.format("DeadlineExceeded", "context deadline exceeded"), EngineUnavailableError),
    ("create", 429, "too many requests", EngineUnavailableError),
    ("create", 302, "", EngineUnavailableError),
]


async def _write(swarm: DockerSwarm, verb: str) -> None:
    if verb == "create":
        await swarm.create(ObjectKind.SERVICE, {"Name": "shop_web"})
    elif verb == "update":
        await swarm.update(ObjectKind.SERVICE, "s1", 7, {"Name": "shop_web"})
    else:
        await swarm.remove(ObjectKind.SERVICE, "shop_web")


@pytest.mark.parametrize(("verb", "status", "message", "expected"), SEEN_ON_WRITES)
async def test_a_refused_write_raises_what_the_refusal_means(
    swarm: DockerSwarm, engine: FakeEngine, verb: str, status: int, message: str, expected: type[SwarmError]
) -> None:
    engine.says(refuse(status, message))

    with pytest.raises(SwarmError) as caught:
        await _write(swarm, verb)

    assert type(caught.value) is expected
    assert (caught.value.status, caught.value.operation) == (status, f"service_{verb}")
    assert str(caught.value).startswith(f"service shop_web {verb}: ")
    assert "rpc error" not in str(caught.value)
    assert ("perhaps applied" in str(caught.value)) == (expected is EngineUnavailableError)


@pytest.mark.parametrize(
    "answer",
    [
        reply(404, b"<html>Not Found</html>"),
        reply(404, b"no such route"),
        reply(404, {"error": "x"}),
        reply(200, b'[{"ID": "1"}', cut=5),
        reply(200, b'[{"ID": "1"}'),
        reply(200, b"\xff\xfe"),
        reply(200, b""),
        reply(200, b"null"),
        reply(200, {}),
        reply(200, {"message": "hello"}),
        reply(200, [{"ID": "1"}, {}]),
        reply(200, [{"ID": "1"}, "2"]),
        chunked(b'[{"ID":', ended=False),
        vanish,
    ],
)
async def test_a_list_that_is_not_whole_is_no_list(swarm: DockerSwarm, engine: FakeEngine, answer: Answer) -> None:
    engine.says(answer, answer, answer)

    with pytest.raises(EngineUnavailableError):
        await swarm.list_objects(ObjectKind.SERVICE)


async def test_tasks_of_an_unknown_service_are_not_found(swarm: DockerSwarm, engine: FakeEngine) -> None:
    engine.says(refuse(404, "service nope not found"))

    with pytest.raises(NotFoundError):
        await swarm.list_objects(ObjectKind.TASK, filters={"service": ["nope"]})


@pytest.mark.parametrize("answer", [reply(201, b"{}"), reply(201, b"[]"), reply(201, b'{"ID": "s', cut=4), reply(201, b"")])
async def test_a_create_whose_answer_cannot_be_read_was_perhaps_applied(
    swarm: DockerSwarm, engine: FakeEngine, answer: Answer
) -> None:
    engine.says(answer)

    with pytest.raises(EngineUnavailableError, match="perhaps applied"):
        await swarm.create(ObjectKind.SERVICE, {"Name": "a"})


@pytest.mark.parametrize("version", [reply(200, b"{}"), reply(200, {"ApiVersion": "one"}), reply(200, b"x"), reply(500, b"")])
async def test_an_engine_without_a_version_is_no_engine(swarm: DockerSwarm, engine: FakeEngine, version: Answer) -> None:
    engine.version = version

    with pytest.raises(EngineUnavailableError, match="version"):
        await swarm.facts()


async def test_info_without_a_swarm_in_it_cannot_be_read(swarm: DockerSwarm, engine: FakeEngine) -> None:
    engine.says(*[reply(200, {"ServerVersion": "1"})] * 3)

    with pytest.raises(EngineUnavailableError, match="'Swarm'"):
        await swarm.facts()


async def test_nobody_listening_is_said_in_one_clear_line(swarm: DockerSwarm, engine: FakeEngine) -> None:
    engine.close()

    with pytest.raises(EngineUnavailableError) as caught:
        await swarm.remove(ObjectKind.SERVICE, "a")

    assert str(caught.value) == f"version: no answer from the engine at {engine.host}: Connection refused"


async def test_no_socket_is_said_in_one_clear_line(swarm: DockerSwarm, engine: FakeEngine) -> None:
    engine.socket_path.unlink()

    with pytest.raises(EngineUnavailableError, match=r"No such file or directory$"):
        await swarm.list_objects(ObjectKind.NODE)


async def test_an_env_value_that_the_engine_repeats_is_masked(swarm: DockerSwarm, engine: FakeEngine) -> None:
    secret = "{{S3CR3T-planted"
    engine.says(refuse(400, f'expanding env failed: expanding env "PASSWORD={secret}": template: function not defined'))
    body = {"Name": "a", "TaskTemplate": {"ContainerSpec": {"Image": "x", "Env": [f"PASSWORD={secret}", "EMPTY"]}}}

    with pytest.raises(RefusedError) as caught:
        await swarm.create(ObjectKind.SERVICE, body)

    assert "S3CR3T" not in str(caught.value)
    assert 'expanding env "PASSWORD=***"' in str(caught.value)
    assert "S3CR3T" not in repr(caught.value.__cause__)
