"""The adapter against an engine that shows a certificate and asks for one."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import web

from controller.adapters.swarm import DockerSwarm, resolve_endpoint
from controller.errors import EngineUnavailableError
from controller.model.plan import ObjectKind


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority's ca.pem, and a cert.pem with its key.pem for 127.0.0.1; both sides use the same."""
    folder = tmp_path_factory.mktemp("tls")

    def openssl(*args: str) -> None:
        subprocess.run(["openssl", *args], cwd=folder, check=True, capture_output=True)

    new_key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    openssl("req", "-x509", *new_key, "-keyout", "authority.pem", "-out", "ca.pem", "-days", "2", "-subj", "/CN=authority")
    openssl("req", *new_key, "-keyout", "key.pem", "-out", "request.pem", "-subj", "/CN=engine")
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1")
    signing = ("-CA", "ca.pem", "-CAkey", "authority.pem", "-CAcreateserial", "-extfile", "names")
    openssl("x509", "-req", "-in", "request.pem", "-out", "cert.pem", "-days", "2", *signing)
    return folder


@pytest_asyncio.fixture
async def host(certificates: Path) -> AsyncIterator[str]:
    async def version(_: web.Request) -> web.Response:
        return web.json_response({"ApiVersion": "1.41"})

    async def nodes(_: web.Request) -> web.Response:
        return web.json_response([{"ID": "n1"}])

    app = web.Application()
    app.router.add_get("/version", version)
    app.router.add_get("/v1.41/nodes", nodes)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "cert.pem", certificates / "key.pem")
    context.load_verify_locations(certificates / "ca.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    yield f"tcp://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def _nodes(host: str, folder: Path, **variables: str) -> list[str]:
    environ = {"DOCKER_HOST": host, "DOCKER_CONFIG": str(folder), "DOCKER_CERT_PATH": str(folder), **variables}
    swarm = DockerSwarm(resolve_endpoint(environ))
    try:
        return [node["ID"] for node in await swarm.list_objects(ObjectKind.NODE)]
    finally:
        await swarm.close()


@pytest.mark.parametrize("variable", ["DOCKER_TLS_VERIFY", "DOCKER_TLS"])
async def test_an_engine_behind_tls_is_spoken_to(host: str, certificates: Path, variable: str) -> None:
    assert await _nodes(host, certificates, **{variable: "1"}) == ["n1"]


async def test_an_engine_of_another_authority_is_not_trusted(host: str, certificates: Path, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_bytes((certificates / "cert.pem").read_bytes())

    with pytest.raises(EngineUnavailableError, match="TLS: CERTIFICATE_VERIFY_FAILED"):
        await _nodes(host, tmp_path, DOCKER_TLS_VERIFY="1")


async def test_an_engine_that_asks_for_a_certificate_gets_no_plain_text(host: str, certificates: Path) -> None:
    with pytest.raises(EngineUnavailableError):
        await _nodes(host, certificates)
