"""`python -m tests.bench [--quick] [ROW…]`: exit code 1 if a promise is broken."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.bench import report
from tests.bench.promise import Measurement
from tests.bench.rows import ROWS
from tests.bench.scene import Scene
from tests.support.controller import ROOT
from tests.support.engine import EngineError, PrivateEngine

PAIRS, QUICK_PAIRS = 10, 3
SAMPLES = ROOT / ".state/benchmarks.json"
PAGE = ROOT / "docs/benchmarks.md"


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Measure what ProdBreaker promises.")
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"of {', '.join(ROWS)}; all where none is named")
    parser.add_argument("--quick", action="store_true", help="fewer samples, and the page in docs/ stays as it is")
    args = parser.parse_args(argv)
    if unknown := set(args.rows) - ROWS.keys():
        parser.error(f"no such row: {', '.join(sorted(unknown))}")
    rows = args.rows or list(ROWS)
    engine = PrivateEngine()
    try:
        engine.start()
        facts = report.machine_facts(engine)
        measurements = _measure(engine, rows, pairs=QUICK_PAIRS if args.quick else PAIRS)
    except EngineError as error:
        print(f"bench: {error}", file=sys.stderr)  # noqa: T201 - a command's job is to print
        return 1
    finally:
        engine.destroy()
    findings = [finding for measurement in measurements.values() for finding in measurement.findings]
    print(report.table(findings))  # noqa: T201 - a command's job is to print
    if not args.quick:
        _keep(measurements, facts, is_whole=set(rows) == ROWS.keys())
    return 0 if all(finding.is_kept for finding in findings) else 1


def _measure(engine: PrivateEngine, rows: Sequence[str], *, pairs: int) -> dict[str, Measurement]:
    measurements = {}
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        scene = Scene(engine, Path(folder), pairs=pairs)
        for row in rows:
            print(f"bench: {row} …", file=sys.stderr, flush=True)  # noqa: T201 - a command's job is to print
            scene.clean()
            measurements[row] = ROWS[row](scene)
    return measurements


def _keep(measurements: Mapping[str, Measurement], facts: Mapping[str, str], *, is_whole: bool) -> None:
    """Raw samples always; the page only from a run of all rows, so that its lines are of one run."""
    SAMPLES.parent.mkdir(exist_ok=True)
    samples = {row: measurement.samples for row, measurement in measurements.items()}
    SAMPLES.write_text(json.dumps({"machine": dict(facts), "samples": samples}, indent=1))
    if is_whole:
        PAGE.write_text(report.page(measurements, facts))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
