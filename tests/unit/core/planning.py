"""What the tests of plans say often."""

from __future__ import annotations

from typing import Any

from controller.core.images import Resolve
from controller.core.planner import Options, make_plan
from controller.core.state import new_state, with_pause
from controller.model.observation import Knowledge, Snapshot
from controller.model.plan import Action, ObjectKind, Plan, Reason
from controller.model.spec import DesiredStack, Json
from tests.support.specs import (
    live,
    snapshot,
)

NEVER = Options(resolve=Resolve.NEVER)
CONFIG, SECRET, NETWORK, SERVICE = ObjectKind.CONFIG, ObjectKind.SECRET, ObjectKind.NETWORK, ObjectKind.SERVICE
KNOWN = Knowledge(content_key=b"k")
KEY_STATE: dict[str, Any] = {"ID": "state", "Version": {"Index": 1}, "Spec": new_state(b"k")}


def plan(desired: DesiredStack, seen: Snapshot | None = None, *, knowledge: Knowledge = KNOWN, options: Options = NEVER) -> Plan:
    return make_plan(desired, seen or snapshot(), knowledge, options)


def steps(made: Plan) -> list[tuple[str, str, str]]:
    return [(action.verb.value, action.kind.value, action.name) for action in made.actions]


def reasons(made: Plan) -> list[tuple[str, Reason]]:
    return [(notice.name, notice.reason) for notice in made.notices]


def only(made: Plan) -> Action:
    (action,) = made.actions
    return action


def of_docker(spec: Json, **parts: Any) -> Json:
    return live(spec, networks={"shop_default": "net-shop_default"}, **parts)


def paused(*targets: str) -> Json:
    spec = new_state(b"k")
    for target in targets:
        spec = with_pause(spec, target, since="2026-01-01T00:00:00+00:00")
    return {"ID": "state", "Version": {"Index": 1}, "Spec": spec}
