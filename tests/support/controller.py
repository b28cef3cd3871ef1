"""The controller as a process of its own, as it runs in production."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support import processes

START_SECONDS = 90.0  # the first pass over a Swarm of many tasks, on a busy host
DRAIN_SECONDS = 10.0  # promised for SIGTERM
ROOT = Path(__file__).resolve().parents[2]


class ControllerError(Exception):
    """The controller did not start, or a command of it failed; carries what it said."""


class Controller:
    """`prodbreaker run` on a folder of manifests; every start goes on with the same state folder."""

    def __init__(self, environment: Mapping[str, str], manifests: Path, state: Path) -> None:
        self.manifests, self.state = manifests, state
        self.port = _free_port()
        self._log = state / "controller.log"
        self._environment = {
            **environment,
            "PRODBREAKER_LISTEN": f"127.0.0.1:{self.port}",
            "PRODBREAKER_JOURNAL": str(state / "journal.db"),
        }
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        if self._process is None:
            raise ControllerError("the controller is not running")
        return self._process.pid

    def start(self, *, ready: bool = True) -> None:
        """Start it, and wait for /readyz unless told not to. Raises ControllerError with the last lines of its log."""
        self.state.mkdir(parents=True, exist_ok=True)
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "controller", "run", "--manifests", str(self.manifests)],
                cwd=ROOT,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        if ready and not processes.wait_until(self.is_ready, seconds=START_SECONDS):
            raise ControllerError(f"the controller is not ready after {START_SECONDS} s: {self._last_words()}")

    def stop(self) -> int:
        """SIGTERM; return its exit code. Raises ControllerError when it takes longer than it promises."""
        process = self._running()
        process.terminate()
        try:
            return process.wait(DRAIN_SECONDS)
        except subprocess.TimeoutExpired as error:
            process.kill()
            process.wait()
            raise ControllerError(f"the controller did not end within {DRAIN_SECONDS} s of SIGTERM") from error
        finally:
            self._process = None

    def kill(self) -> None:
        """SIGKILL, if it still runs."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Hold it still (SIGSTOP) while a test changes several things that must be seen together."""
        os.kill(self.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.pid, signal.SIGCONT)

    def command(self, *args: str, check: bool = True, timeout: float = 120.0) -> subprocess.CompletedProcess[str]:
        """Run another command of `prodbreaker` beside it. Raises ControllerError with its stderr."""
        done = subprocess.run(
            [sys.executable, "-m", "controller", *args],
            cwd=ROOT,
            env=self._environment,
            check=False,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        if check and done.returncode:
            raise ControllerError(f"prodbreaker {args[0]} ended with {done.returncode}: {done.stderr.strip()}")
        return done

    def is_ready(self) -> bool:
        if self._running().poll() is not None:
            raise ControllerError(f"the controller ended with {self._running().returncode}: {self._last_words()}")
        return self.answers("/readyz")

    @property
    def is_started(self) -> bool:
        """Whether it was started, and neither stopped nor killed here since."""
        return self._process is not None

    def metric(self, name: str) -> float | None:
        """The value of a metric without labels; None where the page does not answer."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=2) as answer:
                page: str = answer.read().decode()
        except OSError:
            return None
        return next((float(line.split()[1]) for line in page.splitlines() if line.startswith(f"{name} ")), None)

    def is_alive(self) -> bool:
        return self._running().poll() is None

    def answers(self, path: str) -> bool:
        """Whether a page is there and says yes."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=2) as answer:
                return bool(answer.status == 200)
        except (OSError, urllib.error.HTTPError):
            return False

    def lines(self) -> list[dict[str, Any]]:
        """Its log so far, of all starts. A line that is not JSON stands as {"raw": …}: there should be none."""
        if not self._log.exists():
            return []
        return [_decoded(line) for line in self._log.read_text(errors="replace").splitlines() if line]

    def wait_for_line(self, wanted: Callable[[dict[str, Any]], bool], *, seconds: float = 10.0) -> bool:
        return processes.wait_until(lambda: any(wanted(line) for line in self.lines()), seconds=seconds, pause=0.05)

    def resident_mebibytes(self) -> float:
        """Memory that the process holds now."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
        raise ControllerError("the kernel does not tell the controller's memory")

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise ControllerError("the controller is not running")
        return self._process

    def _last_words(self) -> str:
        return " / ".join(self._log.read_text(errors="replace").splitlines()[-5:])


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _decoded(line: str) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except json.JSONDecodeError:
        return {"raw": line}
    return value if isinstance(value, dict) else {"raw": line}
