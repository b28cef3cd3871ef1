"""Edits of declarations and what operators order: rotation, prune, rollback, pause."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from controller.adapters.files import load_files
from controller.core.images import Resolve
from controller.core.planner import Options
from controller.core.state import STATE_NAME
from controller.engine.pausing import set_paused
from controller.model.plan import ObjectKind
from controller.model.policy import RollbackPolicy, ServicePolicy, StackPolicy
from controller.model.spec import DesiredStack
from controller.model.status import Health, Sync
from controller.simulator.behaviour import CRASHING
from controller.sources.manifests import Manifests
from tests.integration.test_healing import WEB, shop, with_env
from tests.support.rig import Rig
from tests.support.specs import content, mounted, network, service, stack

pytestmark = pytest.mark.looptime
ROLLBACK: dict[str, Any] = {"UpdateConfig": {"Parallelism": 1, "FailureAction": "rollback", "Monitor": 5_000_000_000}}
CONFIG, SECRET, NETWORK, SERVICE = ObjectKind.CONFIG, ObjectKind.SECRET, ObjectKind.NETWORK, ObjectKind.SERVICE


async def test_an_edit_restarts_what_it_changes_and_nothing_else() -> None:
    async with Rig(stack(service("web", Mode=WEB), service("db"))) as rig:
        await rig.settle()
        before = {task.id for task in rig.sim.running("shop_db")}
        rig.declare(stack(service("web", Mode=WEB, container={"Env": ["A=2"]}), service("db")))
        await asyncio.sleep(60)

        assert rig.writes == ["update service/shop_web"]
        assert {task.id for task in rig.sim.running("shop_db")} == before
        assert rig.status("shop_web").health is Health.HEALTHY


async def test_there_and_back_again_takes_two_writes() -> None:
    first, second = shop(), stack(*shop(labels={"tier": "x"}).services.values(), networks=[network()])
    async with Rig(first) as rig:
        await rig.settle()
        spec = rig.spec("shop_web")
        rig.declare(second)
        await asyncio.sleep(30)
        rig.declare(first)
        await asyncio.sleep(30)

        assert rig.writes == ["update service/shop_web"] * 2
        assert rig.spec("shop_web") == spec


def using(data: bytes) -> DesiredStack:
    """A stack whose one service uses a config and a secret of that content."""
    uses = {"Configs": [mounted("Config", "shop_c", "/c")], "Secrets": [mounted("Secret", "shop_s", "s")]}
    policy = ServicePolicy(rollback=RollbackPolicy(keep=2))
    return stack(
        service("web", container=uses, policy=policy), configs=[content("shop_c", data)], secrets=[content("shop_s", data)]
    )


async def test_contents_rotate_with_their_service_and_old_versions_are_collected() -> None:
    async with Rig(using(b"one")) as rig:
        await rig.settle()
        assert rig.names(CONFIG) == [STATE_NAME, "shop_c"]
        rig.declare(using(b"two"))
        await asyncio.sleep(60)

        assert sorted(write.partition("-")[0] for write in rig.writes) == [
            "create config/shop_c",
            "create secret/shop_s",
            "update service/shop_web",
        ]
        container = rig.spec("shop_web")["TaskTemplate"]["ContainerSpec"]
        assert container["Configs"][0]["ConfigName"].startswith("shop_c-")
        assert container["Secrets"][0]["SecretName"].startswith("shop_s-")
        rig.declare(using(b"three"))
        await asyncio.sleep(90)

        current = rig.spec("shop_web")["TaskTemplate"]["ContainerSpec"]["Configs"][0]["ConfigName"]
        kept = rig.live("shop_web")["PreviousSpec"]["TaskTemplate"]["ContainerSpec"]["Configs"][0]["ConfigName"]
        assert [revision.number for revision in rig.revisions()] == [2, 3]
        assert rig.names(CONFIG) == sorted([STATE_NAME, current, kept])
        assert "shop_c" not in rig.names(CONFIG)
        assert len(rig.names(SECRET)) == 2
        assert rig.status("shop_web").sync is Sync.SYNCED


async def test_a_secret_that_docker_made_rotates_after_its_file_changed_while_the_controller_was_down() -> None:
    first = Rig()
    secret = first.sim.create(SECRET, {"Name": "shop_s", "Labels": {"com.docker.stack.namespace": "shop"}, "Data": "b25l"})
    reference = mounted("Secret", "shop_s", "s", SecretID=secret)
    body = dict(using(b"one").services["web"].body)
    config = first.sim.create(CONFIG, {**using(b"one").configs["shop_c"].body})
    body["TaskTemplate"] = {
        **body["TaskTemplate"],
        "ContainerSpec": {
            **body["TaskTemplate"]["ContainerSpec"],
            "Secrets": [reference],
            "Configs": [mounted("Config", "shop_c", "/c", ConfigID=config)],
        },
    }
    first.sim.create(SERVICE, body)
    journal = first.journal
    async with Rig(using(b"one"), sim=first.sim, journal=journal) as rig:
        await asyncio.sleep(60)
        assert rig.writes == []  # adopted
    async with Rig(using(b"two"), sim=first.sim, journal=journal) as rig:
        await asyncio.sleep(60)

        name = rig.spec("shop_web")["TaskTemplate"]["ContainerSpec"]["Secrets"][0]["SecretName"]
        assert name.startswith("shop_s-")
        assert base64.b64encode(b"two").decode() not in json.dumps(journal.kept)


@pytest.mark.parametrize("prune", [True, False])
async def test_what_is_not_declared_any_more_goes_only_with_prune(*, prune: bool) -> None:
    policy = StackPolicy(prune=prune)
    attached = {"Networks": [{"Target": "shop_old"}]}
    old = service("old", task=attached, container={"Configs": [mounted("Config", "shop_c")]})
    async with Rig(stack(service("web"), old, networks=[network("shop_old")], configs=[content("shop_c")])) as rig:
        rig.sim.create(SERVICE, {"Name": "stranger", "TaskTemplate": {"ContainerSpec": {"Image": "nginx:1"}}})
        await rig.settle()
        rig.declare(stack(service("web"), policy=policy))
        await asyncio.sleep(120)

        if prune:
            assert rig.writes == ["remove service/shop_old", "remove network/shop_old", "remove config/shop_c"]
            assert rig.names(SERVICE) == ["shop_web", "stranger"]
        else:
            assert rig.writes == []
            assert "shop_old" in rig.names(SERVICE)


async def test_prune_takes_services_only_once_something_declared_is_there() -> None:
    async with Rig(stack(service("web"), service("db"))) as rig:
        await rig.settle()
        rig.declare(stack(service("renamed"), policy=StackPolicy(prune=True)))
        await asyncio.sleep(120)

        assert rig.writes[0] == "create service/shop_renamed"  # before anything goes, something of the stack is there
        assert rig.names(SERVICE) == ["shop_renamed"]


async def test_a_revision_that_swarm_rolled_back_is_not_tried_again_until_another_is_declared() -> None:

    def declared(image: str) -> DesiredStack:
        return stack(service("web", image, Mode=WEB, **ROLLBACK))

    async with Rig(declared("nginx:1")) as rig:
        rig.sim.images["nginx:2"] = CRASHING
        await rig.settle()
        rig.declare(declared("nginx:2"))
        await asyncio.sleep(600)

        assert rig.writes == ["update service/shop_web"]
        assert rig.spec("shop_web")["TaskTemplate"]["ContainerSpec"]["Image"] == "nginx:1"
        assert rig.status("shop_web").sync is Sync.OUT_OF_SYNC
        assert "it was rolled back in Swarm" in rig.status("shop_web").message
        rig.declare(declared("nginx:3"))
        await asyncio.sleep(60)

        assert rig.writes == ["update service/shop_web"] * 2
        assert len(rig.sim.running("shop_web")) == 3


async def test_a_rejected_revision_is_remembered_by_the_next_controller() -> None:
    async with Rig(stack(service("web", Mode=WEB, **ROLLBACK))) as rig:
        rig.sim.images["nginx:2"] = CRASHING
        await rig.settle()
        rig.declare(stack(service("web", "nginx:2", Mode=WEB, **ROLLBACK)))
        await asyncio.sleep(120)
    async with Rig(stack(service("web", "nginx:2", Mode=WEB, **ROLLBACK)), sim=rig.sim) as after:  # with an empty journal
        after.forget()
        await asyncio.sleep(300)

        assert after.writes == []


async def test_what_is_paused_is_watched_and_not_written_until_it_is_resumed() -> None:
    async with Rig(shop()) as rig:
        await rig.settle()
        await set_paused(rig.swarm, rig.clock, "shop/web", paused=True)
        await asyncio.sleep(1)
        rig.forget()
        rig.sim.remove(SERVICE, "shop_web")
        rig.edit("shop_db", lambda spec: with_env(spec, "X=1"))
        await asyncio.sleep(60)

        assert rig.writes == ["update service/shop_db"]
        assert rig.status("shop_web").health is Health.MISSING
        rig.forget()
        await set_paused(rig.swarm, rig.clock, "shop/web", paused=False)
        await asyncio.sleep(5)

        assert rig.writes == [f"update config/{STATE_NAME}", "create service/shop_web"]


async def test_an_image_is_pinned_and_comes_back_as_it_was() -> None:
    async with Rig(shop(), options=Options(resolve=Resolve.CHANGED)) as rig:
        await rig.settle()
        pinned = rig.spec("shop_web")["TaskTemplate"]["ContainerSpec"]["Image"]
        rig.sim.remove(SERVICE, "shop_web")
        rig.fault = lambda site: pytest.fail("the registry was asked") if site.operation == "resolve" else None
        await asyncio.sleep(30)

        assert pinned.startswith("nginx:1@sha256:")
        assert rig.spec("shop_web")["TaskTemplate"]["ContainerSpec"]["Image"] == pinned


# Manifests.

MANIFEST = """
services:
  web:
    image: nginx:1
    environment: [A={value}]
    deploy: {{endpoint_mode: dnsrr}}
"""


class Watched:
    """A manifest in a folder, and a watcher that tells when the test says so."""

    def __init__(self, rig: Rig, folder: Path) -> None:
        self.path, self.rig = folder / "shop.yml", rig
        self._changes: asyncio.Queue[None] = asyncio.Queue()
        self._source = Manifests(
            folder, lambda path, name: load_files([str(path)], stack=name), rig.declarations, rig.queue, rig.recorder
        )
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        await self._source.read_all()
        self._task = asyncio.create_task(self._source.run(self._told(), resync_seconds=30))

    async def stop(self) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def write(self, text: str | None, *, told: bool = True) -> None:
        if text is None:
            self.path.unlink()
        else:
            self.path.write_text(text)
        if told:
            self._changes.put_nowait(None)
        await asyncio.sleep(60)

    async def _told(self) -> AsyncIterator[object]:
        while True:
            await self._changes.get()
            yield "an edit"


async def test_a_manifest_is_followed_broken_kept_and_followed_again(tmp_path: Path) -> None:
    async with Rig() as rig:
        manifest = Watched(rig, tmp_path)
        manifest.path.write_text(MANIFEST.format(value=1))
        await manifest.start()
        await rig.settle()
        await manifest.write(MANIFEST.format(value=2))
        assert rig.writes == ["update service/shop_web"]
        assert rig.spec("shop_web")["TaskTemplate"]["ContainerSpec"]["Env"] == ["A=2"]

        rig.forget()
        for broken in ("services: {web: {image: [", "", "services: {}\nnonsense: 1\n"):
            await manifest.write(broken)
        rig.sim.remove(SERVICE, "shop_web")  # the last good reading is still in force
        await asyncio.sleep(10)
        assert rig.writes == ["create service/shop_web"]
        assert rig.recorder.broken_manifests == 1
        assert "shop" in rig.declarations.errors

        rig.forget()
        await manifest.write(MANIFEST.format(value=3), told=False)  # the watcher missed it
        assert rig.writes == ["update service/shop_web"]
        assert rig.recorder.broken_manifests == 0
        await manifest.stop()


async def test_a_manifest_that_goes_away_stops_nothing_and_leaves_the_board(tmp_path: Path) -> None:
    async with Rig() as rig:
        manifest = Watched(rig, tmp_path)
        manifest.path.write_text(MANIFEST.format(value=1))
        await manifest.start()
        await rig.settle()
        assert rig.posted() == ["shop_web"]
        await manifest.write(None)

        assert rig.writes == []
        assert rig.names(SERVICE) == ["shop_web"]
        assert rig.posted() == []
        assert rig.recorder.stacks["shop"] == []
        await manifest.stop()


async def test_a_service_that_leaves_the_manifest_leaves_the_board(tmp_path: Path) -> None:
    async with Rig() as rig:
        manifest = Watched(rig, tmp_path)
        manifest.path.write_text(MANIFEST.format(value=1) + "  db: {image: redis:7}\n")
        await manifest.start()
        await rig.settle()
        assert rig.posted() == ["shop_db", "shop_web"]
        await manifest.write(MANIFEST.format(value=1))

        assert rig.posted() == ["shop_web"]
        await manifest.stop()
