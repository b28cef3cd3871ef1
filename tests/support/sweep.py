"""Removing what a test declared in its Swarm."""

from __future__ import annotations

from tests.support import processes
from tests.support.engine import PrivateEngine
from tests.support.unixhttp import ApiError

_SWEEP_SECONDS = 30.0


def remove_everything(engine: PrivateEngine) -> None:
    """Remove all services, then what they used: networks, configs, secrets, the tasks' containers and named volumes."""
    for service in engine.api("GET", "/services"):
        engine.api("DELETE", f"/services/{service['ID']}")
    for kind in ("configs", "secrets"):
        for entry in engine.api("GET", f"/{kind}"):
            engine.api("DELETE", f"/{kind}/{entry['ID']}")
    if not processes.wait_until(lambda: _all_gone(engine), seconds=_SWEEP_SECONDS, pause=0.05):
        raise AssertionError("the last test's tasks or networks could not be removed")
    for volume in engine.api("GET", "/volumes")["Volumes"] or ():
        engine.api("DELETE", f"/volumes/{volume['Name']}?force=1")


def _all_gone(engine: PrivateEngine) -> bool:
    for container in engine.api("GET", "/containers/json?all=1"):
        _delete(engine, f"/containers/{container['Id']}?force=1&v=1")
    for network in _made_networks(engine):
        _delete(engine, f"/networks/{network}")
    return not _made_networks(engine) and not engine.api("GET", "/containers/json?all=1")


def _made_networks(engine: PrivateEngine) -> list[str]:
    predefined = {"bridge", "host", "none", "ingress", "docker_gwbridge"}
    return [network["Id"] for network in engine.api("GET", "/networks") if network["Name"] not in predefined]


def _delete(engine: PrivateEngine, target: str) -> None:
    try:
        engine.api("DELETE", target)
    except ApiError as error:
        # Gone already, still in use by a task that is ending, or being removed by Swarm itself: the next look tells.
        if error.status not in {400, 403, 404, 409, 500}:
            raise
