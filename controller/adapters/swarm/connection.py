"""Which engine to talk to: DOCKER_HOST, the TLS variables and contexts, in the order in which docker's own client takes them."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from controller import __version__
from controller.errors import ConnectionConfigError

_UNIX = "unix://"
DEFAULT_HOST = f"{_UNIX}/var/run/docker.sock"
DEFAULT_CONTEXT = "default"


@dataclass(frozen=True, slots=True)
class TlsFiles:
    ca: Path | None
    certificate: Path | None  # with its key, or neither
    key: Path | None
    verify: bool


@dataclass(frozen=True, slots=True)
class Endpoint:
    host: str  # such as `unix:///var/run/docker.sock`
    tls: TlsFiles | None
    config_file: Path  # docker's config.json, whether it exists or not

    @property
    def socket_path(self) -> str:
        """Empty for what is no unix socket."""
        return self.host.removeprefix(_UNIX) if self.host.startswith(_UNIX) else ""


def resolve_endpoint(environ: Mapping[str, str]) -> Endpoint:
    """Find the engine as docker's client would. Raises ConnectionConfigError naming the variable or context that is wrong."""
    folder = config_folder(environ)
    config_file = folder / "config.json"
    host = environ.get("DOCKER_HOST", "").strip()
    context, origin = "", ""
    if not host:  # a host given outright beats any context, as in docker
        context, origin = _context_name(environ, config_file)
    if context and context != DEFAULT_CONTEXT:
        host, tls = _of_context(context, origin, folder)
    else:
        host, origin = host or DEFAULT_HOST, "DOCKER_HOST"
        tls = _tls_of_environment(environ, folder)
    scheme = _checked_scheme(host, origin)
    return Endpoint(host, tls if scheme == "tcp" else None, config_file)


def config_folder(environ: Mapping[str, str]) -> Path:
    """Where docker's client keeps config.json, contexts and TLS files."""
    chosen = environ.get("DOCKER_CONFIG")
    return Path(chosen) if chosen else Path(environ.get("HOME") or Path.home()) / ".docker"


def without_userinfo(text: str) -> str:
    """Take `user:password@` out of every address in a text."""
    return re.sub(r"//[^/@\s]*@", "//***@", text)


def _context_name(environ: Mapping[str, str], config_file: Path) -> tuple[str, str]:
    named = environ.get("DOCKER_CONTEXT", "")
    if named:
        return named, "DOCKER_CONTEXT"
    return str(read_config(config_file).get("currentContext") or ""), f"currentContext in {config_file}"


def read_config(config_file: Path) -> dict[str, object]:
    """Docker's config.json, empty when there is none. Raises ConnectionConfigError when it is there and cannot be used."""
    try:
        found = json.loads(config_file.read_bytes())
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ConnectionConfigError(f"docker's {config_file} cannot be read (DOCKER_CONFIG): {error.strerror}") from error
    except ValueError as error:
        raise ConnectionConfigError(f"docker's {config_file} is not JSON (DOCKER_CONFIG)") from error
    if not isinstance(found, dict):
        raise ConnectionConfigError(f"docker's {config_file} is not a JSON object (DOCKER_CONFIG)")
    auths = found.get("auths") or {}
    if not isinstance(auths, dict) or not all(isinstance(entry, dict) for entry in auths.values()):
        raise ConnectionConfigError(f"docker's {config_file} holds auths that are not JSON objects (DOCKER_CONFIG)")
    return found


def configured_headers(endpoint: Endpoint) -> dict[str, str]:
    """What every request carries: our name, and what config.json adds for engines behind a proxy that asks for it.

    Raises ConnectionConfigError for a header that cannot be sent.
    """
    found = read_config(endpoint.config_file).get("HttpHeaders")
    headers = {str(name): str(value) for name, value in found.items()} if isinstance(found, dict) else {}
    for name, value in headers.items():
        if not (name.isascii() and name.replace("-", "_").isidentifier() and value.isascii() and value.isprintable()):
            raise ConnectionConfigError(f"docker's {endpoint.config_file} holds a header that cannot be sent: HttpHeaders.{name}")
    return {"User-Agent": f"prodbreaker/{__version__}", **headers}


def _of_context(name: str, origin: str, folder: Path) -> tuple[str, TlsFiles | None]:
    ident = hashlib.sha256(name.encode()).hexdigest()
    meta_file = folder / "contexts" / "meta" / ident / "meta.json"
    try:
        endpoint = json.loads(meta_file.read_bytes())["Endpoints"]["docker"]
        host, skip_verify = str(endpoint.get("Host") or DEFAULT_HOST), bool(endpoint.get("SkipTLSVerify"))
    except FileNotFoundError as error:
        raise ConnectionConfigError(f"docker context {name!r} ({origin}) does not exist below {folder / 'contexts'}") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConnectionConfigError(f"docker context {name!r} ({origin}) cannot be read from {meta_file}") from error
    tls_folder = folder / "contexts" / "tls" / ident / "docker"
    tls = _tls_files(tls_folder, verify=not skip_verify) if tls_folder.is_dir() else None
    return host, tls


def _tls_of_environment(environ: Mapping[str, str], folder: Path) -> TlsFiles | None:
    # Docker asks whether these are empty, not what they say: DOCKER_TLS_VERIFY=0 verifies.
    verify = bool(environ.get("DOCKER_TLS_VERIFY"))
    if not verify and not environ.get("DOCKER_TLS"):
        return None
    certificates = Path(environ.get("DOCKER_CERT_PATH") or folder)
    tls = _tls_files(certificates, verify=verify)
    if verify and tls.ca is None:
        raise ConnectionConfigError(f"DOCKER_TLS_VERIFY is set, but DOCKER_CERT_PATH ({certificates}) holds no ca.pem")
    return tls


def _tls_files(folder: Path, *, verify: bool) -> TlsFiles:
    ca, certificate, key = (path if (path := folder / name).is_file() else None for name in ("ca.pem", "cert.pem", "key.pem"))
    if (certificate is None) != (key is None):
        missing = "cert.pem" if certificate is None else "key.pem"
        raise ConnectionConfigError(f"the TLS folder {folder} (DOCKER_CERT_PATH or context) lacks {missing}")
    return TlsFiles(ca, certificate, key, verify)


def _checked_scheme(host: str, origin: str) -> str:
    shown = without_userinfo(host)
    if host.startswith("ssh://"):
        raise ConnectionConfigError(
            f"{origin}: {shown} goes over SSH, which is not supported; forward the socket (ssh -L) instead"
        )
    if host.startswith(f"{_UNIX}/"):
        return "unix"
    from docker.errors import DockerException  # a socket's path needs none of it, and it takes long to import
    from docker.utils import parse_host

    try:
        address = str(parse_host(host))
    except (DockerException, ValueError):  # a ValueError comes of an impossible port
        # The cause is left out: its text repeats the address, with any password in it.
        raise ConnectionConfigError(
            f"{origin}: {shown!r} is not an address such as unix:///var/run/docker.sock or tcp://HOST:PORT"
        ) from None
    return "unix" if address.startswith("http+unix:") else "tcp"
