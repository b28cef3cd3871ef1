"""The healthcheck's answer for a service that is well, ill, and away."""

from __future__ import annotations

import runpy
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from app.probe import is_alive


class Answer(BaseHTTPRequestHandler):
    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status if self.path == "/livez" else 404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Silent."""


@pytest.fixture
def port() -> Iterator[int]:
    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def test_a_service_that_answers_is_alive(port: int) -> None:
    assert is_alive(port)


def test_a_service_that_answers_an_error_is_not(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Answer, "status", 503)
    assert not is_alive(port)


def test_where_nothing_listens_the_check_fails_without_the_site_packages() -> None:
    probe = [sys.executable, "-IS", str(Path(__file__).parents[3] / "app/probe.py")]
    done = subprocess.run(probe, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr.splitlines()[-1].split(":")[0]) == (1, "ConnectionRefusedError")


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1)])
def test_the_healthcheck_asks_the_applications_port_and_ends_with_its_answer(
    port: int, monkeypatch: pytest.MonkeyPatch, status: int, code: int
) -> None:
    monkeypatch.setattr(Answer, "status", status)
    connect, asked = socket.create_connection, []

    def led_here(address: tuple[str, int], timeout: float) -> socket.socket:
        asked.append((address, timeout))
        return connect(("127.0.0.1", port), timeout=timeout)

    monkeypatch.setattr(socket, "create_connection", led_here)
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(Path(__file__).parents[3] / "app/probe.py"), run_name="__main__")

    assert int(ended.value.code or 0) == code
    assert asked == [(("127.0.0.1", 8000), 5)]
