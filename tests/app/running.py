"""One replica as it runs in its container: gunicorn's master and its workers, on loopback ports, its log in a file."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.support.processes import descendants, send, wait_until

PROJECT = Path(__file__).parents[2]
# Seconds. Generous: nothing waits that long on a host that has nothing else to do.
START, ANSWER, END = 60.0, 30.0, 60.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Replica:
    """`python -m app serve`; `folder` holds its log and its telemetry."""

    def __init__(self, folder: Path, env: dict[str, str]) -> None:
        self.port, self.metrics_port = free_port(), free_port()
        self._log = folder / "stdout"
        with self._log.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "app", "serve"],
                cwd=PROJECT, stdout=out, env={
                    **os.environ, "GUNICORN_CMD_ARGS": f"--bind 127.0.0.1:{self.port}",
                    "APP_METRICS_PORT": str(self.metrics_port), "APP_TELEMETRY_DIR": str(folder / "telemetry"), **env,
                },
            )  # fmt: skip
        if not wait_until(lambda: self.status("GET", "/livez") == 200, seconds=START):
            self.kill()
            raise AssertionError(self._log.read_text())

    def ask(self, method: str, path: str, body: Any = None, *, token: str = "", timeout: float = ANSWER) -> tuple[int, Any]:
        """Status and body on a connection of its own; raises OSError and HTTPException where no answer came."""
        sent = {"Content-Type": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)) as connection:
            connection.request(method, path, None if body is None else json.dumps(body), sent)
            with connection.getresponse() as answer:
                text = answer.read()
                return answer.status, json.loads(
                    text
                ) if answer.headers.get_content_type() == "application/json" else text.decode()

    def status(self, method: str, path: str, body: Any = None, *, timeout: float = ANSWER) -> int | None:
        """The status; None where no answer came."""
        try:
            return self.ask(method, path, body, timeout=timeout)[0]
        except (OSError, http.client.HTTPException):
            return None

    def metrics(self) -> dict[str, float]:
        """Every sample of the metrics port, by its name with its labels."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.metrics_port, timeout=ANSWER)) as connection:
            connection.request("GET", "/metrics")
            text = connection.getresponse().read().decode()
        return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in text.splitlines() if line[:1] != "#"}

    def workers(self) -> set[int]:
        return descendants([self.process.pid]) - {self.process.pid}

    def log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._log.read_text().splitlines()]

    def end(self) -> int:
        """End it as `docker stop` does; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=END)

    def kill(self) -> None:
        for pid in descendants([self.process.pid]):
            send(pid, signal.SIGKILL)
        self.process.wait(timeout=END)
