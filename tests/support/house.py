"""A whole controller in this process, over a simulated Swarm behind a unix socket that DOCKER_HOST names."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from controller.model.plan import ObjectKind
from controller.runtime import Controller
from controller.settings import Settings
from controller.simulator.engine import Simulator

SHOP = "services: {web: {image: nginx:1, deploy: {replicas: 2}}, db: {image: redis:7}}\n"
SERVICE = ObjectKind.SERVICE


class House:
    """A Swarm, a folder of manifests, and controllers that are started on them."""

    def __init__(self, folder: Path, sim: Simulator) -> None:
        self.folder, self.sim = folder, sim
        self.manifests = folder / "manifests"
        self.manifests.mkdir()
        self.declare(SHOP)

    def declare(self, text: str, stack: str = "shop") -> None:
        draft = self.manifests / f".{stack}.draft"
        draft.write_text(text)
        draft.rename(self.manifests / f"{stack}.yml")

    def settings(self, **given: Any) -> Settings:
        return Settings(
            **{"manifests": self.manifests, "journal": self.folder / "journal.db", "listen": f"127.0.0.1:{free_port()}", **given}
        )

    @asynccontextmanager
    async def running(self, **given: Any) -> AsyncIterator[Controller]:
        """A controller at work; it is stopped at the end, and must not have ended before."""
        async with AsyncExitStack() as cleanup:
            controller = await Controller.build(self.settings(**given), cleanup)
            await controller.serve(cleanup)
            stop = asyncio.Event()
            work = asyncio.create_task(controller.run(stop))
            try:
                yield controller
                assert not work.done()
            finally:
                stop.set()
                await work

    def image(self, name: str) -> str:
        image: str = self.sim.inspect(SERVICE, name)["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"]
        return image.partition("@")[0]

    def names(self) -> list[str]:
        return sorted(item["Spec"]["Name"] for item in self.sim.list_objects(SERVICE))

    @property
    def writes(self) -> list[str]:
        return [f"{call.site.operation} {call.site.target}" for call in self.sim.gate.writes()]


async def until(condition: Callable[[], object], what: str, *, seconds: float = 60.0) -> None:
    try:
        async with asyncio.timeout(seconds):
            while not condition():  # noqa: ASYNC110 - what is waited for tells nobody
                await asyncio.sleep(0.01)
    except TimeoutError:
        pytest.fail(f"not within {seconds} s: {what}")


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port
