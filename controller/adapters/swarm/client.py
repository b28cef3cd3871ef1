"""Docker's low-level client, narrowed to one exchange of bytes: our own bodies go out, whole answers come in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import docker
import requests
import urllib3
from docker.errors import DockerException
from docker.tls import TLSConfig
from docker.types import CancellableStream
from docker.utils import parse_host

from controller import __version__
from controller.adapters.swarm.connection import Endpoint, TlsFiles, read_config
from controller.adapters.swarm.unixsocket import UnixAdapter
from controller.errors import ConnectionConfigError

# Never spoken: paths carry the version that was negotiated once for all clients.
_PLACEHOLDER_VERSION = "1.41"


class EngineClient(docker.APIClient):
    """One connection's worth of the Engine API; not thread-safe, so one per thread."""

    if TYPE_CHECKING:  # the library has these, its type stubs do not

        def _get_raw_response_socket(self, response: requests.Response) -> object: ...
        def _disable_socket_timeout(self, socket: object) -> None: ...

    def __init__(self, endpoint: Endpoint, *, timeout_seconds: float) -> None:
        """Raise ConnectionConfigError where docker's client cannot be made from this configuration."""
        try:
            super().__init__(
                base_url=endpoint.host,
                version=_PLACEHOLDER_VERSION,
                tls=_tls_config(endpoint.tls) if endpoint.tls else False,
                user_agent=f"prodbreaker/{__version__}",
            )
        except (DockerException, ValueError) as error:
            raise ConnectionConfigError(f"docker's client cannot be set up from {endpoint.config_file}: {error}") from error
        self._seconds = timeout_seconds
        self._socket_pool: urllib3.HTTPConnectionPool | None = None
        if self.base_url.startswith("http+docker:"):
            adapter = UnixAdapter(str(parse_host(endpoint.host)))
            self.mount("http+docker://", adapter)
            self._socket_pool = adapter.get_connection(self.base_url)
        # The environment's netrc, proxies and CA bundles are for web sites; REQUESTS_CA_BUNDLE would replace the engine's own CA.
        self.trust_env = False
        self.headers["Accept-Encoding"] = "identity"  # the socket is local: packing would only cost time
        self.headers.update(_configured_headers(endpoint))
        self._plain_headers = {name: str(value) for name, value in self.headers.items()}
        if endpoint.tls and not endpoint.tls.verify:
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)  # asked for by DOCKER_TLS or the context

    def exchange(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, bytes]:
        """Send one request and return status and whole body; a body cut short raises."""
        sent = {**(headers or {}), **({"Content-Type": "application/json"} if body is not None else {})}
        if self._socket_pool is not None:
            # requests' cookies, redirects and environment mean nothing on a socket and cost more than the exchange itself.
            target = f"{path}?{urlencode(params)}" if params else path
            answer = self._socket_pool.urlopen(
                method,
                target,
                body=body,
                headers=self._plain_headers | sent,
                timeout=self._seconds,
                retries=False,
                redirect=False,
            )
            return answer.status, answer.data
        with self.request(
            method, self.base_url + path, params=params, data=body, headers=sent, timeout=self._seconds, allow_redirects=False
        ) as response:
            return response.status_code, response.content

    def open_stream(self, path: str, *, params: Mapping[str, str]) -> requests.Response:
        """Send a GET whose answer never ends; the caller closes it with `cut`."""
        response = self.request(
            "GET", self.base_url + path, params=params, timeout=self._seconds, stream=True, allow_redirects=False
        )
        if response.ok:
            # The head had to come in time; after it, silence is normal.
            self._disable_socket_timeout(self._get_raw_response_socket(response))
        return response


def cut(response: requests.Response) -> None:
    """End a stream from another thread: its reader wakes as if the engine had closed it."""
    CancellableStream(iter(()), response).close()


def _configured_headers(endpoint: Endpoint) -> dict[str, str]:
    """Headers that config.json adds to every request, for engines behind a proxy that asks for them."""
    headers = read_config(endpoint.config_file).get("HttpHeaders")
    return {str(name): str(value) for name, value in headers.items()} if isinstance(headers, dict) else {}


def _tls_config(tls: TlsFiles) -> TLSConfig:
    pair: Any = (str(tls.certificate), str(tls.key)) if tls.certificate and tls.key else None
    return TLSConfig(client_cert=pair, ca_cert=str(tls.ca) if tls.ca else None, verify=tls.verify)
