"""A replica under gunicorn: it drains before it ends, slow clients hold no thread for ever, and big bodies are refused."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress

import psycopg

from app.serve import PROGRAM, run
from tests.app.running import ANSWER, END, Replica
from tests.support.postgres import PostgresServer
from tests.support.processes import wait_until

Make = Callable[..., Replica]


class Client(threading.Thread):
    """Sends one request after the other on a connection that is kept for as long as the replica keeps it, as nginx does."""

    def __init__(self, replica: Replica, name: str, ending: threading.Event) -> None:
        super().__init__()
        self.replica, self.client, self.ending = replica, name, ending
        self.answers: list[tuple[str, float, int | str]] = []
        self.closed = 0

    def run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.replica.port, timeout=ANSWER)
        count = 0
        while not self.ending.is_set():
            count += 1
            name, sent = f"{self.client}-{count}", time.monotonic()
            try:
                status: int | str = self._ask(connection, name)
            except (OSError, http.client.HTTPException) as error:
                status = type(error).__name__
                connection.close()
            self.answers.append((name, sent, status))
        connection.close()

    def _ask(self, connection: http.client.HTTPConnection, name: str) -> int:
        if self.client.startswith("write"):
            body = json.dumps({"username": name, "email": f"{name}@example.com"})
            connection.request("POST", "/users", body, {"Content-Type": "application/json"})
        else:
            connection.request("GET", "/users?per_page=1")
        with connection.getresponse() as answer:
            answer.read()
            if answer.headers["Connection"] == "close":  # http.client connects anew with the next request
                self.closed += 1
            return answer.status


def test_a_replica_that_is_told_to_end_says_so_at_once_and_loses_nothing_that_was_sent_before_it_shut_its_door(
    make_replica: Make, postgres: PostgresServer
) -> None:
    replica = make_replica(APP_DRAIN_SECONDS="20")
    assert replica.status("GET", "/readyz") == 200
    ending = threading.Event()
    crew = [Client(replica, f"{kind}{number}", ending) for kind in ("write", "read") for number in range(3)]
    for member in crew:
        member.start()
    assert wait_until(lambda: all(len(member.answers) > 10 for member in crew), seconds=END)
    told = time.monotonic()
    replica.process.send_signal(signal.SIGTERM)
    assert wait_until(lambda: replica.ask("GET", "/readyz")[0] == 503, seconds=10)
    assert replica.ask("GET", "/readyz")[1]["status"] == "draining"
    time.sleep(1.0)  # what a balancer takes to notice, generously; it sends on meanwhile
    assert wait_until(lambda: sum(sent > told for member in crew for _, sent, _ in member.answers) > 20, seconds=END)
    ending.set()
    for member in crew:
        member.join()
    assert time.monotonic() < told + 20, "the host is too slow for this test to tell anything"
    replica.process.send_signal(signal.SIGTERM)
    assert replica.process.wait(timeout=END) == 0
    answers = [answer for member in crew for answer in member.answers]
    assert {status for _, _, status in answers} == {200, 201}
    assert all(member.closed > 3 for member in crew)
    with psycopg.connect(postgres.url) as connection:
        kept = {row[0] for row in connection.execute("SELECT username FROM users")}
    assert kept == {name for name, _, status in answers if status == 201}


def test_clients_that_go_on_until_the_door_is_shut_are_answered_or_refused_and_never_left_hanging(
    make_replica: Make, postgres: PostgresServer
) -> None:
    replica = make_replica(APP_DRAIN_SECONDS="0.5")
    ending = threading.Event()
    crew = [Client(replica, f"write{number}", ending) for number in range(4)]
    for member in crew:
        member.start()
    assert wait_until(lambda: all(len(member.answers) > 5 for member in crew), seconds=END)
    with closing(socket.create_connection(("127.0.0.1", replica.port))) as idle:  # keeps the workers lingering for two seconds
        idle.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        idle.recv(1000)
        replica.process.send_signal(signal.SIGTERM)
        assert wait_until(lambda: any(member.answers[-1][2] == "ConnectionRefusedError" for member in crew), seconds=END)
        refused = time.monotonic()
        ending.set()
        for member in crew:
            member.join()
        assert time.monotonic() - refused < 2.0  # nobody waits in front of a door that will not open again
    assert replica.process.wait(timeout=END) == 0
    answers = [answer for member in crew for answer in member.answers]
    # For each client one, that came in the instant between the last look at the door and its end.
    assert len([status for _, _, status in answers if status not in (201, "ConnectionRefusedError")]) <= 4
    with psycopg.connect(postgres.url) as connection:
        kept = {row[0] for row in connection.execute("SELECT username FROM users")}
    assert kept >= {name for name, _, status in answers if status == 201}


def is_refused(replica: Replica) -> bool:
    try:
        socket.create_connection(("127.0.0.1", replica.port)).close()
    except ConnectionRefusedError:
        return True
    return False


def test_a_request_in_hand_is_answered_before_the_end_and_new_ones_are_refused(
    make_replica: Make, postgres: PostgresServer
) -> None:
    replica = make_replica(APP_DRAIN_SECONDS="0", APP_STATEMENT_SECONDS="30")
    with psycopg.connect(postgres.url) as holder:
        holder.execute("LOCK TABLE users")
        answers: list[int | None] = []
        sent = threading.Thread(
            target=lambda: answers.append(replica.status("POST", "/users", {"username": "a", "email": "a@example.com"}))
        )
        sent.start()
        assert wait_until(lambda: replica.metrics()["app_pool_in_use"] == 1, seconds=END)
        replica.process.send_signal(signal.SIGTERM)
        # Long before gunicorn's graceful_timeout, which ends all that is in hand: nobody waits behind it.
        assert wait_until(lambda: is_refused(replica), seconds=7)
        assert not answers
    sent.join()
    assert (answers, replica.process.wait(timeout=END)) == ([201], 0)


def test_a_client_that_trickles_its_head_is_cut_off_and_one_that_stops_in_its_body_too(make_replica: Make) -> None:
    """Each of four threads is held by one of them; other clients are answered again within the limits."""
    replica = make_replica(APP_WORKERS="1", APP_THREADS="4", APP_CLIENT_SECONDS="4")
    ending = threading.Event()

    def trickle(address: tuple[str, int]) -> None:
        with closing(socket.create_connection(address)) as slow, suppress(OSError):
            slow.sendall(b"GET /livez HTTP/1.1\r\nX-Slow: ")
            while not ending.wait(0.3):
                slow.sendall(b"x")

    crew = [threading.Thread(target=trickle, args=(("127.0.0.1", replica.port),)) for _ in range(4)]
    for member in crew:
        member.start()
    time.sleep(0.5)
    assert replica.status("GET", "/livez", timeout=1) is None  # every thread is taken
    assert wait_until(lambda: replica.status("GET", "/livez") == 200, seconds=END)
    with closing(socket.create_connection(("127.0.0.1", replica.port))) as halting:
        halting.sendall(b"POST /users HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{")
        halting.settimeout(ANSWER)
        assert halting.recv(100).startswith(b"HTTP/1.1 400 ")
    ending.set()
    for member in crew:
        member.join()
    assert replica.end() == 0


def test_a_body_that_is_too_large_is_refused_and_the_replica_goes_on(make_replica: Make) -> None:
    replica = make_replica(APP_WORKERS="1", APP_THREADS="1")
    piece = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    for how, sent in (("Content-Length: 3000000", b""), ("Transfer-Encoding: chunked", piece * 17)):
        with closing(socket.create_connection(("127.0.0.1", replica.port), timeout=ANSWER)) as connection:
            connection.sendall(f"POST /users HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{how}\r\n\r\n".encode())
            connection.sendall(sent)
            answer = b""
            while b"request_id" not in answer:
                answer += connection.recv(4096)
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert replica.status("GET", "/livez") == 200


def test_serve_becomes_gunicorn() -> None:
    became: list[list[str]] = []
    run(lambda program, arguments: became.append([program, *arguments]))
    assert became == [[PROGRAM[0], *PROGRAM]]
    assert "gunicorn" in PROGRAM
