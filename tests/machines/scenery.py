"""The small world of the state machines: what may be declared, and what each image does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from controller.model.policy import AlertAction, AlertRule, BudgetPolicy, Condition, RollbackPolicy, ServicePolicy, StackPolicy
from controller.model.spec import DesiredStack
from controller.simulator.behaviour import CRASHING, MISSING, UNHEALTHY, Behaviour
from tests.support.specs import STACK, content, mounted, service, stack

TOKEN = "S3CR3T-6f1e"
SECOND = 1_000_000_000
KEYS = ("a", "b", "c")

IMAGES: Mapping[str, Behaviour] = {
    "good:1": Behaviour(),
    "good:2": Behaviour(),
    "good:3": Behaviour(),
    "slow:1": Behaviour(prepare_seconds=20),
    "crash:1": CRASHING,
    "sick:1": UNHEALTHY,
    "gone:1": MISSING,
    "stuck:1": Behaviour(prepare_seconds=1e9),
    "late:1": Behaviour(exits_after=8.0, exit_code=1),
    "ends:1": Behaviour(exits_after=3.0),
    "noisy:1": Behaviour(),  # the measurements of a service that runs it say so
}
HOPELESS = ("crash:1", "sick:1", "gone:1", "stuck:1")  # no task of these ever runs
GOOD = ("good:1", "good:2", "good:3", "slow:1")

DEADLINE_SECONDS = 30.0
BUDGET = BudgetPolicy(actions=3, per=timedelta(seconds=100))
WATCHES = ("", "condition", "alert")


@dataclass(frozen=True, slots=True)
class Want:
    """What the manifest says of one service."""

    image: str = "good:1"
    replicas: int = 2
    mode: str = "on"  # an environment variable
    failure_action: str = "pause"
    order: str = "stop-first"
    has_config: bool = False
    watch: str = ""  # what Prometheus is asked


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the manifest says."""

    services: Mapping[str, Want]
    config: str = "one"  # what the config holds that services share
    prune: bool = True

    def stack(self) -> DesiredStack:
        return stack(
            *(_service(key, want) for key, want in sorted(self.services.items())),
            configs=[content(f"{STACK}_conf", self.config.encode())],
            secrets=[content(f"{STACK}_key", TOKEN.encode())],
            policy=StackPolicy(prune=self.prune),
        )


def _service(key: str, want: Want) -> Any:
    container: dict[str, Any] = {
        "Env": [f"MODE={want.mode}", f"DATABASE_URL=postgres://user:{TOKEN}@db/x", f"PLAIN={TOKEN}"],
        "Args": ["serve", "--password", TOKEN],
        "Secrets": [mounted("Secret", f"{STACK}_key")],
        "Healthcheck": {"Test": ["CMD", "check"], "Interval": SECOND, "Retries": 2},
    }
    if want.has_config:
        container["Configs"] = [mounted("Config", f"{STACK}_conf", "/conf")]
    conditions = (Condition(f"{STACK}_{key} errors"),) if want.watch == "condition" else ()
    policy = ServicePolicy(
        rollback=RollbackPolicy(deadline=timedelta(seconds=DEADLINE_SECONDS), keep=4, conditions=conditions),
        budget=BUDGET,
        alerts=(AlertRule({"service": f"{STACK}_{key}"}, AlertAction.ROLLBACK),) if want.watch == "alert" else (),
    )
    updates = {
        "Parallelism": 1,
        "FailureAction": want.failure_action,
        "Monitor": 5 * SECOND,
        "Order": want.order,
    }
    return service(
        key,
        want.image,
        policy=policy,
        container=container,
        Mode={"Replicated": {"Replicas": want.replicas}},
        UpdateConfig=updates,
    )
