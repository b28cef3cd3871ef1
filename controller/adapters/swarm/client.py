"""Docker's low-level client, narrowed to what is asked here: whole exchanges over TCP and TLS, and streams over anything."""

from __future__ import annotations

import contextlib
import http.client
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import docker
import requests
import urllib3
from docker.errors import DockerException
from docker.tls import TLSConfig
from docker.types import CancellableStream
from docker.utils import parse_host

from controller.adapters.swarm.connection import Endpoint, TlsFiles, configured_headers
from controller.adapters.swarm.request import Request
from controller.adapters.swarm.translate import BrokenOffError
from controller.adapters.swarm.unixsocket import UnixAdapter
from controller.adapters.swarm.workers import Workers
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
            )
        except (DockerException, ValueError) as error:
            raise ConnectionConfigError(f"docker's client cannot be set up from {endpoint.config_file}: {error}") from error
        self._seconds = timeout_seconds
        if self.base_url.startswith("http+docker:"):
            self.mount("http+docker://", UnixAdapter(str(parse_host(endpoint.host))))
        # The environment's netrc, proxies and CA bundles are for web sites; REQUESTS_CA_BUNDLE would replace the engine's own CA.
        self.trust_env = False
        self.headers["Accept-Encoding"] = "identity"  # the engine is near: packing would only cost time
        self.headers.update(configured_headers(endpoint))
        if endpoint.tls and not endpoint.tls.verify:
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)  # asked for by DOCKER_TLS or the context

    def exchange(self, request: Request) -> tuple[int, bytes]:
        """Send one request and return status and whole body. Raises OSError."""
        with (
            plain_errors(),
            self.request(
                request.method,
                self.base_url + request.path,
                params=request.params,
                data=request.body,
                headers=request.sent_headers,
                timeout=self._seconds,
                allow_redirects=False,
            ) as response,
        ):
            return response.status_code, response.content

    def open_stream(self, path: str, *, params: Mapping[str, str]) -> requests.Response:
        """Send a GET whose answer never ends; the caller closes it with `cut`."""
        with plain_errors():
            response = self.request(
                "GET", self.base_url + path, params=params, timeout=self._seconds, stream=True, allow_redirects=False
            )
            if response.ok:
                # The head had to come in time; after it, silence is normal.
                self._disable_socket_timeout(self._get_raw_response_socket(response))
            return response


class ThreadedClient:
    """Exchanges of docker's clients on threads: one client to a thread at a time."""

    def __init__(self, make_client: Callable[[], EngineClient], workers: Workers) -> None:
        """Raises ConnectionConfigError."""
        self._make_client = make_client
        self._workers = workers
        self._idle = [make_client()]
        self._is_closed = False

    async def exchange(self, request: Request, *, before: Callable[[], None]) -> tuple[int, bytes]:
        """As SocketClient's; `before` is called on the thread that sends."""

        def exchange() -> tuple[int, bytes]:
            try:
                client = self._idle.pop()
            except IndexError:
                client = self._make_client()
            try:
                before()
                return client.exchange(request)
            finally:
                self._idle.append(client)
                if self._is_closed:
                    self.close()

        return await self._workers.run(exchange)

    def close(self) -> None:
        """A client that an exchange still holds is closed after it."""
        self._is_closed = True
        with contextlib.suppress(IndexError):  # an exchange that ends just now closes them too
            while True:
                self._idle.pop().close()


def cut(response: requests.Response) -> None:
    """End a stream from another thread: its reader wakes as if the engine had closed it."""
    CancellableStream(iter(()), response).close()


@contextlib.contextmanager
def plain_errors() -> Iterator[None]:
    """Turn what the libraries raise into what the standard library raises for the same."""
    try:
        yield
    except requests.ReadTimeout as error:
        raise TimeoutError from error
    except (requests.exceptions.ChunkedEncodingError, urllib3.exceptions.ProtocolError, http.client.HTTPException) as error:
        raise BrokenOffError from error
    except urllib3.exceptions.HTTPError as error:
        raise ConnectionError(str(error)) from error


def _tls_config(tls: TlsFiles) -> TLSConfig:
    pair: Any = (str(tls.certificate), str(tls.key)) if tls.certificate and tls.key else None
    return TLSConfig(client_cert=pair, ca_cert=str(tls.ca) if tls.ca else None, verify=tls.verify)
