"""Questions over a unix socket, to something that answers, answers nonsense, or is away."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from scripts import engine_api


class Engine(BaseHTTPRequestHandler):
    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        body = {"/_ping": "OK", "/info": json.dumps({"Swarm": {}})}.get(self.path, "[]")
        self.send_response(200 if self.path != "/images/x/json" else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def address_string(self) -> str:
        return "unix"

    def log_message(self, *_: object) -> None:
        """Silent."""


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[type[Engine]]:
    Engine.asked = []
    monkeypatch.setattr(engine_api, "SOCKET", tmp_path / "docker.sock")
    with socketserver.ThreadingUnixStreamServer(str(tmp_path / "docker.sock"), Engine) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield Engine
        server.shutdown()
        thread.join()


@pytest.mark.usefixtures("engine")
def test_answers_are_decoded_whatever_their_form() -> None:
    assert engine_api.answers()
    assert engine_api.get("/info") == (200, {"Swarm": {}})
    assert engine_api.get("/_ping") == (200, "OK")
    assert engine_api.get("/images/x/json")[0] == 404


def test_the_objects_of_a_stack_are_asked_for_by_its_label(engine: type[Engine]) -> None:
    assert engine_api.of_stack("services", "shop", status="true") == []
    expected = "/services?filters=%7B%22label%22%3A%20%5B%22com.docker.stack.namespace%3Dshop%22%5D%7D&status=true"
    assert engine.asked == [expected]


def test_an_engine_that_is_away_is_an_answer_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(engine_api, "SOCKET", tmp_path / "none.sock")
    assert engine_api.get("/info") == (0, None)
    assert not engine_api.answers()
    assert engine_api.of_stack("services", "shop") == []
