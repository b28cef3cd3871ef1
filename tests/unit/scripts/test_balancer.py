"""nginx as it is shipped, run by its script on this host: what a client gets, with the service there, failing and gone."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import IO, ClassVar

import pytest

from tests.support import processes

PROJECT = Path(__file__).parents[3]
SECONDS = 20.0


class Service(BaseHTTPRequestHandler):
    """Answers with the status that the test chose."""

    status: ClassVar[int] = 302
    asked: ClassVar[list[tuple[str, str]]] = []

    def do_GET(self) -> None:
        type(self).asked.append((self.command, self.path))
        self.send_response(self.status)
        if self.status == 302:
            self.send_header("Location", f"https://x.example/{len(self.asked)}")
            self.send_header("Cache-Control", "no-store")  # before the other: nginx 1.22 takes them in their order
            self.send_header("X-Accel-Expires", "@1")
        self.send_header("X-Request-ID", self.headers["X-Request-ID"])
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_POST = do_GET

    def log_message(self, format: str, *_: object) -> None:
        """Say nothing."""


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return None


class Balancer:
    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.upstream = ThreadingHTTPServer(("127.0.0.1", 0), Service)
        Service.status, Service.asked = 302, []
        self._thread = threading.Thread(target=self.upstream.serve_forever, daemon=True)
        self._thread.start()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        text = (PROJECT / "nginx/shop.conf").read_text()
        replaced = {
            "/tmp/": f"{self.folder}/",  # noqa: S108 - nothing is written there
            "listen 8080": f"listen 127.0.0.1:{self.port}",
            "listen 8081": f"listen unix:{self.folder}/status.sock",
            "/dev/stdout": f"{self.folder}/access.log",
        }
        for old, new in replaced.items():
            assert old in text
            text = text.replace(old, new)
        # Workers of a root's nginx would be nobody, who may not enter the folders of tests.
        (self.folder / "nginx.conf").write_text(f"user root;\n{text}")
        (self.folder / "key").write_text("the-key")
        with (self.folder / "stderr").open("wb") as errors:
            self._process = self._run(errors)
        answers = processes.wait_until(lambda: self.get("/nginx-health")[0] == 200, seconds=SECONDS)
        assert answers, (self.folder / "stderr").read_text()

    def _run(self, errors: IO[bytes]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            ["sh", str(PROJECT / "nginx/resolve.sh")],
            stderr=errors,
            env={
                "PATH": f"{os.environ['PATH']}:/usr/sbin",
                "UPSTREAM_SERVICE": "127.0.0.1",
                "UPSTREAM_PORT": str(self.upstream.server_port),
                "UPSTREAM_FOLDER": str(self.folder),
                "NGINX_CONFIGURATION": str(self.folder / "nginx.conf"),
                "EXEMPTION_FILE": str(self.folder / "key"),
            },
        )

    def get(self, path: str, *, data: bytes | None = None, **headers: str) -> tuple[int, Message, bytes]:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}",
            data=data,
            headers={name.replace("_", "-"): text for name, text in headers.items()},
        )
        try:
            with urllib.request.build_opener(NoRedirect).open(request, timeout=SECONDS) as answer:
                return answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers, error.read()
        except OSError as error:
            return 0, Message(), str(error).encode()

    def leave(self) -> None:
        """The service goes away: nobody listens any more."""
        self.upstream.shutdown()
        self.upstream.server_close()

    def stop(self) -> int:
        assert self._process
        self._process.terminate()
        return self._process.wait(SECONDS)

    def kill(self) -> None:
        self.leave()
        if self._process and self._process.poll() is None:
            self.stop()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def balancer(tmp_path: Path) -> Iterator[Balancer]:
    assert shutil.which("nginx", path="/usr/sbin:/usr/bin"), "nginx is not installed: `make test` installs it"
    made = Balancer(tmp_path)
    try:
        made.start()
        yield made
    finally:
        made.kill()


def wait_for_second(*, ends_in_zero: bool) -> None:
    """What is kept already is written anew only in a second that does; to well within such a second, or well before one."""
    while not (0.1 < time.time() % 10 < 0.7 if ends_in_zero else 1.1 < time.time() % 10 < 8):
        time.sleep(0.05)


def test_every_redirect_is_asked_of_the_service_and_repeated_only_while_it_is_away(balancer: Balancer) -> None:
    wait_for_second(ends_in_zero=False)
    seen = [balancer.get("/abc123") for _ in range(3)]
    assert [(status, headers["Location"][-1], headers["X-Served"]) for status, headers, _ in seen] == [
        (302, "1", None), (302, "2", None), (302, "3", None)
    ]  # fmt: skip
    Service.status = 503
    status, headers, _ = balancer.get("/abc123")
    assert (status, headers["Location"][-1], headers["X-Served"]) == (302, "1", "stale")
    wait_for_second(ends_in_zero=True)
    Service.status = 302
    kept = balancer.get("/abc123")[1]["Location"][-1]
    balancer.leave()
    status, headers, _ = balancer.get("/abc123")
    assert (status, headers["Location"][-1], headers["X-Served"]) == (302, kept, "stale")
    assert kept != "1"
    assert balancer.get("/other1")[0] == 502


def test_errors_of_nginx_are_json_with_a_request_id_and_say_when_to_come_again(balancer: Balancer) -> None:
    balancer.leave()
    status, headers, body = balancer.get("/users", X_Request_ID="mine-12345678")
    told = json.loads(body)
    assert (status, told["error"], told["request_id"], headers["Retry-After"]) == (502, "Bad Gateway", "mine-12345678", "1")
    assert headers["X-Content-Type-Options"] == "nosniff"
    status, headers, body = balancer.get("/urls", data=b"x" * (1 << 20) + b"x")
    assert (status, json.loads(body)["error"], headers["Retry-After"]) == (413, "Content Too Large", None)


def test_a_request_id_is_passed_on_and_returned_once_and_a_bad_one_is_replaced(balancer: Balancer) -> None:
    assert balancer.get("/abc123", X_Request_ID="mine-12345678")[1].get_all("X-Request-ID") == ["mine-12345678"]
    (made,) = balancer.get("/abc123", X_Request_ID="bad id!")[1].get_all("X-Request-ID") or []
    assert len(made) == 32


def test_too_many_requests_of_one_address_are_told_so_unless_they_carry_the_key(balancer: Balancer) -> None:
    Service.status = 204
    limited = next(answer for answer in iter(lambda: balancer.get("/users"), None) if answer[0] == 429)
    assert json.loads(limited[2])["error"] == "Too Many Requests"
    assert limited[1]["Retry-After"] == "1"
    assert {balancer.get("/users", X_Rate_Limit_Exemption="the-key")[0] for _ in range(20)} == {204}


def test_a_503_is_an_answer_that_closes_no_replica(balancer: Balancer) -> None:
    Service.status = 503
    assert {balancer.get("/users")[0] for _ in range(5)} == {503}
    Service.status = 204
    assert balancer.get("/users")[0] == 204


def test_the_script_ends_with_nginx_and_nginx_with_the_script(balancer: Balancer) -> None:
    assert balancer.stop() == 0
    assert balancer.get("/nginx-health")[0] == 0
