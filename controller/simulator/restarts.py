"""Replacing tasks: whether, and how long to wait first. Written after swarmkit's restart supervisor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from controller.simulator.records import Service, Task, TaskState
from controller.simulator.store import Store
from controller.simulator.timeline import NANO, Timer

DEFAULT_DELAY = 5.0
OLD_TASK_TIMEOUT = 60.0  # how long a start waits for the task that it replaces to stop


@dataclass(slots=True)
class _DelayedStart:
    """A task held at `ready` until its delay is over and the old task has stopped."""

    on_done: Callable[[], None] | None
    timers: list[Timer]
    old_task_id: str | None  # still to stop; None: nothing to wait for
    delay_over: bool = False
    restart_again: bool = False  # it ended before it ever started: restart once the delay is over


class Restarts:
    def __init__(self, store: Store, new_task: Callable[[Service, Task], Task]) -> None:
        self._store = store
        self._new_task = new_task  # makes the replacement of a task, unsaved
        self._delayed: dict[str, _DelayedStart] = {}
        self._waiting_for: dict[str, str] = {}  # old task id -> the task that waits for it
        self._history: dict[tuple[str, int | str], list[int]] = {}  # (service, slot) -> restart times of its current spec
        self._history_spec: dict[tuple[str, int | str], int] = {}

    def restart(self, service: Service, task: Task) -> None:
        """Shut a task down and put a new one in its place, if its policy says so."""
        delayed = self._delayed.get(task.id)
        if delayed is not None:
            delayed.restart_again = True
            return
        if task.desired > TaskState.COMPLETE:
            return
        task = self._store.write_task(task, desired=TaskState.SHUTDOWN)
        if not self.should_restart(task):
            return
        fresh = self._store.write_task(self._new_task(service, task), desired=TaskState.READY)
        self._record(fresh)
        node = self._store.nodes.rows.get(task.node_id)
        drained = node is not None and node.spec["Availability"] == "drain"
        lost = node is not None and node.state == "down"
        delay = 0.0 if drained else _delay(task)
        old = None if lost or task.has_ended else task
        self.delay_start(fresh.id, old, delay)

    def should_restart(self, task: Task) -> bool:
        policy = task.spec.get("RestartPolicy") or {}
        condition = policy.get("Condition", "any")
        if condition == "none" or (condition == "on-failure" and task.state is TaskState.COMPLETE):
            return False
        attempts: int = policy.get("MaxAttempts", 0)
        slot = (task.service_id, task.slot_key)
        if not attempts or self._history_spec.get(slot) != task.spec_version:
            return True
        window = policy.get("Window", 0)
        times = self._history[slot]
        if window:
            times = [at for at in times if at > task.status_ns - window]
        return len(times) < attempts

    def delay_start(self, task_id: str, old: Task | None, delay: float, on_done: Callable[[], None] | None = None) -> None:
        """Move a task from ready to running after `delay` seconds and the end of `old`; then call back."""
        self.cancel(task_id)
        waits = old is not None and not old.has_ended
        entry = _DelayedStart(on_done, [], old.id if old is not None and waits else None)
        self._delayed[task_id] = entry
        if old is not None and waits:
            self._waiting_for[old.id] = task_id
            entry.timers.append(self._store.timeline.call_later(max(delay, OLD_TASK_TIMEOUT), lambda: self._old_stopped(old.id)))
        # A start without any wait still comes after the write that asked for it.
        entry.timers.append(self._store.timeline.call_later(max(delay, 0.0), lambda: self._delay_over(task_id)))

    def task_written(self, new: Task) -> None:
        if new.has_ended and new.id in self._waiting_for:
            self._old_stopped(new.id)

    def task_dropped(self, task_id: str) -> None:
        self._old_stopped(task_id)
        self.cancel(task_id)

    def node_lost(self, node_id: str) -> None:
        for task in self._store.tasks_of_node(node_id):
            self._old_stopped(task.id)

    def cancel(self, task_id: str) -> None:
        entry = self._delayed.pop(task_id, None)
        if entry is None:
            return
        for timer in entry.timers:
            timer.cancel()
        if entry.old_task_id is not None:
            self._waiting_for.pop(entry.old_task_id, None)

    def forget_service(self, service_id: str) -> None:
        for slot in [slot for slot in self._history if slot[0] == service_id]:
            del self._history[slot], self._history_spec[slot]

    def _old_stopped(self, old_task_id: str) -> None:
        task_id = self._waiting_for.pop(old_task_id, None)
        if task_id is None:
            return
        self._delayed[task_id].old_task_id = None
        self._start_if_due(task_id)

    def _delay_over(self, task_id: str) -> None:
        self._delayed[task_id].delay_over = True
        self._start_if_due(task_id)

    def _start_if_due(self, task_id: str) -> None:
        entry = self._delayed[task_id]
        if not entry.delay_over or entry.old_task_id is not None:
            return
        self.cancel(task_id)
        task = self._store.tasks.get(task_id)
        if task is not None and entry.restart_again:
            service = self._store.services.rows.get(task.service_id)
            if service is not None and task.desired <= TaskState.RUNNING:
                self.restart(service, task)
        elif task is not None and task.desired < TaskState.RUNNING:
            self._store.write_task(task, desired=TaskState.RUNNING)
        if entry.on_done is not None:
            entry.on_done()

    def _record(self, fresh: Task) -> None:
        if not (fresh.spec.get("RestartPolicy") or {}).get("MaxAttempts", 0):
            return
        slot = (fresh.service_id, fresh.slot_key)
        if self._history_spec.get(slot) != fresh.spec_version:
            self._history[slot] = []
            self._history_spec[slot] = fresh.spec_version
        self._history[slot].append(self._store.timeline.now_ns)


def _delay(task: Task) -> float:
    given = (task.spec.get("RestartPolicy") or {}).get("Delay")
    return DEFAULT_DELAY if given is None else given / NANO
