"""`python -m app serve`: the process becomes gunicorn's master."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

PROGRAM = [sys.executable, "-m", "gunicorn", "--config", str(Path(__file__).with_name("gunicorn_conf.py")), "app:create_app()"]


def run(become: Callable[[str, list[str]], object] = os.execv) -> None:
    """Does not return. The settings were read once before, so a wrong one is told in one line."""
    sys.stdout.flush()
    become(PROGRAM[0], PROGRAM)
