"""The whole application as its manifest declares it, on a real Swarm, under load while its parts are broken one by one."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from threading import Event, Thread
from typing import Any

import pytest

from tests.support import host_images, processes
from tests.support.controller import ROOT, Controller
from tests.support.engine import PrivateEngine
from tests.support.sweep import remove_everything

pytestmark = [pytest.mark.swarm, pytest.mark.timeout(900)]

STACK, PORT = "shop", 8080
IMAGES = {"NGINX_IMAGE": host_images.nginx, "REDIS_IMAGE": host_images.redis, "POSTGRES_IMAGE": host_images.postgres}
Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]
PATIENCE = 120.0  # seconds for anything to come true: hosts of CI are slow
READERS, FOLLOWERS, WRITERS, THINK_SECONDS = 8, 8, 3, 0.2


@dataclass
class Clients:
    """People who ask again after a short thought, over connections that stay open, as browsers do."""

    address: str
    key: str
    codes: list[str]
    asked: Counter[str] = field(default_factory=Counter)
    failed: list[str] = field(default_factory=list)
    lasted: list[float] = field(default_factory=list)
    _ending: Event = field(default_factory=Event)

    def __post_init__(self) -> None:
        self._thread = Thread(target=lambda: asyncio.run(self._run()), name="clients")

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._ending.set()
        self._thread.join(60)

    def failures(self, *kinds: str) -> list[str]:
        return [failure for failure in self.failed if failure.split()[0] in kinds]

    async def _run(self) -> None:
        kinds = ("read",) * READERS + ("redirect",) * FOLLOWERS + ("write",) * WRITERS
        await asyncio.gather(*(self._client(kind, number) for number, kind in enumerate(kinds)))

    async def _client(self, kind: str, number: int) -> None:
        """Readers keep their connection; writers take one for each request, for they could not repeat it."""
        connection: Connection | None = None
        turn = number * 101
        while not self._ending.is_set():
            turn += 1
            began, reused = time.monotonic(), connection is not None
            try:
                async with asyncio.timeout(30):
                    connection = connection or await asyncio.open_connection(self.address, PORT)
                    status, closes = await _ask(connection, self._request(kind, turn))
                if status >= 400:
                    self.failed.append(f"{kind} {status} after {time.monotonic() - began:.2f} s")
            except (OSError, EOFError, TimeoutError) as error:
                closes = True
                # What was kept may be closed by any server at any time: who reads asks again, as browsers do.
                if not (reused and isinstance(error, (ConnectionError, EOFError))):
                    self.failed.append(f"{kind} {type(error).__name__} after {time.monotonic() - began:.2f} s")
            if connection and (closes or kind == "write"):
                connection[1].close()
                connection = None
            self.asked[kind] += 1
            self.lasted.append(time.monotonic() - began)
            await asyncio.sleep(0 if closes else THINK_SECONDS)
        if connection:
            connection[1].close()

    def _request(self, kind: str, turn: int) -> bytes:
        head = f"Host: shop\r\nX-Rate-Limit-Exemption: {self.key}\r\n"
        if kind == "write":
            body = json.dumps({"user_id": 1 + turn % 400, "original_url": f"https://new.example/{turn}"})
            head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
            return f"POST /urls HTTP/1.1\r\n{head}\r\n{body}".encode()
        path = f"/{self.codes[turn % len(self.codes)]}" if kind == "redirect" else f"/users/{1 + turn % 400}"
        return f"GET {path} HTTP/1.1\r\n{head}\r\n".encode()


async def _ask(connection: Connection, request: bytes) -> tuple[int, bool]:
    """The answer's status, and whether the connection ends with it. Raises OSError and EOFError."""
    reader, writer = connection
    writer.write(request)
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    length = head.partition("content-length:")[2].partition("\r\n")[0]
    await reader.readexactly(int(length or 0))
    return int(head[9:12]), "connection: close" in head


class Shop:
    """The stack, deployed by the project's own command out of its own manifest."""

    def __init__(self, engine: PrivateEngine, controller: Controller, environment: dict[str, str], key: str) -> None:
        self.engine, self.environment, self.key = engine, environment, key
        self._controller = controller

    def apply(self, **changed: str) -> None:
        self.environment.update(changed)
        manifest = str(ROOT / "manifests/shop.yml")
        self._controller.command("apply", "-c", manifest, "--stack", STACK, "--timeout", "300", timeout=400)

    def get(self, path: str) -> tuple[int, Any]:
        try:
            status, _, body = _get(self.engine.address, path, self.key)
        except OSError as error:
            return 0, str(error)
        return status, body

    def container(self, service: str) -> str:
        found = self.engine.docker("ps", "--quiet", "--filter", f"label=com.docker.swarm.service.name={STACK}_{service}")
        return found.split()[0]

    def running(self, service: str) -> int:
        entries = self.engine.api("GET", "/services?status=true")
        (entry,) = [entry for entry in entries if entry["Spec"]["Name"] == f"{STACK}_{service}"]
        state = (entry.get("UpdateStatus") or {}).get("State", "completed")
        return int(entry["ServiceStatus"]["RunningTasks"]) if state == "completed" else -1

    def wait(self, condition: Callable[[], bool], what: str) -> None:
        assert processes.wait_until(condition, seconds=PATIENCE, pause=0.3), (
            f"not within {PATIENCE} s: {what}\n{self.engine.docker('service', 'ls')}"
        )

    def is_whole(self) -> bool:
        wanted = {"web": 3, "worker": 1, "redis": 1, "postgres": 1, "nginx": 1}
        return all(self.running(name) == count for name, count in wanted.items()) and self.get("/readyz") == (
            200, {"status": "ok", "missing": {}},
        )  # fmt: skip

    def seed(self) -> None:
        """As docs/operations.md says: a job beside the stack."""
        self.engine.docker(
            "service", "create", "--detach", "--quiet", "--name", "seed", "--mode", "replicated-job", "--no-healthcheck",
            "--network", f"{STACK}_back", "--secret", "postgres_password",
            "--env", "DATABASE_URL=postgresql://shop@postgres:5432/shop",
            "--env", "DATABASE_PASSWORD_FILE=/run/secrets/postgres_password",
            self.environment["APP_IMAGE"], "seed",
        )  # fmt: skip
        self.wait(lambda: self.get("/urls")[1] not in ([], None), "the sample data")
        self.engine.docker("service", "rm", "seed")


def _get(address: str, path: str, key: str) -> tuple[int, str, Any]:
    async def ask() -> tuple[int, str, Any]:
        reader, writer = await asyncio.open_connection(address, PORT)
        writer.write(f"GET {path} HTTP/1.0\r\nHost: shop\r\nX-Rate-Limit-Exemption: {key}\r\n\r\n".encode())
        async with asyncio.timeout(30):
            head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        writer.close()
        return int(head[9:12] or 0), head.decode(), json.loads(body) if body else None

    return asyncio.run(ask())


@pytest.fixture
def shop(engine: PrivateEngine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    remove_everything(engine)
    environment = {name: _serve(engine, name.partition("_")[0].lower(), make) for name, make in IMAGES.items()}
    environment["APP_IMAGE"] = _serve(engine, "app", host_images.app)
    key = secrets.token_urlsafe(16)
    for name in ("postgres_password", "rate_limit_exemption", "ops_token"):
        engine.docker("secret", "create", name, "-", input=key if name == "rate_limit_exemption" else secrets.token_urlsafe(16))
    whole = {**engine.client_environment(), **environment}
    made = Shop(engine, Controller(whole, ROOT / "manifests", tmp_path_factory.mktemp("state")), whole, key)
    try:
        made.apply()
        made.wait(made.is_whole, "the stack as declared")
        made.seed()
        yield made
    finally:
        remove_everything(engine)


def _serve(engine: PrivateEngine, name: str, make: Callable[[], tuple[bytes, Any]]) -> str:
    reference = f"{engine.registry()}/shop/{name}:1"
    tar, changes = make()
    engine.docker("import", *(word for change in changes for word in ("--change", change)), "-", reference, input=tar)
    engine.docker("push", "--quiet", reference, timeout=300)
    return reference


def test_clients_get_their_answers_while_parts_of_the_shop_are_stopped_killed_and_replaced(
    shop: Shop, record_property: Callable[[str, object], None]
) -> None:
    docker = shop.engine.docker
    codes = [entry["short_code"] for entry in shop.get("/urls?per_page=100")[1] if entry["is_active"]]
    clients = Clients(shop.engine.address, shop.key, codes)
    clients.start()
    try:
        time.sleep(3)
        docker("kill", "--signal", "HUP", shop.container("nginx"))  # a reload
        time.sleep(3)
        docker("stop", shop.container("web"))  # by hand: Swarm does not take it out of the DNS before
        shop.wait(shop.is_whole, "three replicas after one was stopped")
        docker("service", "update", "--detach", "--env-add", "APP_CACHE_SECONDS=59", f"{STACK}_web")
        shop.wait(shop.is_whole, "three replicas after a rolling update")
        assert clients.failed == [], "a replica stopped or replaced costs nobody anything"
        docker("kill", shop.container("redis"))
        shop.wait(shop.is_whole, "Redis back")
        assert clients.failed == [], "the service goes on without Redis"
        docker("kill", shop.container("web"))
        shop.wait(shop.is_whole, "three replicas after one was killed")
        assert clients.failures("read", "redirect") == [], "reads are sent to another replica"
    finally:
        clients.stop()
    assert len(clients.failures("write")) <= WRITERS, "of writes, only those that the killed replica was at work on"
    assert min(clients.asked[kind] for kind in ("read", "redirect", "write")) > 50
    lasted = sorted(clients.lasted)
    record_property("shop, requests", sum(clients.asked.values()))
    record_property("shop, p95 in ms", round(lasted[int(len(lasted) * 0.95)] * 1000))

    docker("service", "scale", "--detach", f"{STACK}_web=0")
    shop.wait(lambda: shop.running("web") == 0, "the service away")
    status, head, _ = _get(shop.engine.address, f"/{codes[0]}", shop.key)
    assert (status, "X-Served: stale" in head) == (302, True), "nginx repeats what it knows"
