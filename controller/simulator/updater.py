"""Swarm's rolling update: slot by slot, watching for failures, with pause or rollback. Written after swarmkit's updater.

It has no deadline: a task that never starts keeps an update `updating` for ever, as the real one does.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Any

from controller.model.spec import Json
from controller.simulator import placement
from controller.simulator.records import Service, Task, TaskState, UpdateState, UpdateStatus
from controller.simulator.restarts import Restarts
from controller.simulator.store import Store
from controller.simulator.timeline import NANO, Timer

DEFAULT_MONITOR = 5.0
_DEFAULT_CONFIG: Mapping[str, Any] = {"Parallelism": 1}
_UNDER_WAY = (UpdateState.UPDATING, UpdateState.ROLLBACK_STARTED)


def is_dirty(store: Store, service: Service, task: Task) -> bool:
    """Does the task differ from the service's spec in a way that replaces it?"""
    if task.spec_version == service.spec_version:
        return False
    if task.endpoint_spec != service.spec.get("EndpointSpec"):
        return True
    if task.spec == service.template:
        return False
    node = store.nodes.rows.get(task.node_id)
    only_placement = {**task.spec, "Placement": None} == {**service.template, "Placement": None}
    return not (only_placement and node is not None and placement.meets_constraints(service.template, node))


@dataclass(frozen=True, slots=True)
class Means:
    """What an updater works with."""

    store: Store
    restarts: Restarts
    new_task: Callable[[Service, int, str], Task]


class _Phase(Enum):
    DISPATCHING = auto()
    DRAINING = auto()  # no slot left to hand out: failures are looked at afterwards
    MONITORING = auto()
    OVER = auto()


class Updater:
    """One update of one service towards one spec."""

    def __init__(self, means: Means, service: Service, slots: Sequence[Sequence[Task]]) -> None:
        self.service = service
        self._means = means
        self._slots = deque(slot for slot in slots if len(slot) > 1 or is_dirty(means.store, service, slot[0]))
        self._total = len(self._slots)
        self._phase = _Phase.DISPATCHING
        self._rolls_back = service.update_status is not None and service.update_status.state is UpdateState.ROLLBACK_STARTED
        config: Json = service.spec.get("RollbackConfig" if self._rolls_back else "UpdateConfig") or _DEFAULT_CONFIG
        self._config = config
        self._monitor = config.get("Monitor", 0) / NANO or DEFAULT_MONITOR
        self._workers = config["Parallelism"] or self._total
        self._busy = 0
        self._started: dict[str, int | None] = {}  # task of this update -> when it came up; None: not yet
        self._awaited: dict[str, Sequence[Task]] = {}  # task that a worker waits for -> its slot
        self._failed: set[str] = set()
        self._unseen: list[Task] = []
        self._timers: list[Timer] = []

    @property
    def is_over(self) -> bool:
        return self._phase is _Phase.OVER

    def run(self) -> None:
        status = self.service.update_status
        if status is not None and status.state in (UpdateState.PAUSED, UpdateState.ROLLBACK_PAUSED):
            self._phase = _Phase.OVER
        elif not self._slots:
            self._phase = _Phase.OVER
            if status is not None and status.state in _UNDER_WAY:
                self._complete()
        else:
            if status is None:
                self._write_status(UpdateState.UPDATING, "update in progress", only_if_absent=True)
            self._dispatch()

    def cancel(self) -> None:
        """A newer spec has come; what was begun stays as it is."""
        self._phase = _Phase.OVER
        for timer in self._timers:
            timer.cancel()

    def task_written(self, task: Task) -> None:
        if self.is_over or task.id not in self._started:
            return
        if task.state >= TaskState.RUNNING and task.id in self._awaited:
            self._came_up(task)
        if task.has_ended and not self.is_over:
            if self._phase is _Phase.DRAINING:
                self._unseen.append(task)
            else:
                self._judge(task)

    # Workers

    def _dispatch(self) -> None:
        while self._phase is _Phase.DISPATCHING and self._slots and self._busy < self._workers:
            self._busy += 1
            self._replace(self._slots.popleft())
        if self._phase is _Phase.DISPATCHING and not self._slots:
            self._phase = _Phase.DRAINING
        if self._phase is _Phase.DRAINING and not self._busy:
            self._begin_monitoring()

    def _replace(self, slot: Sequence[Task]) -> None:
        store = self._means.store
        slot = [store.tasks[task.id] for task in slot if task.id in store.tasks]
        clean = [task for task in slot if not is_dirty(store, self.service, task) and task.desired <= TaskState.RUNNING]
        if not slot or self.service.id not in store.services.rows:
            self._free_worker()
        elif clean:
            self._use(max(clean, key=lambda task: task.desired), slot)
        else:
            self._start_new(slot)

    def _use(self, existing: Task, slot: Sequence[Task]) -> None:
        removed = self._remove([task for task in slot if task.id != existing.id])
        if existing.desired is TaskState.RUNNING:
            self._slot_done()
        else:
            self._means.restarts.delay_start(existing.id, removed, 0.0, self._slot_done)

    def _start_new(self, slot: Sequence[Task]) -> None:
        node_id = "" if slot[0].slot else slot[0].node_id
        fresh = replace(self._means.new_task(self.service, slot[0].slot, node_id), desired=TaskState.READY)
        self._started[fresh.id] = None
        self._awaited[fresh.id] = slot
        self._means.store.write_task(fresh)
        old = None if self._starts_first else self._remove(slot)
        self._means.restarts.delay_start(fresh.id, old, 0.0)

    def _came_up(self, task: Task) -> None:
        slot = self._awaited.pop(task.id)
        self._started[task.id] = self._means.store.timeline.now_ns
        if self._starts_first and task.is_up:
            self._remove(slot)
        self._slot_done()

    def _slot_done(self) -> None:
        if self.is_over:
            return
        delay = self._config.get("Delay", 0) / NANO
        self._timers.append(self._means.store.timeline.call_later(delay, self._free_worker))

    def _free_worker(self) -> None:
        self._busy -= 1
        self._dispatch()

    def _remove(self, slot: Sequence[Task]) -> Task | None:
        removed = None
        for task in slot:
            current = self._means.store.tasks.get(task.id)
            if current is not None and current.desired <= TaskState.RUNNING:
                removed = self._means.store.write_task(current, desired=TaskState.SHUTDOWN)
        return removed

    @property
    def _starts_first(self) -> bool:
        return self._config.get("Order") == "start-first"

    # Failures

    def _begin_monitoring(self) -> None:
        self._phase = _Phase.MONITORING
        for task in self._unseen:
            if self._phase is _Phase.MONITORING:
                self._judge(task)
        if self._phase is _Phase.MONITORING:
            self._timers.append(self._means.store.timeline.call_later(self._monitor, self._complete))

    def _judge(self, task: Task) -> None:
        """Follow the failure action if a task of this update ended within the monitor time."""
        action = self._config.get("FailureAction", "pause")
        started_ns = self._started[task.id]
        age = 0.0 if started_ns is None else (self._means.store.timeline.now_ns - started_ns) / NANO
        if action == "continue" or task.id in self._failed or age > self._monitor:
            return
        self._failed.add(task.id)
        if len(self._failed) / self._total <= self._config.get("MaxFailureRatio", 0):
            return
        cause = f"due to failure or early termination of task {task.id}"
        if action == "rollback" and self._rolls_back:
            self._give_up_rollback(f"rollback paused {cause}")
            return
        self.cancel()
        if action == "rollback":
            self._roll_back(f"update rolled back {cause}")
        else:
            paused = UpdateState.ROLLBACK_PAUSED if self._rolls_back else UpdateState.PAUSED
            self._write_status(paused, f"update paused {cause}")

    def _give_up_rollback(self, message: str) -> None:
        """A rollback is never rolled back: it pauses, and then the real updater forgets that and calls it completed."""
        self._write_status(UpdateState.ROLLBACK_PAUSED, message)
        if self._phase is _Phase.MONITORING:
            self._complete()
        else:
            self._slots.clear()
            self._dispatch()

    def _roll_back(self, message: str) -> None:
        service = self._current()
        if service is None or service.update_status is None:
            return
        status = replace(service.update_status, state=UpdateState.ROLLBACK_STARTED, message=message)
        if service.previous_spec is not None:
            self._means.store.write_service(
                replace(
                    service,
                    spec=service.previous_spec,
                    spec_version=service.previous_spec_version,
                    previous_spec=None,
                    previous_spec_version=0,
                    update_status=status,
                )
            )

    def _complete(self) -> None:
        self.cancel()
        service = self._current()
        status = service.update_status if service is not None else None
        if status is not None and status.state is UpdateState.ROLLBACK_STARTED:
            self._write_status(UpdateState.ROLLBACK_COMPLETED, "rollback completed")
        else:
            self._write_status(UpdateState.COMPLETED, "update completed")

    def _write_status(self, state: UpdateState, message: str, *, only_if_absent: bool = False) -> None:
        service = self._current()
        if service is None or (service.update_status is None) is not only_if_absent:
            return  # written anew meanwhile
        now = self._means.store.timeline.now_ns
        status = service.update_status or UpdateStatus(state=state, message=message, started_ns=now)
        done = state in (UpdateState.COMPLETED, UpdateState.ROLLBACK_COMPLETED)
        status = replace(status, state=state, message=message, completed_ns=now if done else status.completed_ns)
        self._means.store.write_service(replace(service, update_status=status))

    def _current(self) -> Service | None:
        return self._means.store.services.rows.get(self.service.id)
