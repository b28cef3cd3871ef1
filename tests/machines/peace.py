"""Eventually stable reconciliation: once nothing is broken and nobody edits, things come to rest as declared, and stay so."""

from __future__ import annotations

from functools import partial

from controller.core.replicas import TAKEN_BACK
from controller.model.revision import RevisionState
from controller.model.status import Health, ServiceStatus, Sync
from controller.simulator.records import Service
from tests.machines.ground import Ground
from tests.machines.laws import PAUSED, REFUSED, UNDER_WAY
from tests.machines.scenery import GOOD, HOPELESS, IMAGES
from tests.support.specs import STACK

BOUND_SECONDS = 900.0  # the longest a brake holds, the queue's longest pause, two deadlines and a rollout
HOLD_SECONDS = 120.0  # three resyncs and a monitor
_STEP_SECONDS = 15.0


def quiesce(ground: Ground) -> None:
    """Take away every fault; what is declared stays as it is."""
    ground.write_faults.clear()
    ground.races.clear()
    ground.list_faults.clear()
    ground.stale_lists.clear()
    ground.signals.is_bad = ground.signals.is_away = False
    ground.swarm.images.update(IMAGES)
    ground.swarm.bring_back()
    for process in ground.processes:
        ground.undisturb(process)
    for node in list(ground.swarm.store.nodes.rows.values()):
        ground.swarm.fail_node(node.hostname, noticed_after=1.0)  # who comes back pulls anew: what hung does not hang for ever
        ground.swarm.recover_node(node.hostname)
        ground.swarm.set_availability(node.hostname, "active")
    ground.pass_time(0.1)
    if not any(process.runs for process in ground.processes):
        ground.start(0)
    for target in sorted(ground.paused):
        ground.pause(target, paused=False)
    ground.paused.clear()


def keep_peace(ground: Ground) -> str:
    """Wait until all is as it should be and has been for HOLD_SECONDS without a write; returns why that never came."""
    began = calm_since = ground.swarm.now
    writes, why = ground.laws.counts["writes"], "it has just begun"
    while ground.swarm.now - began < BOUND_SECONDS + HOLD_SECONDS:
        ground.pass_time(_STEP_SECONDS)
        if ground.laws.violations:
            return ""
        before, why = writes, ground.inside(partial(discord, ground))
        writes = ground.laws.counts["writes"]
        if why or writes != before:
            calm_since = ground.swarm.now
            why = why or f"something is still written: {ground.swarm.ledger.writes[-1]}"
        elif ground.swarm.now - calm_since >= HOLD_SECONDS:
            return ""
    return why


def discord(ground: Ground) -> str:
    """The first service that is not as it should be, and why; empty when all are."""
    leader = next((item for item in ground.processes if item.is_well and item.may_write()), None)
    if leader is None:
        return "nobody leads"
    statuses = {status.name: status for status in leader.world.board.statuses()}
    for key in ground.wishes.services:
        status = statuses.get(f"{STACK}_{key}")
        why = _service(ground, key, status) if status else "nothing is told of it"
        if why:
            return f"{key}: {why} ({status})"
    if ground.wishes.prune:
        surplus = {row.name for row in ground.swarm.store.services.rows.values()} - statuses.keys()
        if surplus:
            return f"{surplus} should have been removed"
    return ""


def _service(ground: Ground, key: str, status: ServiceStatus) -> str:
    live, term = ground.live(key), ground.laws.term(key)
    is_held = "held since" in status.message
    if is_held:
        return "" if status.sync is Sync.OUT_OF_SYNC else "it is held and called synced"
    if "goes back from it" in status.message:  # Swarm found it bad itself, and what it goes back to does not come up
        is_so = live is not None and live.update_status and live.update_status.message.startswith(TAKEN_BACK)
        return "" if is_so and status.sync is Sync.OUT_OF_SYNC else "Swarm does not go back from it"
    if live is None:  # what is refused, and has nothing in its place, is not made anew
        return "" if "nothing earlier was stable" in status.message else "is not there"
    if why := _accounted_for(ground, key, live, status):
        return why
    if "so what runs is left as it is" in status.message:
        return ""
    if live.replicas != term.replicas:
        return f"has {live.replicas} replicas"
    return _runs(ground, live, status)


def _accounted_for(ground: Ground, key: str, live: Service, status: ServiceStatus) -> str:
    """Why what runs, or what is told of it, is not what it should be."""
    history = ground.laws.history(live.name)
    essences = [ground.laws.essence_of_kept(item) for item in history]
    essence, declared = ground.laws.essence(live.spec), ground.laws.term(key).essence
    refused = [item for item, kept in zip(history, essences, strict=True) if kept == declared and item.state in REFUSED]
    if not refused:
        if essence != declared:
            return "differs from what is declared, and that was never found bad"
        stable = [kept for item, kept in zip(history, essences, strict=True) if item.state is RevisionState.STABLE]
        if set(stable) - {declared} and live.image in HOPELESS and live.replicas:
            return "is bad, and what was stable before it does not come back"
        return "" if status.sync is Sync.SYNCED else "is as declared and not called so"
    if status.sync is Sync.SYNCED and essence == declared:
        return ""  # refused was another spec of the same essence
    if status.sync is not Sync.OUT_OF_SYNC or "is bad" not in status.message:
        return "what is declared was found bad and nobody is told"
    if refused[-1].target is not None and essence not in essences:
        return "what runs instead is no revision"
    return ""


def _runs(ground: Ground, live: Service, status: ServiceStatus) -> str:
    state = live.update_status.state if live.update_status is not None else None
    if state in UNDER_WAY:
        return "" if live.image not in GOOD else "is still updating"
    running = ground.swarm.running(live.name)
    if state in PAUSED and status.health is Health.DEGRADED and len(running) > live.replicas:
        return ""  # paused by a drain: with start-first Swarm leaves the old task beside the new one, and a person is told
    if live.image in GOOD and len(running) != live.replicas:
        return f"{len(running)} of {live.replicas} run"
    return "" if live.image in IMAGES else "its image is nobody's"
