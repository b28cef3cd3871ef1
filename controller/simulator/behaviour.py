"""What a task does once it is started: from its image's knob, its command and its health check."""

from __future__ import annotations

from dataclasses import dataclass, replace

from controller.model.spec import Json
from controller.simulator.timeline import NANO

_HEALTH_INTERVAL, _HEALTH_RETRIES = 30.0, 3  # the engine's defaults


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """Seconds, and what happens after them. The defaults are those of a small image on a quiet host."""

    exists: bool = True  # False: no node and no registry has the image
    prepare_seconds: float = 0.5  # pull and create
    start_seconds: float = 0.3
    stop_seconds: float = 0.2  # SIGTERM to exit
    stop_exit_code: int = 0  # what it answers SIGTERM with; 137 where it must be killed
    exits_after: float | None = None  # seconds from its start; None: never by itself
    exit_code: int = 0
    is_healthy: bool = True  # what its health check finds, if the spec has one
    digest: str = ""  # what the registry says; empty: one made from the name


DEFAULT = Behaviour()
CRASHING = Behaviour(exits_after=0.0, exit_code=1)
MISSING = Behaviour(exists=False)
UNHEALTHY = Behaviour(is_healthy=False)


def of_container(container: Json, base: Behaviour) -> Behaviour:
    """Let the command decide where it is one of the few that everybody knows: true, false, sleep."""
    words = [*container.get("Command", ()), *container.get("Args", ())]
    if base.exits_after is not None or not words:
        return base
    if words == ["true"]:
        return replace(base, exits_after=0.0)
    if words == ["false"]:
        return replace(base, exits_after=0.0, exit_code=1)
    if words[0] == "sleep" and len(words) == 2:
        return replace(base, exits_after=_seconds(words[1]), stop_exit_code=137)  # process 1 ignores SIGTERM
    return base


def health_delay(container: Json, base: Behaviour) -> tuple[float, bool] | None:
    """Seconds from the start until the check decides, and how; None where there is no check."""
    check = container.get("Healthcheck") or {}
    test = check.get("Test") or []
    if not test or test[0] == "NONE":
        return None
    interval = check.get("Interval", 0) / NANO or _HEALTH_INTERVAL
    passes = base.is_healthy and test[1:] not in (["false"], ["exit 1"])
    if passes:
        return interval, True
    retries = check.get("Retries", 0) or _HEALTH_RETRIES
    return check.get("StartPeriod", 0) / NANO + interval * retries, False


def _seconds(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None  # `sleep infinity`
