"""What the engine says of itself: /version, /info, /swarm."""

from __future__ import annotations

from typing import Any

from controller.model.spec import Json
from controller.simulator.engine import ENGINE_VERSION, Simulator
from controller.simulator.timeline import rfc3339

MINIMUM_API = (1, 24)


def word(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"


def version(simulator: Simulator) -> Json:
    api = word(simulator.api_version)
    details = {"ApiVersion": api, "Arch": "amd64", "MinAPIVersion": word(MINIMUM_API), "Os": "linux", "GitCommit": "simulated"}
    return {
        "Platform": {"Name": "ProdBreaker simulator"},
        "Components": [{"Name": "Engine", "Version": ENGINE_VERSION, "Details": details}],
        "Version": ENGINE_VERSION,
        "ApiVersion": api,
        "MinAPIVersion": word(MINIMUM_API),
        "GitCommit": "simulated",
        "Os": "linux",
        "Arch": "amd64",
    }


def cluster(simulator: Simulator) -> dict[str, Any]:
    manager = simulator.store.nodes.rows[simulator.node_id]
    born = rfc3339(manager.created_ns)
    return {
        "ID": simulator.cluster_id,
        "Version": {"Index": 10},
        "CreatedAt": born,
        "UpdatedAt": born,
        "Spec": {
            "Name": "default",
            "Labels": {},
            "Orchestration": {"TaskHistoryRetentionLimit": 5},
            "Dispatcher": {"HeartbeatPeriod": 5_000_000_000},
            "TaskDefaults": {},
            "EncryptionConfig": {"AutoLockManagers": False},
        },
        "RootRotationInProgress": False,
        "DefaultAddrPool": None,
        "SubnetSize": 24,
        "DataPathPort": 4789,
    }


def swarm(simulator: Simulator) -> Json:
    return cluster(simulator) | {"JoinTokens": {"Worker": "", "Manager": ""}}


def info(simulator: Simulator) -> Json:
    nodes = simulator.store.nodes.rows
    manager = nodes[simulator.node_id]
    managers = [node for node in nodes.values() if node.spec["Role"] == "manager"]
    return {
        "ID": "simulator",
        "Name": manager.hostname,
        "ServerVersion": ENGINE_VERSION,
        "OSType": "linux",
        "Architecture": "x86_64",
        "OperatingSystem": "ProdBreaker simulator",
        "NCPU": 4,
        "MemTotal": 8 << 30,
        "SystemTime": rfc3339(simulator.timeline.now_ns),
        "Driver": "none",
        "LoggingDriver": "json-file",
        "Labels": [],
        "Warnings": None,
        "SecurityOptions": [],
        "RegistryConfig": {"IndexConfigs": {}, "Mirrors": []},
        "IndexServerAddress": "https://index.docker.io/v1/",
        "Swarm": {
            "NodeID": manager.id,
            "NodeAddr": manager.address,
            "LocalNodeState": "active",
            "ControlAvailable": True,
            "Error": "",
            "RemoteManagers": [{"NodeID": node.id, "Addr": f"{node.address}:2377"} for node in managers],
            "Nodes": len(nodes),
            "Managers": len(managers),
            "Cluster": cluster(simulator),
        },
    }
