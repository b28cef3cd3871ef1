"""The allocator and the scheduler: addresses, ports, then a node for every task that waits."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from controller.model.spec import Json
from controller.simulator import placement
from controller.simulator.records import Network, Service, Task, TaskState
from controller.simulator.store import Store

ALLOCATE_SECONDS = 0.0005
SCHEDULE_SECONDS = 0.05
FIRST_DYNAMIC_PORT = 30000


class Scheduler:
    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiting: dict[str, None] = {}  # tasks that are pending
        self._ticking = False
        self._hosts: dict[str, int] = {}  # last host number given, by network
        self.dynamic_ports: dict[int, str] = {}  # published port given by Swarm -> service id

    # Allocation

    def service_written(self, service: Service) -> None:
        """Give a service its ports and addresses: an update of its own, as if somebody had written it."""
        self._store.timeline.call_later(ALLOCATE_SECONDS, lambda: self._allocate_service(service.id))

    def service_removed(self, service: Service) -> None:
        for port in [port for port, owner in self.dynamic_ports.items() if owner == service.id]:
            del self.dynamic_ports[port]

    def task_written(self, old: Task | None, new: Task | None) -> None:
        if new is None:
            self._waiting.pop(old.id if old else "", None)
            return
        if old is None:
            self._store.timeline.call_later(ALLOCATE_SECONDS, lambda: self._allocate_task(new.id))
        if new.desired > TaskState.COMPLETE:
            self._waiting.pop(new.id, None)
            if new.state < TaskState.ASSIGNED:  # no node has ever heard of it
                self._store.timeline.call_later(ALLOCATE_SECONDS, lambda: self._drop_unassigned(new.id))
        if new.has_ended and self._waiting:
            self.tick_soon()

    def network_written(self, network: Network) -> None:
        """Tasks that waited for the network go on."""
        if network.subnet is not None:
            for service in self._store.users(network.id):
                for task in self._store.tasks_of_service(service.id):
                    self._allocate_task(task.id)

    def _drop_unassigned(self, task_id: str) -> None:
        task = self._store.tasks.get(task_id)
        if task is not None and task.state < TaskState.ASSIGNED:
            self._write(task, TaskState.SHUTDOWN, task.message, err="")

    def _allocate_service(self, service_id: str) -> None:
        service = self._store.services.rows.get(service_id)
        if service is None:
            return
        endpoint = self._endpoint(service)
        if endpoint is not None and endpoint != service.endpoint:
            self._store.write_service(replace(service, endpoint=endpoint))

    def _endpoint(self, service: Service) -> Json | None:
        """What the service's endpoint should be; None while it needs none and has none."""
        spec: Json = service.spec.get("EndpointSpec") or {}
        networks = [n["Target"] for n in service.template.get("Networks", ())]
        has_vip = spec.get("Mode", "vip") == "vip"
        ports = [self._port(service, port) for port in spec.get("Ports", ())]
        if not ports and not (networks and has_vip) and len(service.endpoint) == 1:
            return None
        if any(port["PublishMode"] == "ingress" for port in ports):
            ingress = self._store.networks.by_name("ingress")
            networks = [*([ingress.id] if ingress else []), *networks]
        endpoint: dict[str, Any] = {"Spec": spec}
        if ports:
            endpoint["Ports"] = ports
        held = {vip["NetworkID"]: vip for vip in service.endpoint.get("VirtualIPs", ())}
        vips = [held.get(n) or self._vip(n) for n in dict.fromkeys(networks)] if has_vip else []
        if vips:
            endpoint["VirtualIPs"] = vips
        return endpoint

    def _vip(self, network_id: str) -> Json:
        return (
            {"NetworkID": network_id}
            if network_id in self._store.predefined
            else {"NetworkID": network_id, "Addr": self._address(network_id)}
        )

    def _port(self, service: Service, port: Json) -> Json:
        if port.get("PublishedPort") or port["PublishMode"] == "host":
            return port
        for held in service.endpoint.get("Ports", ()):
            if (held.get("TargetPort"), held["Protocol"]) == (port.get("TargetPort"), port["Protocol"]):
                return {**port, "PublishedPort": held["PublishedPort"], "PublishMode": port["PublishMode"]}
        number = FIRST_DYNAMIC_PORT
        while number in self.dynamic_ports:
            number += 1
        self.dynamic_ports[number] = service.id
        return {**port, "PublishedPort": number, "PublishMode": port["PublishMode"]}

    def _allocate_task(self, task_id: str) -> None:
        task = self._store.tasks.get(task_id)
        if task is None or task.state is not TaskState.NEW or task.desired > TaskState.COMPLETE:
            return
        networks = [n["Target"] for n in task.spec.get("Networks", ())]
        if any(self._subnet(network_id) is None for network_id in networks if network_id not in self._store.predefined):
            return  # stays `new`, without a word
        if any(port.get("PublishMode") == "ingress" for port in (task.endpoint_spec or {}).get("Ports", ())):
            ingress = self._store.networks.by_name("ingress")
            networks = [*([ingress.id] if ingress else []), *networks]
        addresses = tuple((n, "" if n in self._store.predefined else self._address(n)) for n in networks)
        self._write(task, TaskState.PENDING, "pending task scheduling", addresses=addresses)
        self._waiting[task_id] = None
        self.tick_soon()

    def _address(self, network_id: str) -> str:
        number = self._hosts[network_id] = self._hosts.get(network_id, 1) + 1
        subnet = self._subnet(network_id) or "0.0.0.0/24"
        prefix = subnet.split(".")[:2]
        return f"{prefix[0]}.{prefix[1]}.{int(subnet.split('.')[2]) + number // 256}.{number % 256}/{subnet.split('/')[1]}"

    def _subnet(self, network_id: str) -> str | None:
        network = self._store.networks.rows.get(network_id)
        return network.subnet if network else None

    # Scheduling

    def tick_soon(self) -> None:
        if not self._ticking:
            self._ticking = True
            self._store.timeline.call_later(SCHEDULE_SECONDS, self._tick)

    def _tick(self) -> None:
        self._ticking = False
        for task_id in tuple(self._waiting):
            task = self._store.tasks[task_id]
            node, reason = placement.pick(self._store, task)
            if node is not None:
                del self._waiting[task_id]
                self._write(task, TaskState.ASSIGNED, "scheduler assigned task to node", node_id=node.id, err="")
            elif reason != task.err:
                self._write(task, TaskState.PENDING, "pending task scheduling", err=reason)

    def _write(self, task: Task, state: TaskState, message: str, **fields: Any) -> None:
        now = self._store.timeline.now_ns
        self._store.write_task(task, state=state, message=message, status_ns=now, **fields)
