"""Keeps a service's tasks at what its spec asks for: creates, scales, replaces the failed, follows the nodes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from controller.model.spec import Json
from controller.simulator import placement
from controller.simulator.records import TASK_HISTORY_LIMIT, Mode, Node, Service, Task, TaskState, UpdateState
from controller.simulator.restarts import Restarts
from controller.simulator.store import Store
from controller.simulator.updater import Means, Updater

TICK_SECONDS = 0.001  # from a write to the manager's reaction
REAP_SECONDS = 0.25


class Orchestrator:
    def __init__(self, store: Store) -> None:
        self._store = store
        self.restarts = Restarts(store, lambda service, old: self.new_task(service, old.slot, "" if old.slot else old.node_id))
        self._means = Means(store, self.restarts, self.new_task)
        self._updates: dict[str, Updater] = {}
        self._due: set[tuple[object, ...]] = set()

    # What happened

    def service_written(self, service: Service) -> None:
        self._soon(("service", service.id), lambda: self._reconcile(service.id))

    def service_removed(self, service: Service) -> None:
        update = self._updates.pop(service.id, None)
        if update is not None:
            update.cancel()
        self.restarts.forget_service(service.id)
        if service.mode in (Mode.REPLICATED_JOB, Mode.GLOBAL_JOB):
            return  # its tasks run on: so does the real one
        for task in self._store.tasks_of_service(service.id):
            self._retire(task)

    def task_written(self, old: Task | None, new: Task | None) -> None:
        if new is None:
            if old is not None:
                self.restarts.task_dropped(old.id)
            return
        self.restarts.task_written(new)
        update = self._updates.get(new.service_id)
        if update is not None:
            update.task_written(new)
        if new.has_ended and (old is None or not old.has_ended):
            self._soon(("task", new.id), lambda: self._replace_if_wanted(new.id))
        if old is None or new.has_ended or new.desired is TaskState.REMOVE:
            self._soon(("reap", new.service_id, new.slot_key), lambda: self._reap(new), seconds=REAP_SECONDS)

    def node_written(self, node: Node) -> None:
        """Move tasks off a node that is drained or down; give global services' tasks to one that is back."""
        if node.state == "down":
            self.restarts.node_lost(node.id)
        for task in self._store.tasks_of_node(node.id):
            if task.desired > TaskState.RUNNING or task.has_ended:
                continue
            if node.is_invalid:
                self._replace_if_wanted(task.id)
            elif not placement.meets_constraints(task.spec, node):
                self._evict(task)
        for service in self._store.services.rows.values():
            if service.mode in (Mode.GLOBAL, Mode.GLOBAL_JOB):
                self.service_written(service)

    # Tasks

    def new_task(self, service: Service, slot: int, node_id: str) -> Task:
        return Task(
            id=self._store.new_id(),
            service_id=service.id,
            service_name=service.name,
            slot=slot,
            node_id=node_id,
            spec=service.template,
            endpoint_spec=service.spec.get("EndpointSpec"),
            spec_version=service.spec_version,
            desired=TaskState.COMPLETE if service.job_iteration is not None else TaskState.RUNNING,
            status_ns=self._store.timeline.now_ns,
            job_iteration=service.job_iteration,
        )

    def _replace_if_wanted(self, task_id: str) -> None:
        task = self._store.tasks.get(task_id)
        service = self._store.services.rows.get(task.service_id) if task is not None else None
        if task is None or service is None:
            return
        if service.job_iteration is not None:
            self._job_task_ended(service, task)
        elif task.desired <= TaskState.RUNNING:
            self.restarts.restart(service, task)

    def _evict(self, task: Task) -> None:
        now = self._store.timeline.now_ns
        err = "assigned node no longer meets constraints"
        self._store.write_task(task, state=TaskState.REJECTED, message="task rejected", err=err, status_ns=now)

    def _retire(self, task: Task) -> None:
        if task.desired is not TaskState.REMOVE:
            self._store.write_task(task, desired=TaskState.REMOVE)

    def _reap(self, task: Task) -> None:
        """Drop what was removed, and the oldest of a slot's history."""
        slot = self._store.tasks_of_slot(task.service_id, task.slot_key)
        for gone in [t for t in slot if t.desired is TaskState.REMOVE and (t.has_ended or t.state < TaskState.ASSIGNED)]:
            self._store.drop_task(gone)
        kept = [t for t in slot if t.id in self._store.tasks]
        attempts = (task.spec.get("RestartPolicy") or {}).get("MaxAttempts", 0)
        surplus = len(kept) - (attempts + 1 if attempts else TASK_HISTORY_LIMIT)
        if surplus <= 0 or task.job_iteration is not None:
            return
        over = [t for t in kept if t.desired > TaskState.RUNNING and (t.has_ended or t.state < TaskState.ASSIGNED)]
        for gone in sorted(over, key=lambda t: t.status_ns)[:surplus]:
            self._store.drop_task(gone)

    # Services

    def _reconcile(self, service_id: str) -> None:
        service = self._store.services.rows.get(service_id)
        if service is None:
            return
        reconcile: dict[Mode, Callable[[Service], None]] = {
            Mode.REPLICATED: self._reconcile_replicated,
            Mode.GLOBAL: self._reconcile_global,
            Mode.REPLICATED_JOB: self._reconcile_job,
            Mode.GLOBAL_JOB: self._reconcile_job,
        }
        reconcile[service.mode](service)

    def _reconcile_replicated(self, service: Service) -> None:
        slots, dead = self._slots(service)
        missing = service.replicas - len(slots)
        ordered = sorted(slots, key=lambda slot: (not any(task.is_up for task in slot), slot[0].slot))
        self._update(service, ordered[: service.replicas] if missing < 0 else list(slots))
        for slot in ordered[service.replicas :]:
            for task in slot:
                self._retire(self._store.tasks[task.id])
        numbers = {slot[0].slot for slot in slots}
        number = 0
        for _ in range(missing):
            number += 1
            while number in numbers:
                number += 1
            self._store.write_task(self.new_task(service, number, ""))
            dead.pop(number, None)
        for old in dead.values():
            for task in old:
                self._store.drop_task(task)

    def _reconcile_global(self, service: Service) -> None:
        slots, _ = self._slots(service)
        by_node = {slot[0].node_id: slot for slot in slots}
        eligible = {
            node.id: node
            for node in self._store.nodes.rows.values()
            if not node.is_invalid and placement.meets_constraints(service.template, node)
        }
        self._update(service, [slot for node_id, slot in by_node.items() if node_id in eligible])
        for node_id, slot in by_node.items():
            if node_id not in eligible:
                for task in slot:
                    self._store.write_task(self._store.tasks[task.id], desired=TaskState.SHUTDOWN)
        for node_id, node in eligible.items():
            if node_id not in by_node and node.is_schedulable:
                self._store.write_task(self.new_task(service, 0, node_id))

    def _slots(self, service: Service) -> tuple[list[list[Task]], dict[int | str, list[Task]]]:
        """The slots that hold something to keep or update, and those where all is over."""
        grouped: dict[int | str, list[Task]] = {}
        for task in self._store.tasks_of_service(service.id):
            if task.desired is not TaskState.REMOVE:
                grouped.setdefault(task.slot_key, []).append(task)
        rolls_back = service.update_status is not None and service.update_status.state is UpdateState.ROLLBACK_STARTED
        live, dead = [], {}
        for key, tasks in grouped.items():
            wanted = [task for task in tasks if task.desired <= TaskState.RUNNING]
            newest = max(tasks, key=lambda task: task.status_ns)
            if not wanted and not rolls_back and not self.restarts.should_restart(newest):
                wanted = [newest]  # finished for good: an update still replaces it
            if wanted:
                live.append(wanted)
            else:
                dead[key] = tasks
        return live, dead

    def _update(self, service: Service, slots: Sequence[Sequence[Task]]) -> None:
        running = self._updates.get(service.id)
        if running is not None and not running.is_over:
            if running.service.spec == service.spec:
                return
            running.cancel()
        update = Updater(self._means, service, slots)
        self._updates[service.id] = update
        update.run()
        if update.is_over:
            self._updates.pop(service.id, None)

    # Jobs

    def _reconcile_job(self, service: Service) -> None:
        tasks = self._store.tasks_of_service(service.id)
        for task in tasks:
            if task.job_iteration != service.job_iteration:
                self._retire(task)
        current = [task for task in tasks if task.job_iteration == service.job_iteration]
        live = [task for task in current if not task.has_ended]
        complete = [task for task in current if task.state is TaskState.COMPLETE]
        if service.mode is Mode.GLOBAL_JOB:
            served = {task.node_id for task in (*live, *complete)}
            for node in self._store.nodes.rows.values():
                if node.id not in served and node.is_schedulable and placement.meets_constraints(service.template, node):
                    self._store.write_task(self.new_task(service, 0, node.id))
            return
        job: Json = service.spec["Mode"]["ReplicatedJob"]
        wanted = min(job["MaxConcurrent"] - len(live), job["TotalCompletions"] - len(complete) - len(live))
        for _ in range(wanted):
            self._store.write_task(self.new_task(service, 0, ""))

    def _job_task_ended(self, service: Service, task: Task) -> None:
        failed = task.state is not TaskState.COMPLETE
        if failed and not self.restarts.should_restart(task):
            return
        delay = (task.spec.get("RestartPolicy") or {}).get("Delay", 5_000_000_000) / 1e9 if failed else TICK_SECONDS
        self._soon(("service", service.id), lambda: self._reconcile(service.id), seconds=delay)

    def _soon(self, key: tuple[object, ...], action: Callable[[], None], *, seconds: float = TICK_SECONDS) -> None:
        """Once, however often it is asked for until then."""
        if key in self._due:
            return
        self._due.add(key)

        def run() -> None:
            self._due.discard(key)
            action()

        self._store.timeline.call_later(seconds, run)
