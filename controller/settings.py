"""The only reader of the environment: PRODBREAKER_* variables, and files below /run/secrets for what is secret."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from controller.core.images import Resolve
from controller.core.lease import LONGEST_SECONDS, SHORTEST_SECONDS
from controller.errors import SettingsError

_TOKEN_LIMIT = 64 * 1024  # bytes; a larger file is not a token
_NOT_IN_A_BASE = re.compile(r"[?#\s\x00-\x1f]")


class Settings(BaseSettings):
    """How the controller runs. Every field is read from PRODBREAKER_<NAME>."""

    model_config = SettingsConfigDict(env_prefix="PRODBREAKER_", use_attribute_docstrings=True, frozen=True, extra="ignore")

    manifests: Path = Path("manifests")
    """Folder of stack files; each `NAME.yml` in it is stack NAME."""

    journal: Path = Path("/var/lib/prodbreaker/journal.db")
    """SQLite file of what was done and why, kept over restarts."""

    listen: str = "127.0.0.1:8900"
    """Address and port of the HTTP interface."""

    token: SecretStr | None = None
    """Bearer token of the HTTP interface; without one everything that changes something is off."""

    token_file: Path | None = None
    """File that holds the token, such as one below /run/secrets; it wins over `token`."""

    own_stack: str = ""
    """Stack that this controller itself belongs to; it is reported on and never written."""

    resolve_image: Resolve = Resolve.CHANGED
    """When the registry is asked for digests: always, changed or never."""

    prune: bool = False
    """Remove what carries a stack's label and is declared no more, in every stack (else as each file says)."""

    with_registry_auth: bool = True
    """Send the credentials of docker's configuration with every service, as docker's client does with the flag of that name."""

    resync_seconds: Annotated[float, Field(ge=1, le=3600)] = 30.0
    """Everything is looked at this often, whatever the event stream says."""

    workers: Annotated[int, Field(ge=1, le=64)] = 8
    """Services that may be worked on at once."""

    max_changes: Annotated[int, Field(ge=1, le=1000)] = 10
    """Services that may be put right by restarting their tasks at one time; edits do not wait."""

    prometheus: Annotated[str, Field(repr=False)] = ""
    """Prometheus' base URL, such as http://prometheus:9090, where conditions are asked; without one nothing is measured."""

    prometheus_token_file: Path | None = None
    """File that holds the bearer token for Prometheus; the URL may carry user:password@ instead."""

    lease_seconds: float = 0.0
    """Length of the lease by which one of several controllers leads, such as 10; 0 says that there is no other."""

    log_level: str = "INFO"
    """DEBUG, INFO, WARNING or ERROR."""

    @field_validator("log_level")
    @classmethod
    def _known_level(cls, value: str) -> str:
        level = value.upper()
        if level not in ("DEBUG", "INFO", "WARNING", "ERROR"):
            raise ValueError("must be DEBUG, INFO, WARNING or ERROR")
        return level

    @field_validator("lease_seconds")
    @classmethod
    def _lease(cls, value: float) -> float:
        if value and not SHORTEST_SECONDS <= value <= LONGEST_SECONDS:
            raise ValueError(f"must be 0, or {SHORTEST_SECONDS:g} to {LONGEST_SECONDS:g}")
        return value

    @field_validator("listen")
    @classmethod
    def _address(cls, value: str) -> str:
        host, colon, port = value.rpartition(":")
        if not colon or not host or not port.isdecimal() or int(port) > 65535:
            raise ValueError("must be ADDRESS:PORT, such as 127.0.0.1:8900")
        return value

    @field_validator("prometheus")
    @classmethod
    def _base_url(cls, value: str) -> str:
        """The value is never repeated: it may carry a password."""
        try:
            url = urlsplit(value)
            sound = url.scheme in ("http", "https") and url.hostname and url.port != 0
        except ValueError:
            sound = False
        if value and (not sound or _NOT_IN_A_BASE.search(value)):
            raise ValueError("must be a base URL, such as http://prometheus:9090, without ?, # and blanks")
        return value

    def bearer_token(self) -> str | None:
        """The token from its file or the environment, None if there is none. Raises SettingsError."""
        if self.token_file is None:
            # Of a header, too, the blanks around its credentials do not count.
            return (self.token.get_secret_value().strip() or None) if self.token else None
        return _read_token(self.token_file, "PRODBREAKER_TOKEN_FILE")

    def prometheus_token(self) -> str | None:
        """The token for Prometheus, None without a file. Raises SettingsError, also where the URL has credentials of its own."""
        variable = "PRODBREAKER_PROMETHEUS_TOKEN_FILE"
        if self.prometheus_token_file is None:
            return None
        if not self.prometheus or "@" in urlsplit(self.prometheus).netloc:
            reason = "carries credentials already" if self.prometheus else "is not set"
            raise SettingsError(f"{variable}: PRODBREAKER_PROMETHEUS {reason}")
        token = _read_token(self.prometheus_token_file, variable)
        if not token.isascii() or not token.isprintable() or " " in token:
            raise SettingsError(f"{variable}: {self.prometheus_token_file} holds something else than one token")
        return token


def _read_token(path: Path, variable: str) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(_TOKEN_LIMIT + 1)
        text = raw.decode().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{variable}: {path} cannot be read: {error}") from error
    if not text or len(raw) > _TOKEN_LIMIT:
        raise SettingsError(f"{variable}: {path} holds no token")
    return text


def read_settings(**overrides: Any) -> Settings:
    """Settings from the environment; given values win. Raises SettingsError that names each wrong variable."""
    try:
        return Settings(**{name: value for name, value in overrides.items() if value is not None})
    except ValidationError as error:
        faults = [
            f"PRODBREAKER_{'_'.join(map(str, item['loc'])).upper()}: {item['msg'].removeprefix('Value error, ')}"
            for item in error.errors()
        ]
        raise SettingsError("; ".join(faults)) from None
