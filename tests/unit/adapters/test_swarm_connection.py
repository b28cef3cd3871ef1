"""Which engine the environment, contexts and TLS files mean."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from controller.adapters.swarm import DockerSwarm, resolve_endpoint
from controller.adapters.swarm.client import EngineClient
from controller.errors import ConnectionConfigError, EngineUnavailableError
from controller.model.plan import ObjectKind
from tests.unit.adapters.fake_engine import FakeEngine, reply


def _context(folder: Path, name: str, endpoint: object, *, files: tuple[str, ...] = ()) -> None:
    ident = hashlib.sha256(name.encode()).hexdigest()
    meta = folder / "contexts" / "meta" / ident
    meta.mkdir(parents=True)
    (meta / "meta.json").write_text(json.dumps({"Name": name, "Metadata": {}, "Endpoints": {"docker": endpoint}}))
    if files:
        _certificates(folder / "contexts" / "tls" / ident / "docker", *files)


def _certificates(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_text("pem")


def _environ(folder: Path, **variables: str) -> dict[str, str]:
    return {"DOCKER_CONFIG": str(folder), **variables}


def test_nothing_set_means_the_local_socket(tmp_path: Path) -> None:
    endpoint = resolve_endpoint(_environ(tmp_path))

    assert (endpoint.host, endpoint.tls) == ("unix:///var/run/docker.sock", None)
    assert endpoint.config_file == tmp_path / "config.json"


def test_without_docker_config_the_home_folder_counts(tmp_path: Path) -> None:
    assert resolve_endpoint({"HOME": str(tmp_path)}).config_file == tmp_path / ".docker" / "config.json"


def test_docker_host_beats_every_context(tmp_path: Path) -> None:
    environ = _environ(tmp_path, DOCKER_HOST="tcp://10.0.0.1:2375", DOCKER_CONTEXT="nowhere")

    assert resolve_endpoint(environ).host == "tcp://10.0.0.1:2375"


def test_docker_context_beats_the_current_one(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"currentContext": "nowhere"}')
    _context(tmp_path, "far", {"Host": "tcp://10.0.0.2:2375", "SkipTLSVerify": False})

    assert resolve_endpoint(_environ(tmp_path, DOCKER_CONTEXT="far")).host == "tcp://10.0.0.2:2375"


def test_current_context_is_read_from_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"currentContext": "far"}')
    _context(tmp_path, "far", {"Host": "unix:///far.sock"})

    assert resolve_endpoint(_environ(tmp_path)).host == "unix:///far.sock"


def test_the_default_context_is_the_environments(tmp_path: Path) -> None:
    assert resolve_endpoint(_environ(tmp_path, DOCKER_CONTEXT="default")).host == "unix:///var/run/docker.sock"


def test_tls_files_of_a_context_are_used(tmp_path: Path) -> None:
    endpoint = {"Host": "tcp://10.0.0.2:2376", "SkipTLSVerify": True}
    _context(tmp_path, "far", endpoint, files=("ca.pem", "cert.pem", "key.pem"))

    tls = resolve_endpoint(_environ(tmp_path, DOCKER_CONTEXT="far")).tls

    assert tls is not None
    assert tls.certificate is not None
    assert (tls.verify, tls.certificate.name) == (False, "cert.pem")


@pytest.mark.parametrize(("value", "verify"), [("1", True), ("0", True)])
def test_docker_tls_verify_counts_unless_empty(tmp_path: Path, value: str, *, verify: bool) -> None:
    _certificates(tmp_path / "tls", "ca.pem", "cert.pem", "key.pem")
    environ = _environ(
        tmp_path, DOCKER_HOST="tcp://10.0.0.1:2376", DOCKER_TLS_VERIFY=value, DOCKER_CERT_PATH=str(tmp_path / "tls")
    )

    tls = resolve_endpoint(environ).tls

    assert tls is not None
    assert (tls.ca, tls.verify) == (tmp_path / "tls" / "ca.pem", verify)


def test_an_empty_docker_tls_verify_means_no_tls(tmp_path: Path) -> None:
    environ = _environ(tmp_path, DOCKER_HOST="tcp://10.0.0.1:2375", DOCKER_TLS_VERIFY="", DOCKER_CERT_PATH="/nowhere")

    assert resolve_endpoint(environ).tls is None


def test_docker_tls_alone_encrypts_without_verifying(tmp_path: Path) -> None:
    endpoint = resolve_endpoint(_environ(tmp_path, DOCKER_HOST="tcp://10.0.0.1:2376", DOCKER_TLS="1"))

    assert endpoint.tls is not None
    assert not endpoint.tls.verify
    client = EngineClient(endpoint, timeout_seconds=1)
    assert (client.base_url, client.verify, client.cert) == ("https://10.0.0.1:2376", False, None)
    client.close()


def test_a_verified_client_trusts_the_given_authority_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _certificates(tmp_path, "ca.pem", "cert.pem", "key.pem")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/elsewhere.pem")
    client = EngineClient(
        resolve_endpoint(_environ(tmp_path, DOCKER_HOST="tcp://10.0.0.1:2376", DOCKER_TLS_VERIFY="1")), timeout_seconds=1
    )

    assert (client.verify, client.cert) == (str(tmp_path / "ca.pem"), (str(tmp_path / "cert.pem"), str(tmp_path / "key.pem")))
    assert client.merge_environment_settings(client.base_url, {}, None, None, None)["verify"] == str(tmp_path / "ca.pem")
    client.close()


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"DOCKER_HOST": "nonsense://x"}, "DOCKER_HOST: 'nonsense://x' is not an address such as"),
        ({"DOCKER_HOST": "tcp://"}, "DOCKER_HOST: 'tcp://' is not an address such as"),
        ({"DOCKER_HOST": "tcp://h:99999999"}, "DOCKER_HOST: 'tcp://h:99999999' is not an address such as"),
        ({"DOCKER_HOST": "tcp://u:S3CR3T@h:1"}, r"DOCKER_HOST: 'tcp://\*\*\*@h:1' is not an address such as"),
        ({"DOCKER_HOST": "ssh://me:S3CR3T@h"}, r"DOCKER_HOST: ssh://\*\*\*@h goes over SSH, which is not supported"),
        ({"DOCKER_CONTEXT": "nowhere"}, r"docker context 'nowhere' \(DOCKER_CONTEXT\) does not exist"),
        (
            {"DOCKER_HOST": "tcp://h:1", "DOCKER_TLS_VERIFY": "1"},
            r"DOCKER_TLS_VERIFY is set, but DOCKER_CERT_PATH \(.*\) holds no ca.pem",
        ),
        ({"DOCKER_CONTEXT": "broken"}, r"docker context 'broken' \(DOCKER_CONTEXT\) cannot be read"),
        ({"DOCKER_CONTEXT": "wrong"}, r"DOCKER_CONTEXT: 'what' is not an address|DOCKER_CONTEXT: 'x://y' is not an address"),
        ({"DOCKER_CONTEXT": "half"}, "lacks key.pem"),
    ],
)
def test_a_wrong_setting_is_named_in_one_sentence(tmp_path: Path, variables: dict[str, str], sentence: str) -> None:
    _context(tmp_path, "broken", None)
    _context(tmp_path, "wrong", {"Host": "x://y"})
    _context(tmp_path, "half", {"Host": "tcp://h:1"}, files=("ca.pem", "cert.pem"))

    with pytest.raises(ConnectionConfigError, match=sentence) as caught:
        resolve_endpoint(_environ(tmp_path, **variables))

    assert "\n" not in str(caught.value)
    assert "S3CR3T" not in str(caught.value)


@pytest.mark.parametrize("text", ["not json", "[]"])
def test_a_configuration_that_cannot_be_used_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)

    with pytest.raises(ConnectionConfigError, match=r"config.json is not (a )?JSON.*DOCKER_CONFIG"):
        resolve_endpoint(_environ(tmp_path))


def test_a_configuration_that_is_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.json").mkdir()

    with pytest.raises(ConnectionConfigError, match="cannot be read"):
        resolve_endpoint(_environ(tmp_path))


async def test_certificates_that_are_none_end_in_a_clear_error(tmp_path: Path) -> None:
    _certificates(tmp_path, "ca.pem", "cert.pem", "key.pem")
    swarm = DockerSwarm(resolve_endpoint(_environ(tmp_path, DOCKER_HOST="tcp://127.0.0.1:9", DOCKER_TLS_VERIFY="1")))

    with pytest.raises((EngineUnavailableError, ConnectionConfigError)) as caught:
        await swarm.list_objects(ObjectKind.NODE)

    assert "tcp://127.0.0.1:9" in str(caught.value)
    await swarm.close()


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ('{"auths": {"h:1": "S3CR3T"}}', r"config\.json holds auths that are not JSON objects"),
        ('{"auths": ["S3CR3T"]}', r"config\.json holds auths that are not JSON objects"),
        (
            '{"HttpHeaders": {"X-Gate": "S3CR3T\\r\\nX: y"}}',
            r"config\.json holds a header that cannot be sent: HttpHeaders\.X-Gate",
        ),
        ('{"HttpHeaders": {"X Gate": "S3CR3T"}}', r"config\.json holds a header that cannot be sent: HttpHeaders\.X Gate"),
    ],
)
async def test_an_entry_of_the_configuration_that_cannot_be_used_is_named(tmp_path: Path, config: str, sentence: str) -> None:
    (tmp_path / "config.json").write_text(config)

    with pytest.raises(ConnectionConfigError, match=sentence) as caught:
        DockerSwarm(resolve_endpoint(_environ(tmp_path)))

    assert "S3CR3T" not in str(caught.value)


async def test_a_file_that_is_no_key_is_told_of_docker_s_client(tmp_path: Path) -> None:
    _certificates(tmp_path, "ca.pem", "cert.pem", "key.pem")
    endpoint = resolve_endpoint(_environ(tmp_path, DOCKER_HOST="tcp://10.0.0.1:2376", DOCKER_TLS_VERIFY="1"))
    (tmp_path / "ca.pem").unlink()

    with pytest.raises(ConnectionConfigError, match=r"docker's client cannot be set up from .*config\.json"):
        DockerSwarm(endpoint)


async def test_a_configuration_that_breaks_later_does_not_matter_over_the_socket(engine: FakeEngine, tmp_path: Path) -> None:
    swarm = DockerSwarm(resolve_endpoint(_environ(tmp_path, DOCKER_HOST=engine.host)))
    (tmp_path / "config.json").write_text("{")
    engine.says(reply(200, []))

    assert await swarm.list_objects(ObjectKind.NODE) == []

    await swarm.close()
