"""The composition root: builds the adapters, starts the named tasks, drains on SIGTERM."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import secrets
import signal
import socket
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from urllib.parse import unquote, urlsplit

from aiohttp import web
from watchfiles import awatch

from controller.adapters.allocator import return_large_blocks
from controller.adapters.files import load_files
from controller.adapters.journal import SqliteJournal
from controller.adapters.logs import Redactor, configure_logging
from controller.adapters.metrics import Metrics
from controller.adapters.prometheus import Prometheus
from controller.adapters.swarm import DockerSwarm, Endpoint, resolve_endpoint
from controller.core.by_hand import Entry, Release, Rollback, history_of
from controller.core.planner import Options
from controller.engine.board import Board
from controller.engine.by_hand import declared_by, release, roll_back
from controller.engine.clock import LeaseClock, SystemClock
from controller.engine.declarations import Declarations
from controller.engine.executor import Executor
from controller.engine.guards import Guards
from controller.engine.incidents import Incidents
from controller.engine.leader import Leader
from controller.engine.loop import Loop, run_workers
from controller.engine.memory import Memory
from controller.engine.observer import Observer, full_snapshot
from controller.engine.pausing import set_paused
from controller.engine.planning import plan_stack
from controller.engine.ports import Clock
from controller.engine.reconciler import Reconciler
from controller.engine.rollouts import Rollouts
from controller.engine.signals import SignalWatch
from controller.engine.workqueue import WorkQueue
from controller.engine.world import World
from controller.errors import JournalError, ProdBreakerError, SettingsError
from controller.model.incident import Incident, IncidentState
from controller.model.plan import ObjectKind, Plan
from controller.model.policy import AlertAction
from controller.model.spec import DesiredService, DesiredStack
from controller.model.status import Key, ServiceStatus, Sync
from controller.settings import Settings
from controller.sources.docker_events import DockerEvents
from controller.sources.manifests import Manifests
from controller.sources.resync import resync
from controller.web import make_app, make_runner

log = logging.getLogger("prodbreaker.runtime")

DRAIN_SECONDS = 8.0  # promised are ten from SIGTERM to the end of the process
_JITTER = 0.1
_SHORTEST_SECRET = 8  # bytes; to mask a short word would blot out every service that is called like it


def run_controller(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT. Raises ProdBreakerError when it cannot start."""
    return_large_blocks()
    asyncio.run(_run(settings))


async def _run(settings: Settings) -> None:
    async with AsyncExitStack() as cleanup:
        controller = await Controller.build(settings, cleanup)
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await controller.serve(cleanup)
        await controller.run(stop)


class Controller:
    """The parts, wired; answers what the web asks (controller.web.ports)."""

    def __init__(
        self,
        settings: Settings,
        world: World,
        swarm: DockerSwarm,
        recorder: Metrics,
        redactor: Redactor,
        watch: SignalWatch,
        incidents: Incidents,
        leader: Leader | None,
    ) -> None:
        self._settings, self._world, self._swarm, self._recorder, self._watch = settings, world, swarm, recorder, watch
        self._incidents, self._leader = incidents, leader
        if leader is None:
            recorder.leads(leads=True)
        else:
            leader.on_change = self._follow
        self._queue = WorkQueue(jitter=jittered)
        self._loop = Loop(self._queue, Reconciler(world), world.observer, recorder)
        self._events = DockerEvents(
            swarm, self._queue, world.declarations, world.observer, recorder, world.clock, jitter=jittered
        )
        load = partial(_load, redactor, is_measured=bool(settings.prometheus))
        self._manifests = Manifests(settings.manifests, load, world.declarations, self._queue, recorder)

    @classmethod
    async def build(cls, settings: Settings, cleanup: AsyncExitStack) -> Controller:
        """Open everything that the controller stands on; `cleanup` closes it again, in reverse."""
        token = settings.bearer_token()
        redactor = Redactor()
        redactor.hide([token] if token else [])
        configure_logging(settings.log_level, redactor)
        if not settings.manifests.is_dir():
            raise SettingsError(f"PRODBREAKER_MANIFESTS: {settings.manifests} is not a folder")
        clock, recorder = SystemClock(), Metrics()
        journal = SqliteJournal(settings.journal)
        cleanup.push_async_callback(journal.close)
        memory, incidents = Memory(journal), Incidents(journal, recorder, clock)
        try:
            await journal.open()
            await memory.load()
            await incidents.load()
        except JournalError as error:
            log.error("journal", extra={"fields": {"reason": str(error)}})  # noqa: TRY400 - it goes on without memories
        endpoint = resolve_endpoint(os.environ)
        leader = contender(settings, endpoint, recorder, cleanup)
        may_write = leader.may_write if leader else _alone
        swarm = DockerSwarm(endpoint, on_call=recorder.api_call, may_write=may_write, workers=settings.workers)
        cleanup.push_async_callback(swarm.close)
        watch = measurements(settings, redactor, clock, cleanup)
        world = World(
            swarm=swarm,
            observer=Observer(swarm),
            declarations=Declarations(),
            memory=memory,
            executor=Executor(swarm, clock, concurrency=settings.workers, with_registry_auth=settings.with_registry_auth),
            rollouts=Rollouts(swarm, clock, watch),
            incidents=incidents,
            guards=Guards(swarm, clock, recorder, max_changes=settings.max_changes),
            board=Board(),
            journal=journal,
            recorder=recorder,
            clock=clock,
            options=Options(resolve=settings.resolve_image, prune=settings.prune, own_stack=settings.own_stack),
            leads=may_write,
        )
        return cls(settings, world, swarm, recorder, redactor, watch, incidents, leader)

    async def serve(self, cleanup: AsyncExitStack) -> None:
        """Open the HTTP interface. Raises SettingsError when its address cannot be had."""
        host, _, port = self._settings.listen.rpartition(":")
        app = make_app(
            self,
            token=self._settings.bearer_token(),
            registry=self._recorder.registry,
            loopback_only=host in ("127.0.0.1", "localhost", "[::1]"),
        )
        runner = make_runner(app)
        await runner.setup()
        cleanup.push_async_callback(runner.cleanup)
        try:
            await web.TCPSite(runner, host.strip("[]"), int(port)).start()
        except OSError as error:
            raise SettingsError(f"PRODBREAKER_LISTEN: {self._settings.listen} cannot be listened on: {error}") from error

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop`, then let the passes under way end and take no more."""
        await self._manifests.read_all()
        if not self._world.declarations.errors:  # else what cannot be read would count as declared no more
            stacks = self._world.declarations.stacks.values()
            self._incidents.retain([service.name for stack in stacks for service in stack.services.values()])
        log.info("started", extra={"fields": {"stacks": sorted(self._world.declarations.stacks)}})
        seconds = self._settings.resync_seconds
        eternal = {
            "docker-events": self._events.run(),  # tells within milliseconds that something changed
            "manifests": self._manifests.run(_changes(self._settings.manifests, stop), resync_seconds=seconds),
            "resync": resync(self._queue, self._world.declarations, seconds=seconds, jitter=later),  # finds what was missed
            "guards": self._world.guards.run(),  # writes down what must outlive this process
        }
        tasks = [asyncio.create_task(task, name=name) for name, task in eternal.items()]
        workers = asyncio.create_task(run_workers(self._loop, self._settings.workers), name="workers")
        election = [asyncio.create_task(self._leader.run(), name="lease")] if self._leader else []
        stopped = asyncio.create_task(stop.wait(), name="stop")
        done, _ = await asyncio.wait([*tasks, *election, workers, stopped], return_when=asyncio.FIRST_COMPLETED)
        await self._drain([*tasks, stopped], workers)
        await self._step_down(election)
        for task in done - {stopped}:  # one that should never end did
            task.result()
            raise RuntimeError(f"the task {task.get_name()} ended by itself")

    async def _drain(self, tasks: Sequence[asyncio.Task[object]], workers: asyncio.Task[None]) -> None:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._queue.close()
        _, late = await asyncio.wait([workers], timeout=DRAIN_SECONDS)
        if late:
            log.warning("passes cut short", extra={"fields": {"seconds": DRAIN_SECONDS}})
            workers.cancel()
            await asyncio.gather(workers, return_exceptions=True)
        await self._world.guards.flush()
        try:
            await self._world.memory.save()
            await self._incidents.save()
        except JournalError as error:
            log.error("journal", extra={"fields": {"reason": str(error)}})  # noqa: TRY400 - a full disk is no bug to trace
        log.info("stopped")

    async def _step_down(self, election: Sequence[asyncio.Task[None]]) -> None:
        """After the last pass, since those under way go on to write: the lease is renewed until then."""
        for task in election:
            task.cancel()
        await asyncio.gather(*election, return_exceptions=True)
        if self._leader:
            await self._leader.release()

    def _follow(self, leads: bool) -> None:
        """Whoever begins to lead looks at everything anew: what was seen before may be what the one before it has changed."""
        if leads:
            self._world.observer.forget_all()
            for key in self._world.declarations.keys():  # noqa: SIM118 - a method of its own, not a mapping's
                self._queue.add(key, reason="leads now")

    # What the web asks.

    def leads(self) -> bool:
        return self._leader is None or self._leader.leads

    def leader(self) -> str:
        return self._leader.leader if self._leader else ""

    def readiness(self) -> Mapping[str, bool]:
        keys = self._world.declarations.keys()
        return {
            "first pass done": self._loop.has_passed(keys),
            "event stream up": self._events.is_up,
            "journal writable": self._world.journal.writable,
        }

    def statuses(self) -> Sequence[ServiceStatus]:
        """As the last passes saw them; where engine or manifest cannot be read, sync is not known."""
        board, declarations = self._world.board, self._world.declarations
        blind = declarations.stacks if self._loop.is_engine_away else declarations.errors
        unknown = {
            service.name
            for name in blind
            if name in declarations.stacks
            for service in declarations.stacks[name].services.values()
        }
        return [replace(item, sync=Sync.UNKNOWN) if item.name in unknown else item for item in board.statuses()]

    def stacks(self) -> Mapping[str, str]:
        """By stack, what is wrong with its manifest; empty when nothing is."""
        declarations = self._world.declarations
        return {
            name: declarations.errors.get(name, "") for name in sorted(declarations.stacks.keys() | declarations.errors.keys())
        }

    def open_incidents(self) -> Sequence[Incident]:
        return self._incidents.open_ones()

    async def incidents(self, *, limit: int, service: str | None, states: Collection[IncidentState]) -> Sequence[Incident]:
        return await self._incidents.recent(limit=limit, service=service, states=states)

    async def incident(self, number: int) -> Incident | None:
        return await self._incidents.get(number)

    def owner(self, service_name: str) -> Key | None:
        return self._world.declarations.owner(service_name)

    async def plans(self) -> Sequence[Plan]:
        world = self._world
        observer, now = Observer(self._swarm), asyncio.get_running_loop().time()
        return [
            await plan_stack(self._swarm, observer, world.memory, stack, world.options, since=now)
            for _, stack in sorted(world.declarations.stacks.items())
        ]

    async def pause(self, target: str) -> None:
        await self._set_paused(target, paused=True)

    async def resume(self, target: str) -> None:
        await self._set_paused(target, paused=False)
        for key in self._world.declarations.keys():  # noqa: SIM118 - a method of its own, not a mapping's
            if target in (key.stack, str(key)):
                self._queue.add(Key(key.stack, key.service), reason="resumed")

    async def _set_paused(self, target: str, *, paused: bool) -> None:
        await set_paused(self._swarm, self._world.clock, target, paused=paused)
        self._world.observer.invalidate(ObjectKind.CONFIG)  # the next pass obeys, whether or not the event stream tells of it

    async def history(self, service: str) -> Sequence[Entry]:
        return history_of(service, await full_snapshot(self._swarm))

    async def roll_back(self, key: Key, *, to: int | None) -> Rollback:
        desired, service = self._found(key)
        order = await roll_back(self._swarm, self._world.memory, desired, service, self._world.options, to=to)
        self._ordered(key, "rolled back by hand")
        return order

    async def release(self, key: Key) -> Release:
        desired, service = self._found(key)
        declared = declared_by(self._world.memory, desired, service, self._world.options)
        order = await release(self._swarm, service.name, declared=declared)
        self._ordered(key, "released by hand")
        return order

    def _found(self, key: Key) -> tuple[DesiredStack, DesiredService]:
        found = self._world.declarations.find(key)
        if found is None or found[1] is None:
            raise ProdBreakerError(f"{key} is not declared any more")
        return found[0], found[1]

    def _ordered(self, key: Key, reason: str) -> None:
        """The next pass obeys, whether or not the event stream tells of it."""
        self._world.observer.invalidate(ObjectKind.CONFIG)
        self._queue.add(key, reason=reason)


def jittered(seconds: float) -> float:
    """A delay that differs from controller to controller."""
    return seconds * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311 - spreads load, guards nothing


def later(seconds: float) -> float:
    """A period that differs from controller to controller and never falls short: calls at rest are counted by the minute."""
    return seconds * random.uniform(1, 1 + _JITTER)  # noqa: S311 - as above


def measurements(settings: Settings, redactor: Redactor, clock: Clock, cleanup: AsyncExitStack) -> SignalWatch:
    """The watch over conditions and alerts; without an address of Prometheus it measures nothing. Raises SettingsError."""
    token = settings.prometheus_token()
    if not settings.prometheus:
        return SignalWatch(None, clock)
    password = urlsplit(settings.prometheus).password or ""
    redactor.hide(secret for secret in (token, password, unquote(password)) if secret)
    prometheus = Prometheus(settings.prometheus, token=token)
    cleanup.push_async_callback(prometheus.close)
    return SignalWatch(prometheus, clock)


def contender(settings: Settings, endpoint: Endpoint, recorder: Metrics, cleanup: AsyncExitStack) -> Leader | None:
    """This controller's part in the election, None without a lease. On threads of its own: no other call delays a renewal."""
    seconds = settings.lease_seconds
    if not seconds:
        return None
    swarm = DockerSwarm(endpoint, on_call=recorder.api_call, workers=2, call_seconds=seconds / 4)
    cleanup.push_async_callback(swarm.close)
    holder = f"{socket.gethostname()}-{secrets.token_hex(4)}"
    return Leader(swarm, LeaseClock(), recorder, holder=holder, seconds=seconds, jitter=jittered)


def _alone() -> bool:
    return True


def _load(redactor: Redactor, path: Path, name: str, *, is_measured: bool) -> DesiredStack:
    """Read a manifest. The controller's own settings are none of its business, and no log will show its secrets."""
    environment = {key: text for key, text in os.environ.items() if not key.startswith("PRODBREAKER_")}
    stack = load_files([str(path)], stack=name, environment=environment)
    redactor.hide(secret.content for secret in stack.secrets.values() if len(secret.content) >= _SHORTEST_SECRET)
    if not is_measured and (unasked := [service.name for service in stack.services.values() if _wants_measurements(service)]):
        fields = {"stack": name, "services": unasked, "reason": "PRODBREAKER_PROMETHEUS is not set"}
        log.warning("conditions are not asked", extra={"fields": fields})
    return stack


def _wants_measurements(service: DesiredService) -> bool:
    policy = service.policy
    return bool(policy.rollback.conditions) or any(rule.action is AlertAction.ROLLBACK for rule in policy.alerts)


async def _changes(directory: Path, stop: asyncio.Event) -> AsyncIterator[object]:
    """One item per burst of edits; a folder that cannot be watched leaves everything to the resync."""
    while not stop.is_set():
        try:
            async for changes in awatch(directory, stop_event=stop, debounce=200, recursive=True):
                yield changes
        except OSError as error:
            log.warning("manifests not watched", extra={"fields": {"reason": str(error)}})
            await asyncio.sleep(60.0)
