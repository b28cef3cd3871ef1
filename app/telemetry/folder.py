"""The folder in memory through which the processes of a replica put their numbers and log lines together.

prometheus_client looks for it when it is imported, so gunicorn's configuration calls `prepare` first.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import MutableMapping
from pathlib import Path

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
# Where to have it. The other variable is ours alone: whoever inherited it would write there as soon as it counts anything.
PLACE = "APP_TELEMETRY_DIR"
_OWNER = "APP_TELEMETRY_OWNER"
_PREFIX = "app-telemetry-"
_MEMORY = Path("/dev/shm")  # noqa: S108 - a tmpfs of this container alone


def prepare(env: MutableMapping[str, str] = os.environ) -> Path:
    """An empty folder for this process and those it will fork, named in `env`. Called again, as by a reload, it is kept."""
    if env.get(_OWNER) == str(os.getpid()):
        return Path(env[VARIABLE])
    if given := env.get(PLACE):
        folder = Path(given)
        folder.mkdir(parents=True, exist_ok=True)
        for old in [*folder.glob("*.db"), *folder.glob("*.ring")]:  # of processes before us: their counts are not ours
            old.unlink()
    else:
        memory = _MEMORY if os.access(_MEMORY, os.W_OK) else Path(tempfile.gettempdir())
        _sweep(memory)
        folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=memory))
    env[VARIABLE], env[_OWNER] = str(folder), str(os.getpid())
    return folder


def _sweep(memory: Path) -> None:
    """Remove what masters left that were killed."""
    for old in memory.glob(f"{_PREFIX}*-*"):
        if not Path("/proc", old.name.removeprefix(_PREFIX).partition("-")[0]).exists():
            shutil.rmtree(old, ignore_errors=True)


def shared(env: MutableMapping[str, str] = os.environ) -> Path | None:
    """The folder of this replica, None where one process is all there is."""
    return Path(env[VARIABLE]) if env.get(VARIABLE) else None


def remove(env: MutableMapping[str, str] = os.environ) -> None:
    """Leave nothing behind; only the process that prepared the folder removes it."""
    if env.get(_OWNER) == str(os.getpid()):
        shutil.rmtree(env[VARIABLE], ignore_errors=True)
