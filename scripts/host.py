"""Which host this is, and being root on it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from scripts.console import Refusal
from scripts.python_env import as_root

ELEVATED = "--as-root"  # tells the second start that the first one did what needs no root
# What a host's networks are made of; sudo would drop them.
_KEPT = (
    "SSL_CERT_FILE",
    "PIP_CERT",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "DEBIAN_MIRROR",
)


def check(os_release: Path = Path("/etc/os-release")) -> None:
    """Raises Refusal on anything but Debian, Ubuntu and what is made of them."""
    try:
        text = os_release.read_text()
    except FileNotFoundError:
        text = ""
    fields = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    family = f"{fields.get('ID', '')} {fields.get('ID_LIKE', '')}".replace('"', "").split()
    if sys.platform != "linux" or not {"debian", "ubuntu"} & set(family):
        name = fields.get("PRETTY_NAME", sys.platform).strip('"')
        raise Refusal(f"This works on Debian and Ubuntu, and this is {name}: docs/operations.md says what to do by hand.")


def elevate(module: str, *arguments: str) -> None:
    """Start `python3 -m MODULE` again as root; returns at once where we are root. Raises Refusal without root and sudo."""
    if os.geteuid() == 0:
        return
    kept = [f"{name}={os.environ[name]}" for name in _KEPT if name in os.environ]
    # Nothing of root's is left in the caller's .venv, where it would stand in the way of the next uv sync.
    command = as_root("env", "PYTHONDONTWRITEBYTECODE=1", *kept, sys.executable, "-m", module, ELEVATED, *arguments)
    os.execvp(command[0], command)  # noqa: S606 - no shell on purpose
