"""Memory and processor time of the processes of a replica, out of /proc."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

_PAGE, _TICKS = os.sysconf("SC_PAGE_SIZE"), os.sysconf("SC_CLK_TCK")
# Fields of /proc/PID/stat behind the name: user and system time, of the process and of its children that have ended.
_TIMES = slice(11, 15)


def usage(pids: Iterable[int]) -> Iterator[Metric]:
    """Both as metrics, summed over the given processes; those that have ended count no more, except in their parent's time."""
    resident, ticks = 0, 0
    for pid in pids:
        with suppress(OSError):
            resident += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
            ticks += sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[_TIMES]))
    yield GaugeMetricFamily("app_resident_memory_bytes", "Resident memory of the replica's processes.", resident)
    yield CounterMetricFamily("app_cpu_seconds", "Processor time of the replica's processes.", ticks / _TICKS)
