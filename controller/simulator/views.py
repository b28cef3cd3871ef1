"""Records as the API shows them; made once per version and shared, never to be written to."""

from __future__ import annotations

from typing import Any

from controller.model.plan import ObjectKind
from controller.model.spec import Json
from controller.simulator.records import Content, Mode, Network, Node, Record, Service, Task
from controller.simulator.store import Store
from controller.simulator.timeline import rfc3339


class Views:
    """A cache of rendered records, keyed by id and version."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._made: dict[str, tuple[int, Json]] = {}

    def show(self, record: Record) -> Json:
        made = self._made.get(record.id)
        if made is None or made[0] != record.version:
            made = (record.version, self._render(record))
            self._made[record.id] = made
        return made[1]

    def forget(self, object_id: str) -> None:
        self._made.pop(object_id, None)

    def status_of(self, service: Service) -> Json:
        """`ServiceStatus`: what runs and what should."""
        counts = self._store.counts.get(service.id)
        running, wanted, complete = (counts.running, counts.wanted, counts.complete) if counts else (0, 0, 0)
        if service.mode is Mode.REPLICATED:
            wanted = service.replicas
        elif service.mode is Mode.REPLICATED_JOB:
            job = service.spec["Mode"]["ReplicatedJob"]
            wanted = min(job["MaxConcurrent"], job["TotalCompletions"] - complete)
            wanted = max(wanted, job["TotalCompletions"] if complete else wanted)
        return {"RunningTasks": running, "DesiredTasks": wanted, "CompletedTasks": complete}

    def _render(self, record: Record) -> Json:
        match record:
            case Service():
                return _service(record)
            case Task():
                return self._task(record)
            case Network():
                return _network(record)
            case Content():
                return _content(record)
            case Node():
                return _node(record)
        raise TypeError(f"no view of {type(record).__name__}")

    def _task(self, task: Task) -> Json:
        status: dict[str, Any] = {"Timestamp": rfc3339(task.status_ns), "State": task.state.word, "Message": task.message}
        if task.err:
            status["Err"] = task.err
        if task.container_id:
            pid = 1000 if task.is_up else 0
            status["ContainerStatus"] = {"ContainerID": task.container_id, "PID": pid, "ExitCode": task.exit_code}
        status["PortStatus"] = {}
        body = _head(task) | {
            "Labels": {},
            "Spec": {key: value for key, value in task.spec.items() if key != "Runtime"},
            "ServiceID": task.service_id,
        }
        if task.slot:
            body["Slot"] = task.slot
        if task.node_id:
            body["NodeID"] = task.node_id
        body |= {"Status": status, "DesiredState": task.desired.word}
        if task.addresses:
            body["NetworksAttachments"] = [self._attachment(network_id, address) for network_id, address in task.addresses]
        if task.job_iteration is not None:
            body["JobIteration"] = {"Index": task.job_iteration} if task.job_iteration else {}
        return body

    def _attachment(self, network_id: str, address: str) -> Json:
        network = self._store.networks.rows.get(network_id) or self._store.predefined.get(network_id)
        name, driver = (network.name, network.spec["Driver"]) if network else ("", "")
        shown = {"Network": {"ID": network_id, "Spec": {"Name": name}, "DriverState": {"Name": driver}}}
        return shown | ({"Addresses": [address]} if address else {})


def _head(record: Record) -> dict[str, Any]:
    return {
        "ID": record.id,
        "Version": {"Index": record.version},
        "CreatedAt": rfc3339(record.created_ns),
        "UpdatedAt": rfc3339(record.updated_ns),
    }


def _service(service: Service) -> Json:
    body = _head(service) | {"Spec": service.spec}
    if service.previous_spec is not None:
        body["PreviousSpec"] = service.previous_spec
    body["Endpoint"] = service.endpoint
    if service.update_status is not None:
        status = service.update_status
        shown: dict[str, Any] = {"State": status.state.value}
        if status.started_ns is not None:
            shown["StartedAt"] = rfc3339(status.started_ns)
        if status.completed_ns is not None:
            shown["CompletedAt"] = rfc3339(status.completed_ns)
        body["UpdateStatus"] = shown | {"Message": status.message}
    if service.job_iteration is not None:
        iteration = {"Index": service.job_iteration} if service.job_iteration else {}
        body["JobStatus"] = {"JobIteration": iteration, "LastExecution": rfc3339(service.job_started_ns)}
    return body


def _network(network: Network) -> Json:
    allocated = network.subnet is not None
    config = [{"Subnet": network.subnet, "Gateway": network.gateway}] if allocated else None
    given = network.spec.get("Options") or {}
    options = {"com.docker.network.driver.overlay.vxlanid_list": str(network.vxlan), **given} if network.vxlan else dict(given)
    local = network.scope == "local"
    fixed = local or network.predefined
    return {
        "Name": network.name,
        "Id": network.id,
        "Created": rfc3339(network.created_ns),
        "Scope": network.scope,
        "Driver": network.spec["Driver"] if allocated or fixed else "",
        "EnableIPv6": False,
        "IPAM": {"Driver": "default" if allocated or local else "", "Options": None, "Config": config or ([] if fixed else None)},
        "Internal": bool(network.spec.get("Internal")),
        "Attachable": bool(network.spec.get("Attachable")),
        "Ingress": bool(network.spec.get("Ingress")),
        "ConfigFrom": {"Network": ""},
        "ConfigOnly": False,
        "Containers": {} if local else None,
        "Options": options if allocated or local else None,
        "Labels": network.spec.get("Labels") or ({} if local else None),
    }


def _content(content: Content) -> Json:
    hidden = {"Data"} if content.kind is ObjectKind.SECRET else set()
    return _head(content) | {"Spec": {key: value for key, value in content.spec.items() if key not in hidden}}


def _node(node: Node) -> Json:
    status: dict[str, Any] = {"State": node.state, "Addr": node.address}
    if node.message:
        status["Message"] = node.message
    body = _head(node) | {
        "Spec": node.spec,
        "Description": {
            "Hostname": node.hostname,
            "Platform": {"Architecture": "x86_64", "OS": "linux"},
            "Resources": node.resources,
            "Engine": {"EngineVersion": "27.0.0", "Plugins": []},
            "TLSInfo": {},
        },
        "Status": status,
    }
    if node.spec["Role"] == "manager":
        leader = {"Leader": True} if node.leader else {}
        body["ManagerStatus"] = leader | {"Reachability": "reachable", "Addr": f"{node.address}:2377"}
    return body
