"""After the tests: the decisions are covered to the last branch, and no file of the rest falls below nine tenths."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from scripts.shell import PROJECT

DECISIONS = ("controller/model/", "controller/stackfile/", "controller/core/")
FLOOR = 90.0


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "coverage.json"
        command = [str(PROJECT / ".venv/bin/coverage"), "json", "-q", "-o", str(report)]
        if subprocess.run(command, cwd=PROJECT, check=False).returncode != 0:
            print("coverage: there is nothing to report; run `make test` first", file=sys.stderr)
            return 1
        measured = json.loads(report.read_text(encoding="utf-8"))["files"]
    covered = {name: float(facts["summary"]["percent_covered"]) for name, facts in measured.items()}
    low = {name: percent for name, percent in covered.items() if percent < floor_of(name)}
    for name, percent in sorted(low.items()):
        print(f"coverage: {name}: {percent:.1f} % of lines and branches, {floor_of(name):g} % are asked for", file=sys.stderr)
    if not low:
        print(f"coverage: {len(covered)} files, each at or above its floor")
    return 1 if low else 0


def floor_of(name: str) -> float:
    """Per cent of lines and branches that a file must have covered."""
    return 100.0 if name.startswith(DECISIONS) else FLOOR


if __name__ == "__main__":
    sys.exit(main())
