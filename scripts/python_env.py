"""The Python environment in .venv: made by uv, from the lock file."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from scripts.console import Progress, Refusal
from scripts.shell import PROJECT, STATE, attempt, run

UV_VERSION = "0.13.9"
OLDEST = (3, 11)
_OWN_UV = STATE / "uv"
_DISTRIBUTIONS_OWN = "/usr/bin/python3"


def ensure(progress: Progress) -> None:
    """End with .venv as the lock file has it. Runs as the caller, not as root. Raises Refusal when it cannot."""
    uv = shutil.which("uv") or _own_uv(progress)
    sync = (uv, "sync", "--locked", "--python", _python())
    if attempt(*sync, "--check", timeout=120).returncode == 0:
        return
    progress.change("uv sync --locked")
    run(*sync, timeout=900)


def _python() -> str:
    """The distribution's own where it is new enough: one that was merely compiled, without profiles, is 1.4 times as slow.

    Else any that the project supports; only where there is none does uv look for one to download.
    """
    is_new_enough = f"import sys; sys.exit(sys.version_info < {OLDEST})"
    if Path(_DISTRIBUTIONS_OWN).exists() and attempt(_DISTRIBUTIONS_OWN, "-c", is_new_enough, timeout=60).returncode == 0:
        return _DISTRIBUTIONS_OWN
    return f">={OLDEST[0]}.{OLDEST[1]}"


def _own_uv(progress: Progress) -> str:
    """uv out of PyPI, in an environment of its own: works where only PyPI is reached."""
    program = _OWN_UV / "bin/uv"
    if not program.exists():
        progress.change(f"installing uv {UV_VERSION} into {_OWN_UV.relative_to(PROJECT)}")
        if attempt(sys.executable, "-m", "venv", "--clear", str(_OWN_UV), timeout=120).returncode != 0:
            # Debian keeps venv in a package of its own.
            run(*as_root("apt-get", "update", "-q"), timeout=300)
            run(*as_root("apt-get", "install", "-y", "-q", "python3-venv"), timeout=600)
            run(sys.executable, "-m", "venv", "--clear", str(_OWN_UV), timeout=120)
        run(str(_OWN_UV / "bin/pip"), "install", "--quiet", f"uv=={UV_VERSION}", timeout=300)
    return str(program)


def as_root(*argv: str) -> list[str]:
    """The command, through sudo where the caller is not root. Raises Refusal where there is neither."""
    if os.geteuid() == 0:
        return list(argv)
    if shutil.which("sudo") is None:
        raise Refusal("This needs root: run it as root, or install sudo.")
    return ["sudo", *argv]
