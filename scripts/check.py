"""`make check`: every rule that needs no engine and no test run; all of them are tried, whichever fails."""

from __future__ import annotations

import subprocess
import sys

from scripts import python_env
from scripts.console import Progress, guarded
from scripts.shell import PROJECT

CHECKS = (
    ("ruff", "check", "."),
    ("ruff", "format", "--check", "."),
    ("mypy",),
    ("mypy", "-p", "scripts"),
    ("lint-imports", "--no-logo"),
)


def main() -> int:
    python_env.ensure(Progress(0))
    failed = []
    for name, *arguments in CHECKS:
        print(f"== {name} {' '.join(arguments)}", flush=True)
        if subprocess.run([PROJECT / ".venv/bin" / name, *arguments], cwd=PROJECT, check=False).returncode != 0:
            failed.append(name)
    if failed:
        print(f"make check: {', '.join(failed)} found faults", file=sys.stderr)
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(guarded("make check", main))
