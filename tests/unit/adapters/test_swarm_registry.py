"""Image names, digests and registry credentials."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from controller.adapters.swarm import DockerSwarm
from controller.adapters.swarm import credentials as credentials_module
from controller.adapters.swarm.credentials import Credentials, secrets_of
from controller.adapters.swarm.images import registry_of
from controller.errors import EngineUnavailableError, RegistryError
from tests.unit.adapters.fake_engine import FakeEngine, refuse, reply, silence, vanish

DIGEST = "sha256:" + "a" * 64


def _inspected(*platforms: tuple[str, str]) -> dict[str, Any]:
    listed = [{"os": system, "architecture": architecture} for system, architecture in platforms]
    return {"Descriptor": {"digest": DIGEST}, "Platforms": listed}


@pytest.mark.parametrize(
    ("image", "asked", "reference"),
    [
        ("redis", "redis:latest", f"redis:latest@{DIGEST}"),
        ("docker.io/library/redis:7", "redis:7", f"redis:7@{DIGEST}"),
        ("host:5000/team/app", "host:5000/team/app:latest", f"host:5000/team/app:latest@{DIGEST}"),
        ("app:1@sha256:" + "b" * 64, "app:1%40sha256:" + "b" * 64, "app:1@sha256:" + "b" * 64),
    ],
)
async def test_an_image_is_resolved_as_docker_does(
    swarm: DockerSwarm, engine: FakeEngine, image: str, asked: str, reference: str
) -> None:
    engine.says(reply(200, _inspected()))

    assert (await swarm.resolve_image(image)).reference == reference
    assert engine.calls()[0].replace("@", "%40") == f"GET /v1.41/distribution/{asked}/json"


async def test_platforms_are_distinct_known_and_without_arms_variants(swarm: DockerSwarm, engine: FakeEngine) -> None:
    listed = [
        ("linux", "amd64"),
        ("linux", "arm"),
        ("linux", "arm"),
        ("unknown", "unknown"),
        ("linux", "amd64"),
        ("linux", "arm64"),
    ]
    engine.says(reply(200, _inspected(*listed)))

    platforms = (await swarm.resolve_image("redis")).platforms

    assert platforms == (
        {"Architecture": "amd64", "OS": "linux"},
        {"OS": "linux"},
        {"Architecture": "arm64", "OS": "linux"},
    )


async def test_an_image_id_is_not_asked_for(swarm: DockerSwarm, engine: FakeEngine) -> None:
    assert (await swarm.resolve_image(DIGEST)).reference == DIGEST
    assert engine.asked == []


async def test_credentials_are_sent_and_never_repeated(swarm: DockerSwarm, engine: FakeEngine) -> None:
    fields = {"username": "bob", "password": "S3CR3T-planted", "serveraddress": "host:5000"}
    auth = base64.urlsafe_b64encode(json.dumps(fields).encode()).decode()
    engine.says(refuse(401, "Get https://bob:S3CR3T-planted@host:5000/v2/: unauthorized: S3CR3T-planted"))

    with pytest.raises(RegistryError) as caught:
        await swarm.resolve_image("host:5000/app", auth=auth)

    assert engine.asked[-1].headers["x-registry-auth"] == auth
    assert str(caught.value).endswith("Get https://***@host:5000/v2/: unauthorized: ***")


@pytest.mark.parametrize(("status", "message"), [(404, "manifest unknown"), (403, "denied"), (500, "dial tcp: refused")])
async def test_a_registrys_refusal_is_no_fault_of_the_engine(
    swarm: DockerSwarm, engine: FakeEngine, status: int, message: str
) -> None:
    engine.says(*[refuse(status, message)] * 3)

    with pytest.raises(RegistryError, match=f"app:1 cannot be resolved to a digest: distribution: {message}"):
        await swarm.resolve_image("app:1")


async def test_a_registry_that_keeps_the_engine_waiting_is_named(
    make_swarm: Callable[..., DockerSwarm], engine: FakeEngine
) -> None:
    engine.says(*[silence] * 3)

    with pytest.raises(RegistryError, match="timed out"):
        await make_swarm(call_seconds=0.2).resolve_image("app:1")


async def test_an_engine_that_is_away_is_no_fault_of_the_registry(swarm: DockerSwarm, engine: FakeEngine) -> None:
    engine.says(*[vanish] * 3)

    with pytest.raises(EngineUnavailableError):
        await swarm.resolve_image("app:1")


@pytest.mark.parametrize("answer", [{}, {"Descriptor": {"digest": 1}}, {"Descriptor": {"digest": "x"}}, []])
async def test_an_answer_without_a_digest_never_unpins(swarm: DockerSwarm, engine: FakeEngine, answer: object) -> None:
    engine.says(*[reply(200, answer)] * 3)

    with pytest.raises(EngineUnavailableError, match="cannot be read"):
        await swarm.resolve_image("app:1")


async def test_what_is_no_image_name_is_not_asked_for(swarm: DockerSwarm, engine: FakeEngine) -> None:
    with pytest.raises(RegistryError, match="lower case"):
        await swarm.resolve_image("APP:1")

    assert engine.asked == []


@pytest.mark.parametrize(
    ("image", "registry"),
    [
        ("redis", "docker.io"),
        ("team/app:1", "docker.io"),
        ("index.docker.io/team/app", "docker.io"),
        ("localhost/app", "localhost"),
        ("host:5000/app", "host:5000"),
        ("ghcr.io/a/b@sha256:0", "ghcr.io"),
        ("Host/app", "Host"),
    ],
)
def test_the_registry_of_an_image_is_its_first_part_where_that_is_a_host(image: str, registry: str) -> None:
    assert registry_of(image) == registry


# --- credentials -------------------------------------------------------------------------------------------------------


def _auth(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _found(tmp_path: Path, config: object, image: str) -> dict[str, str] | None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    header = Credentials(tmp_path / "config.json").header(image)
    return json.loads(base64.urlsafe_b64decode(header)) if header else None


@pytest.fixture
def helper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Puts a `docker-credential-test` with the given body on the path."""

    def install(body: str) -> None:
        program = tmp_path / "bin" / "docker-credential-test"
        program.parent.mkdir()
        program.write_text(f'#!/bin/sh\nread server\necho "$server" >> {tmp_path}/asked\n{body}\n')
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")

    return install


@pytest.mark.parametrize(
    ("key", "image"),
    [
        ("https://index.docker.io/v1/", "redis"),
        ("host:5000", "host:5000/app"),
        ("https://host:5000/v1/", "host:5000/app"),
    ],
)
def test_credentials_of_the_file_are_found_by_registry(tmp_path: Path, key: str, image: str) -> None:
    found = _found(tmp_path, {"auths": {key: {"auth": _auth("bob:pa:ss")}}}, image)

    assert found == {"username": "bob", "password": "pa:ss", "serveraddress": key}


def test_identity_tokens_are_passed_on(tmp_path: Path) -> None:
    found = _found(tmp_path, {"auths": {"h:1": {"auth": _auth("0:"), "identitytoken": "tok"}}}, "h:1/a")

    assert found == {"username": "0", "password": "", "identitytoken": "tok", "serveraddress": "h:1"}


@pytest.mark.parametrize(
    "config", [{}, {"auths": {}}, {"auths": {"other:1": {"auth": _auth("a:b")}}}, {"auths": {"h:1": {}}}, {"auths": []}]
)
def test_without_credentials_there_is_no_header(tmp_path: Path, config: object) -> None:
    assert _found(tmp_path, config, "h:1/a") is None


def test_without_a_file_there_is_no_header(tmp_path: Path) -> None:
    assert Credentials(tmp_path / "none.json").header("redis") is None
    assert Credentials(tmp_path / "none.json").header(DIGEST) is None


@pytest.mark.parametrize("auth", ["%%%", _auth("nocolon"), base64.b64encode(b"\xff:\xff").decode()])
def test_a_damaged_auth_is_named_and_not_shown(tmp_path: Path, auth: str) -> None:
    with pytest.raises(RegistryError, match="an auth for h:1 that is not base64") as caught:
        _found(tmp_path, {"auths": {"h:1": {"auth": auth}}}, "h:1/a")

    assert auth not in str(caught.value)


def test_a_registrys_own_helper_beats_the_store_and_the_file(tmp_path: Path, helper: Callable[[str], None]) -> None:
    helper("""echo '{"Username": "bob", "Secret": "pw"}'""")
    config = {"auths": {"h:1": {"auth": _auth("x:y")}}, "credsStore": "absent", "credHelpers": {"h:1": "test"}}

    assert _found(tmp_path, config, "h:1/a") == {"username": "bob", "password": "pw", "serveraddress": "h:1"}


def test_the_store_is_asked_for_the_hub_by_its_old_address(tmp_path: Path, helper: Callable[[str], None]) -> None:
    helper("""echo '{"Username": "<token>", "Secret": "tok"}'""")

    found = _found(tmp_path, {"credsStore": "test"}, "redis")

    assert found == {"identitytoken": "tok", "serveraddress": "https://index.docker.io/v1/"}
    assert (tmp_path / "asked").read_text() == "https://index.docker.io/v1/\n"


@pytest.mark.parametrize(
    "body", ["echo credentials not found in native keychain; exit 1", """echo '{"Username": "", "Secret": ""}'"""]
)
def test_a_helper_that_knows_nothing_means_no_credentials(tmp_path: Path, helper: Callable[[str], None], body: str) -> None:
    helper(body)

    assert _found(tmp_path, {"credsStore": "test"}, "h:1/a") is None


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("echo S3CR3T; exit 3", "ended with code 3"),
        ("echo S3CR3T", "no readable credentials"),
        ("""echo '{"S3CR3T": 1}'""", "no readable credentials"),
        ("exec sleep 5", "within 0.3 s"),
    ],
)
def test_a_helper_that_fails_is_named_and_its_words_are_kept(
    tmp_path: Path, helper: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, body: str, reason: str
) -> None:
    helper(body)
    monkeypatch.setattr(credentials_module, "HELPER_SECONDS", 0.3)

    with pytest.raises(RegistryError, match=f"docker-credential-test gave no .*{reason}|{reason}") as caught:
        _found(tmp_path, {"credsStore": "test"}, "h:1/a")

    assert "S3CR3T" not in str(caught.value)


def test_a_helper_that_is_not_installed_is_named(tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match=r"docker-credential-absent, which .* is not installed"):
        _found(tmp_path, {"credsStore": "absent"}, "h:1/a")


def test_a_helper_is_asked_once_for_many_images(tmp_path: Path, helper: Callable[[str], None]) -> None:
    helper("""echo '{"Username": "bob", "Secret": "pw"}'""")
    (tmp_path / "config.json").write_text('{"credsStore": "test"}')
    credentials = Credentials(tmp_path / "config.json")

    for number in range(5):
        assert credentials.header(f"h:1/app{number}")

    assert (tmp_path / "asked").read_text() == "h:1\n"


async def test_the_adapter_finds_credentials_beside_its_configuration(swarm: DockerSwarm, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"auths": {"h:1": {"auth": _auth("bob:S3CR3T")}}}))

    header = swarm.registry_auth("h:1/app")

    assert set(secrets_of(header)) == {header, "bob", "S3CR3T"}
    assert swarm.registry_auth("redis") is None
