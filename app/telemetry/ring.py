"""The last log lines of each process, kept in memory where every process of the replica can read them.

One writer each and no lock between processes: a reader may meet a line that is being overwritten, and leaves it out.
What a process wrote stays readable when it has crashed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from mmap import mmap
from pathlib import Path
from threading import Lock
from typing import Any

from app.telemetry.folder import shared

SIZE = 256 * 1024  # bytes of lines for each process
LONGEST = 32 * 1024  # bytes of one line
ENDED = 8  # processes that ended, whose last lines are kept
_HEAD = 8  # bytes; how many were ever written


class Ring:
    """Takes lines for ever and keeps the last. Opened by the first line that a process writes: a fork gets its own."""

    def __init__(self) -> None:
        self._pid = 0
        self._memory: Any = None  # an mmap, which has no useful type for slices
        self._written = 0
        self._lock = Lock()

    def write(self, line: str) -> None:
        """Add a line of JSON; one that is too long is left out."""
        data = line.encode() + b"\n"
        if len(data) > LONGEST:
            return
        with self._lock:
            if self._pid != os.getpid():
                self._open()
            at = self._written % SIZE
            first = min(len(data), SIZE - at)
            self._memory[_HEAD + at : _HEAD + at + first] = data[:first]
            self._memory[_HEAD : _HEAD + len(data) - first] = data[first:]
            self._written += len(data)
            self._memory[:_HEAD] = self._written.to_bytes(_HEAD, "little")

    def content(self) -> bytes:
        """All that is kept by this process."""
        return bytes(self._memory) if self._memory is not None else bytes(_HEAD)

    def _open(self) -> None:
        folder = shared()
        self._pid, self._written = os.getpid(), 0
        if folder is None:
            self._memory = mmap(-1, _HEAD + SIZE)
            return
        with (folder / f"{self._pid}.ring").open("w+b") as file:
            file.truncate(_HEAD + SIZE)
            self._memory = mmap(file.fileno(), _HEAD + SIZE)


RING = Ring()


def last_lines(number: int) -> list[dict[str, Any]]:
    """The newest lines of all processes of the replica, oldest first."""
    folder = shared()
    contents = [RING.content()] if folder is None else [file.read_bytes() for file in folder.glob("*.ring")]
    lines = [line for content in contents for line in _lines(content)]
    lines.sort(key=lambda line: str(line.get("ts")))
    return lines[-number:]


def prune() -> None:
    """Drop the lines of processes that ended long ago."""
    folder = shared()
    rings = sorted(folder.glob("*.ring"), key=lambda file: file.stat().st_mtime) if folder else []
    ended = [file for file in rings if not Path(f"/proc/{file.stem}").exists()]
    for file in ended[:-ENDED]:
        file.unlink()


def _lines(content: bytes) -> Iterator[dict[str, Any]]:
    written = int.from_bytes(content[:_HEAD], "little")
    kept = content[_HEAD:]
    at = written % SIZE
    # Once round, the oldest line has lost its beginning.
    whole = kept[:at] if written <= SIZE else (kept[at:] + kept[:at]).partition(b"\n")[2]
    for line in whole.split(b"\n"):
        try:
            value = json.loads(line)
        except ValueError:
            continue
        if isinstance(value, dict):
            yield value
