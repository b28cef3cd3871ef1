"""Registry credentials, found as docker's client finds them: credential helpers first, then `auths` of config.json."""

from __future__ import annotations

import base64
import json
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from controller.adapters.swarm.connection import read_config
from controller.adapters.swarm.images import HUB, is_image_id, registry_of
from controller.errors import RegistryError

HUB_KEY = f"https://index.{HUB}/v1/"  # under which the Hub's credentials are kept, for history's sake
HELPER_SECONDS = 10.0
FRESH_SECONDS = 60.0  # how long an answer serves: one plan may ask for a thousand images of one registry
_FIELDS = ("username", "password", "auth", "serveraddress", "identitytoken", "registrytoken")


class Credentials:
    """Reads config.json and asks credential helpers, which are programs that docker's client calls too."""

    def __init__(self, config_file: Path) -> None:
        self._config_file = config_file
        self._known: dict[str, tuple[float, dict[str, str]]] = {}

    def header(self, image: str) -> str | None:
        """The X-Registry-Auth value for an image; None without credentials.

        Raises RegistryError for a failing helper, ConnectionConfigError for a bad file.
        """
        if is_image_id(image):
            return None
        registry = registry_of(image)
        found = self._of(HUB_KEY if registry == HUB else registry)
        return base64.urlsafe_b64encode(json.dumps(found).encode()).decode() if found else None

    def _of(self, key: str) -> dict[str, str]:
        known = self._known.get(key)
        if known and time.monotonic() - known[0] < FRESH_SECONDS:
            return known[1]
        found = self._read(key)
        self._known[key] = (time.monotonic(), found)
        return found

    def _read(self, key: str) -> dict[str, str]:
        config = read_config(self._config_file)
        helpers = config.get("credHelpers")
        helper = (helpers.get(key) if isinstance(helpers, dict) else None) or config.get("credsStore")
        if helper:
            return _ask_helper(str(helper), key)
        return _of_file(config.get("auths"), key)


def secrets_of(header: str | None) -> list[str]:
    """The values of an X-Registry-Auth header that no message may show."""
    if not header:
        return []
    try:
        fields: Mapping[str, Any] = json.loads(base64.urlsafe_b64decode(header))
    except ValueError:
        return [header]  # not made here; nothing in it can be named
    return [header, *(str(value) for name, value in fields.items() if name.lower() != "serveraddress")]


def _of_file(auths: object, key: str) -> dict[str, str]:
    if not isinstance(auths, dict):
        return {}
    # Files written long ago hold addresses with scheme and path instead of host names.
    name = key if key in auths else next((name for name in auths if _host(name) == key), "")
    entry = auths.get(name)
    if not isinstance(entry, dict):
        return {}
    found = {field: str(entry[field]) for field in _FIELDS if entry.get(field)}
    packed = found.pop("auth", "")
    if packed:
        found["username"], found["password"] = _unpacked(packed, name)
    return {**found, "serveraddress": name} if found else {}


def _unpacked(packed: str, name: str) -> tuple[str, str]:
    try:
        username, colon, password = base64.b64decode(packed, validate=True).decode().partition(":")
    except ValueError:
        colon = ""
    if not colon:
        raise RegistryError(f"docker's config.json holds an auth for {name} that is not base64 of user:password") from None
    return username, password.strip("\0")


def _host(address: str) -> str:
    return address.removeprefix("https://").removeprefix("http://").partition("/")[0]


def _ask_helper(helper: str, key: str) -> dict[str, str]:
    program = f"docker-credential-{helper}"
    try:
        done = subprocess.run(  # noqa: S603 - the program that the user's own docker configuration names, without a shell
            [program, "get"], input=key.encode(), capture_output=True, timeout=HELPER_SECONDS, check=False
        )
        answer = done.stdout.decode(errors="replace").strip()
        if done.returncode:
            if "credentials not found" in answer:
                return {}
            raise RegistryError(f"{program} gave no credentials for {key}: it ended with code {done.returncode}")
        fields = json.loads(answer)
        username, secret = str(fields["Username"]), str(fields["Secret"])
    except FileNotFoundError:
        raise RegistryError(f"{program}, which docker's config.json names for {key}, is not installed") from None
    except subprocess.TimeoutExpired:
        raise RegistryError(f"{program} gave no credentials for {key} within {HELPER_SECONDS:g} s") from None
    except (OSError, ValueError, KeyError, TypeError):
        # The cause is left out: it may quote the answer.
        raise RegistryError(f"{program} gave no readable credentials for {key}") from None
    if username == "<token>":
        return {"identitytoken": secret, "serveraddress": key}
    return {"username": username, "password": secret, "serveraddress": key} if username or secret else {}
