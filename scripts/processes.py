"""Processes that outlive the script: started, recognised again and ended, never mistaken for another with the same number."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from scripts.console import Refusal
from scripts.shell import environment, last_line

# Our own children must be reaped when they are stopped; those of an earlier run belong to init.
_children: dict[int, subprocess.Popen[bytes]] = {}


@dataclass(frozen=True)
class Daemon:
    """A process, named by its number and by the tick of its birth: numbers are used again, the pair is not."""

    pid: int
    born: int


def identify(pid: int) -> Daemon | None:
    """The process with this number, None if there is none (a zombie is none)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat.rpartition(")")[2].split()  # the name before it may hold anything, blanks and brackets included
    return None if fields[0] == "Z" else Daemon(pid=pid, born=int(fields[19]))


def alive(daemon: Daemon | None) -> bool:
    return daemon is not None and identify(daemon.pid) == daemon


def program(pid: int) -> str:
    """The name of the program that a process runs, empty if there is no such process (a zombie runs nothing)."""
    if identify(pid) is None:
        return ""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def start(argv: Sequence[str], log: Path) -> Daemon:
    """Start a process in a session of its own, its output appended to `log`. Raises Refusal if it dies at once."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        try:
            child = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True, env=environment()
            )
        except FileNotFoundError as error:
            raise Refusal(f"{argv[0]} could not be started: it is not installed.") from error
    _children[child.pid] = child
    daemon = identify(child.pid)
    if daemon is None or child.poll() is not None:
        raise Refusal(f"{argv[0]} ended at once: {last_line(log.read_bytes())} (its log: {log})")
    return daemon


def stop(daemon: Daemon, *, patience: float) -> None:
    """End the process: SIGTERM, and SIGKILL after `patience` seconds. Does nothing when it has gone already."""
    for number, wait in ((signal.SIGTERM, patience), (signal.SIGKILL, 5.0)):
        if not alive(daemon):
            break
        os.kill(daemon.pid, number)
        end = time.monotonic() + wait
        while alive(daemon) and time.monotonic() < end:
            time.sleep(0.05)
    child = _children.pop(daemon.pid, None)
    if child is not None:
        child.wait()


def port_is_free(port: int, *, host: str) -> bool:
    """Whether a process may listen there; an empty host means all interfaces."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections that linger do not matter
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True
