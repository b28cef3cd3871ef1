"""An engine that says exactly what a test tells it to, byte for byte, over a unix socket."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

VERSION = {"ApiVersion": "1.41", "Version": "20.10.24"}


@dataclass(frozen=True)
class Asked:
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


# What is written to the connection; it stays open for the next request unless the bytes are followed by `CUT`.
Answer = Callable[[socket.socket], bool]


def reply(status: int, body: object = b"", *, cut: int | None = None) -> Answer:
    """A whole answer; with `cut`, only that many bytes of the body and then the end of the connection."""
    packed = body if isinstance(body, bytes) else json.dumps(body).encode()

    def write(connection: socket.socket) -> bool:
        head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(packed)}\r\n\r\n"
        connection.sendall(head.encode() + packed[:cut])
        return cut is None

    return write


def refuse(status: int, message: str) -> Answer:
    return reply(status, {"message": message})


def vanish(connection: socket.socket) -> bool:
    """Close without a word."""
    return False


def silence(connection: socket.socket) -> bool:
    """Say nothing until the other side gives up."""
    connection.settimeout(10)
    return bool(connection.recv(1)) and False


def chunked(*chunks: bytes, then: Callable[[], object] | None = None, ended: bool = True) -> Answer:
    """A stream: chunks, then `then()`, then its proper end or a cut."""

    def write(connection: socket.socket) -> bool:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
        for chunk in chunks:
            connection.sendall(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")
        if then:
            then()
        if ended:
            connection.sendall(b"0\r\n\r\n")
        return ended

    return write


@dataclass
class FakeEngine:
    """Answers requests in the order in which the test queued answers; /version always with `version`."""

    socket_path: Path
    asked: list[Asked] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    version: Answer = field(default_factory=lambda: reply(200, VERSION))

    def __post_init__(self) -> None:
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self.left = threading.Event()  # set when an answer has ended its connection
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(self.socket_path))
        self._listener.listen()
        self._spawn(self._accept)

    @property
    def host(self) -> str:
        return f"unix://{self.socket_path}"

    def says(self, *answers: Answer) -> None:
        self.answers.extend(answers)

    def calls(self) -> list[str]:
        """What was asked, negotiation left out."""
        return [f"{asked.method} {asked.path}" for asked in self.asked if asked.path != "/version"]

    def close(self) -> None:
        for opened in (self._listener, *self._open):
            try:
                opened.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
            finally:
                opened.close()
        for thread in self._threads:
            thread.join(5)

    def _spawn(self, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._open.append(connection)
            self._spawn(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as stream:
            try:
                while asked := _request(stream):
                    self.asked.append(asked)
                    answer = self.version if asked.path == "/version" else self.answers.pop(0)
                    if not answer(connection):
                        connection.shutdown(socket.SHUT_RDWR)
                        self.left.set()
                        return
            except OSError:
                return


def _request(stream: Any) -> Asked | None:
    line = stream.readline().decode()
    if not line:
        return None
    method, target, _ = line.split()
    headers: dict[str, str] = {}
    while header := stream.readline().decode().strip():
        name, _, value = header.partition(": ")
        headers[name.lower()] = value
    parts = urlsplit(target)
    body = stream.read(int(headers.get("content-length", 0)))
    return Asked(method, parts.path, dict(parse_qsl(parts.query)), headers, body)
