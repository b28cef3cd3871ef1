"""gunicorn takes the settings, and they are the ones that the container needs."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).parents[3]
CONF = PROJECT / "app/gunicorn_conf.py"


def test_gunicorn_accepts_the_settings_and_finds_the_application() -> None:
    command = [sys.executable, "-m", "gunicorn", "--check-config", "--config", str(CONF), "app:create_app()"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")


def test_nothing_is_written_outside_memory_and_draining_fits_the_stacks_grace_period() -> None:
    settings = runpy.run_path(str(CONF))
    assert (settings["worker_tmp_dir"], settings["control_socket_disable"]) == ("/dev/shm", True)  # noqa: S108 - what is asserted
    assert settings["graceful_timeout"] < 15
