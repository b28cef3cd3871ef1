"""Ending processes that tests started, by their ids and never by a name."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple


def is_alive(pid: int) -> bool:
    """Whether a process of this id runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def mentioning(path: Path) -> list[int]:
    """Ids of all processes with `path` in their command line; for a path that nobody else can know, these are ours."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            if str(path).encode() in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
    return found


def descendants(pids: Iterable[int]) -> set[int]:
    """The given processes and everything below them."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    family = set(pids)
    while more := {pid for pid, parent in parents.items() if parent in family} - family:
        family |= more
    return family


def send(pid: int, number: signal.Signals) -> None:
    """Signal a process that may have gone already."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def stolen_seconds() -> float:
    """What a hypervisor has kept from all processors together since the host's start; 0 where none tells."""
    return processor_seconds().stolen


class ProcessorSeconds(NamedTuple):
    """Of all processors together, since the host's start (proc_stat(5))."""

    used: float
    stolen: float


def processor_seconds(path: Path = Path("/proc/stat")) -> ProcessorSeconds:
    fields = path.read_text().partition("\n")[0].split()[1:9] if path.exists() else []
    if len(fields) < 8:
        return ProcessorSeconds(0.0, 0.0)
    user, nice, system, _, _, irq, softirq, steal = (int(field) / os.sysconf("SC_CLK_TCK") for field in fields)
    return ProcessorSeconds(user + nice + system + irq + softirq, steal)


_AT_FIRST = processor_seconds()


def stolen_share() -> float:
    """Of the processor time that this host wanted since the tests began, what a hypervisor kept from it."""
    now = processor_seconds()
    used, stolen = now.used - _AT_FIRST.used, now.stolen - _AT_FIRST.stolen
    return stolen / (used + stolen) if used + stolen else 0.0


def wait_until(condition: Callable[[], bool], *, seconds: float, pause: float = 0.02, hold: float = 0.0) -> bool:
    """Whether the condition came true in time and then stayed so for `hold` seconds without a break.

    Time that a hypervisor kept from the host does not count, up to nine tenths: it says nothing about what is waited for.
    """
    begin, stolen, since = time.monotonic(), stolen_seconds(), None
    while True:
        now = time.monotonic()
        since = (since or now) if condition() else None
        if since is not None and now - since >= hold:
            return True
        elapsed = now - begin
        if since is None and max(elapsed - (stolen_seconds() - stolen), elapsed / 10) >= seconds:
            return False
        time.sleep(pause)
