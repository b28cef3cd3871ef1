"""The nodes' side of a task: prepare, start, watch its health, stop it, and report each step.

A step of a task is a timer; a task's new desired state replaces the timer that waits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from controller.simulator import behaviour
from controller.simulator.behaviour import Behaviour
from controller.simulator.events import event
from controller.simulator.records import Task, TaskState
from controller.simulator.store import Store
from controller.simulator.timeline import Timer

DISPATCH_SECONDS = 0.1  # from the manager's decision to the node's first step
REPORT_SECONDS = 0.1  # between a node's reports


class Agents:
    """All nodes' agents; `images` says what an image does, `local_node` whose containers the event stream tells of."""

    def __init__(self, store: Store, images: Callable[[str], Behaviour], local_node: Callable[[], str]) -> None:
        self._store = store
        self._images = images
        self._local_node = local_node
        self._timers: dict[str, Timer] = {}
        self._lost: set[str] = set()  # nodes that are cut off, whether or not the manager has noticed

    def task_written(self, old: Task | None, new: Task | None) -> None:
        """React to what the manager wants: called after every task write."""
        if new is None:
            if old is not None:
                self._cancel(old.id)
            return
        if new.has_ended or not new.node_id or new.state < TaskState.ASSIGNED or self._is_cut_off(new):
            if new.has_ended:
                self._cancel(new.id)
            return
        if new.desired > TaskState.COMPLETE:
            if old is None or old.desired <= TaskState.COMPLETE:
                self._begin_stop(new)
        elif old is None or old.state < TaskState.ASSIGNED:
            self._step(new.id, DISPATCH_SECONDS, self._prepare)
        elif new.state is TaskState.READY and new.desired >= TaskState.RUNNING and old.desired < TaskState.RUNNING:
            self._step(new.id, DISPATCH_SECONDS, self._start)

    def node_lost(self, node_id: str) -> None:
        """The node's tasks stand still: nothing is reported from there any more."""
        self._lost.add(node_id)
        for task in self._store.tasks_of_node(node_id):
            self._cancel(task.id)

    def node_back(self, node_id: str) -> None:
        """What was to be stopped meanwhile is stopped now; the others go on from the step that they were at."""
        if node_id not in self._lost:
            return
        self._lost.discard(node_id)
        for task in self._store.tasks_of_node(node_id):
            if task.has_ended or task.state < TaskState.ASSIGNED:
                continue
            if task.desired > TaskState.COMPLETE:
                self._begin_stop(task)
            elif task.state < TaskState.READY:
                self._step(task.id, DISPATCH_SECONDS, self._prepare)
            elif task.is_up:
                self._run(task)
            elif task.desired >= TaskState.RUNNING:
                self._step(task.id, DISPATCH_SECONDS, self._start)

    def kill(self, task: Task, *, exit_code: int = 137) -> None:
        """End a running task's container from outside, as `docker kill` on its node does."""
        self._exited(task, exit_code)

    # Steps

    def _prepare(self, task: Task) -> None:
        acts = self._behaviour(task)
        task = self._report(task, TaskState.PREPARING, "preparing")
        if not acts.exists:
            image = task.spec["ContainerSpec"]["Image"]
            self._step(task.id, acts.prepare_seconds, lambda t: self._fail(t, TaskState.REJECTED, f"No such image: {image}"))
        else:
            self._step(task.id, acts.prepare_seconds, self._prepared)

    def _prepared(self, task: Task) -> None:
        task = self._report(task, TaskState.READY, "prepared", container_id=self._store.container_id())
        self._tell(task, "create")
        if task.desired >= TaskState.RUNNING:
            self._start(task)

    def _start(self, task: Task) -> None:
        task = self._report(task, TaskState.STARTING, "starting")
        self._step(task.id, self._behaviour(task).start_seconds, self._started)

    def _started(self, task: Task) -> None:
        acts = self._behaviour(task)
        self._tell(task, "start")
        health = behaviour.health_delay(task.spec["ContainerSpec"], acts)
        if acts.exits_after is not None and acts.exits_after < REPORT_SECONDS:
            # Nodes report in batches: who dies at once is never seen running.
            self._step(task.id, REPORT_SECONDS, lambda t: self._exited(t, acts.exit_code))
        elif health is None:
            self._up(task)
        elif acts.exits_after is not None and acts.exits_after < health[0]:
            self._step(task.id, acts.exits_after, lambda t: self._exited(t, acts.exit_code))
        elif health[1]:
            self._step(task.id, health[0], self._healthy)
        else:
            self._step(task.id, health[0], self._unhealthy)

    def _healthy(self, task: Task) -> None:
        self._tell(task, "health_status: healthy")
        self._up(task)

    def _unhealthy(self, task: Task) -> None:
        """Stopped by its node: who leaves with 0 on SIGTERM has then completed, not failed."""
        self._tell(task, "health_status: unhealthy")
        code = self._behaviour(task).stop_exit_code
        if code == 0:
            self._exited(task, 0)
            return
        self._tell(task, "die", exitCode=str(code))
        err = f"task: non-zero exit ({code}): dockerexec: unhealthy container"
        self._fail(task, TaskState.FAILED, err, exit_code=code)

    def _up(self, task: Task) -> None:
        self._run(self._report(task, TaskState.RUNNING, "started"))

    def _run(self, task: Task) -> None:
        acts = self._behaviour(task)
        if acts.exits_after is not None:
            self._step(task.id, acts.exits_after, lambda t: self._exited(t, acts.exit_code))

    def _exited(self, task: Task, exit_code: int) -> None:
        self._tell(task, "die", exitCode=str(exit_code))
        if exit_code == 0:
            self._report(task, TaskState.COMPLETE, "finished", exit_code=0)
        else:
            self._fail(task, TaskState.FAILED, f"task: non-zero exit ({exit_code})", exit_code=exit_code)

    def _fail(self, task: Task, state: TaskState, err: str, *, exit_code: int = 0) -> None:
        message = "preparing" if state is TaskState.REJECTED else "started"
        self._report(task, state, message, err=err, exit_code=exit_code)

    def _begin_stop(self, task: Task) -> None:
        delay = self._behaviour(task).stop_seconds if task.state >= TaskState.STARTING else 0.0
        self._step(task.id, DISPATCH_SECONDS + delay, self._stopped)

    def _stopped(self, task: Task) -> None:
        code = self._behaviour(task).stop_exit_code if task.state >= TaskState.STARTING else 0
        if task.container_id:
            self._tell(task, "die", exitCode=str(code))
        self._report(task, TaskState.SHUTDOWN, "shutdown", exit_code=code)

    # Means

    def _report(self, task: Task, state: TaskState, message: str, **fields: Any) -> Task:
        return self._store.write_task(task, state=state, message=message, status_ns=self._store.timeline.now_ns, **fields)

    def _step(self, task_id: str, seconds: float, action: Callable[[Task], None]) -> None:
        def run() -> None:
            self._timers.pop(task_id, None)
            task = self._store.tasks.get(task_id)
            if task is not None and not task.has_ended:
                action(task)

        self._cancel(task_id)
        self._timers[task_id] = self._store.timeline.call_later(seconds, run)

    def _cancel(self, task_id: str) -> None:
        timer = self._timers.pop(task_id, None)
        if timer is not None:
            timer.cancel()

    def _is_cut_off(self, task: Task) -> bool:
        node = self._store.nodes.rows.get(task.node_id)
        return node is None or node.id in self._lost or node.state == "down"

    def _behaviour(self, task: Task) -> Behaviour:
        container = task.spec["ContainerSpec"]
        return behaviour.of_container(container, self._images(container["Image"]))

    def _tell(self, task: Task, action: str, **extra: str) -> None:
        """Container events are told by the node where they happen, and the stream is that of one node."""
        if task.node_id != self._local_node():
            return
        name = f"{task.service_name}.{task.slot_key}.{task.id}"
        attributes = {
            **(task.spec["ContainerSpec"].get("Labels") or {}),
            "com.docker.swarm.node.id": task.node_id,
            "com.docker.swarm.service.id": task.service_id,
            "com.docker.swarm.service.name": task.service_name,
            "com.docker.swarm.task": "",
            "com.docker.swarm.task.id": task.id,
            "com.docker.swarm.task.name": name,
            "image": task.spec["ContainerSpec"]["Image"],
            "name": name,
            **extra,
        }
        now = self._store.timeline.now_ns
        self._store.events.publish(event("container", action, task.container_id, attributes, time_ns=now, scope="local"))
