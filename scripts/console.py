"""What the reader of `make up` sees: numbered steps, and one sentence for what cannot be done."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Refusal(Exception):
    """What cannot be done here and why, in one sentence."""


def guarded(command: str, work: Callable[[], int]) -> int:
    """Run the work of a command and return its exit code; whatever stops it ends in one sentence on stderr."""
    try:
        return work()
    except Refusal as refusal:
        sentence, code = str(refusal), 1
    except OSError as error:  # a full disk, a folder that may not be written
        sentence, code = f"{error}.", 1
    except KeyboardInterrupt:
        sentence, code = "interrupted; the next run goes on from here.", 130
    print(f"{command}: {sentence}", file=sys.stderr)
    return code


class Progress:
    """Prints each step as it begins and how long it took, with `idle` for one that changed nothing; remembers the changes."""

    def __init__(self, total: int, *, idle: str = "already there", write: Callable[[str], object] = print) -> None:
        self._total, self._idle, self._write, self._number = total, idle, write, 0
        self.changes: list[str] = []

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Announce a step, then say whether it changed something and in how many seconds."""
        self._number += 1
        before, started = len(self.changes), time.monotonic()
        self._line(f"[{self._number}/{self._total}] {title}")
        yield
        verdict = "done" if len(self.changes) > before else self._idle
        self._line(f"      {verdict} ({time.monotonic() - started:.1f} s)")

    def skip(self) -> None:
        """Count a step that was done before this process began."""
        self._number += 1

    def change(self, text: str) -> None:
        """Tell of something that is about to be changed."""
        self.changes.append(text)
        self.note(text)

    def note(self, text: str) -> None:
        self._line(f"      {text}")

    def _line(self, text: str) -> None:
        self._write(text)
        sys.stdout.flush()
