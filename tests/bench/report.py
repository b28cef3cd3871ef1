"""The table on the terminal and the page in docs/."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.bench.promise import Finding, Measurement
from tests.support.engine import PrivateEngine

HEADINGS = ("promise", "ours", "beside it", "measured", "95 % interval", "bound", "verdict")

_INTRODUCTION = """\
# Benchmarks

Written by `make bench`. Both sides of a row are measured in one run on one host against one engine, in turn (A B, B A, …).
A ratio is that of the two medians or of the two 95th percentiles; its interval is a bootstrap over whole pairs. A median's
promise is kept only if the whole interval is within the bound. Times are of whole commands, their start included; a heal ends
when the engine's own stamp says that the last replica runs. `service rm` to the first corrective call stands beside a bare
reader of the event stream, `--version` beside docker's.

A bad update is made of the same service twice: under the controller, with Swarm's default `failure_action: pause`, and without
it, with `failure_action: rollback`; `order` and `restart_policy` are Swarm's defaults. Both sides count from the write of the bad
version, by the engine's own stamps: what an edit of a manifest takes to be seen is on neither side. The old version is back when
all replicas are of it and run, and none of the bad one does. Where Swarm never goes back, a bound in seconds ends with the
controller's write, and Swarm is given twice that time.

The application's rows need no engine. An import begins with the file in the database, as an upload leaves it, and ends with the
job; COPY has the good rows in a file, and both begin with empty tables of the same indexes after a checkpoint. Redirects and
empty views are answered by the service's own gunicorn configuration; wrk asks on loopback without a pause. The load is the
scenario of tests/load, made by locust on the same host, through nginx to one replica.
"""


def machine_facts(engine: PrivateEngine) -> Mapping[str, str]:
    """What the numbers depend on, and nothing that tells whose machine it is."""
    model = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text())
    memory = re.search(r"MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text())
    engine_version = engine.api("GET", "/version")
    return {
        "processor": f"{os.cpu_count()} x {model[1] if model else platform.machine()}",
        "memory": f"{int(memory[1]) // 1024**2 if memory else 0} GiB",
        "kernel": platform.release().partition("-")[0],
        "engine": f"{engine_version['Version']} (API {engine_version['ApiVersion']})",
        "docker's client": engine.docker("version", "--format", "{{.Client.Version}}").strip(),
        "python": platform.python_version(),
    }


def table(findings: Sequence[Finding]) -> str:
    """A Markdown table, aligned so that it reads well on a terminal too."""
    lines = [HEADINGS, *(_cells(finding) for finding in findings)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADINGS))]
    printed = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines]
    rule = "| " + " | ".join("-" * width for width in widths) + " |"
    return "\n".join([printed[0], rule, *printed[1:]])


def page(measurements: Mapping[str, Measurement], facts: Mapping[str, str]) -> str:
    findings = [finding for measurement in measurements.values() for finding in measurement.findings]
    counts = [
        f"- {row}, {side}: {text}" for row, measurement in measurements.items() for side, text in measurement.counts.items()
    ]
    return "\n".join(
        [
            _INTRODUCTION,
            table(findings),
            "",
            *(["Counted apart from the timing:", "", *counts, ""] if counts else []),
            "Measured on:",
            "",
            *(f"- {name}: {value}" for name, value in facts.items()),
            "",
        ]
    )


def _cells(finding: Finding) -> tuple[str, ...]:
    interval = f"{finding.interval.low:.2f} to {finding.interval.high:.2f}" if finding.interval else ""
    unit = f" {finding.unit}" if finding.unit else ""
    digits = 3 if finding.unit == "s" else 2
    return (
        finding.promise,
        finding.ours,
        finding.theirs,
        f"{finding.measured:.{digits}f}{unit}",
        interval,
        f"{finding.bound:g}{unit}",
        "kept" if finding.is_kept else "BROKEN",
    )
