"""What a plan removes, and what it never does."""

from __future__ import annotations

from typing import Any

import pytest

from controller.core.images import Resolve
from controller.core.planner import Options
from controller.core.state import STATE_NAME
from controller.model.observation import Snapshot
from controller.model.plan import Reason, Restart
from controller.model.policy import StackPolicy
from controller.model.spec import STACK_LABEL, DesiredStack
from tests.support.specs import (
    body,
    content,
    live_content,
    live_network,
    mounted,
    network,
    service,
    snapshot,
    stack,
)
from tests.unit.core.planning import (
    KEY_STATE,
    NEVER,
    of_docker,
    only,
    paused,
    plan,
    reasons,
    steps,
)

PRUNE = Options(resolve=Resolve.NEVER, prune=True)


def stray_world() -> Snapshot:
    return snapshot(
        of_docker(body("web")),
        of_docker(body("stray", task={"Networks": [{"Target": "net-shop_old"}]})),
        of_docker(body("web", stack="other")),
        {"ID": "loose", "Version": {"Index": 1}, "Spec": {"Name": "loose", "Labels": None}},
        networks=[live_network(), live_network("shop_old"), live_network("other_default", stack="other")],
        configs=[live_content("shop_old"), live_content("other_old", stack="other")],
        secrets=[live_content("shop_old", None)],
    )


@pytest.mark.parametrize("desired", [stack(service("web"), networks=[network()])])
def test_without_prune_what_is_not_declared_stays_and_is_told(desired: DesiredStack) -> None:
    made = plan(desired, stray_world())

    assert made.is_empty
    assert reasons(made) == [("shop_stray", Reason.NOT_DECLARED)]


@pytest.mark.parametrize("by_policy", [True, False])
def test_prune_stops_services_first_and_takes_what_they_used_in_the_next_round(*, by_policy: bool) -> None:
    desired = stack(service("web"), networks=[network()], policy=StackPolicy(prune=by_policy))
    options = NEVER if by_policy else PRUNE
    seen = stray_world()

    first = plan(desired, seen, options=options)
    left = {name: item for name, item in seen.services.items() if name != "shop_stray"}
    second = plan(desired, Snapshot(seen.api_version, left, seen.networks, seen.configs, seen.secrets), options=options)

    assert steps(first) == [("remove", "service", "shop_stray")]
    assert (only(first).restart, only(first).object_id) == (Restart.STOP, "id-of-shop_stray")
    assert steps(second) == [
        ("remove", "network", "shop_old"),
        ("remove", "config", "shop_old"),
        ("remove", "secret", "shop_old"),
    ]


def test_prune_that_would_leave_nothing_is_refused() -> None:
    made = plan(stack(service("renamed")), stray_world(), options=PRUNE)

    assert [step for step in steps(made) if step[0] == "remove"] == []
    assert ("shop_web", Reason.NOT_DECLARED) in reasons(made)
    assert "nothing of the stack" in made.notices[0].message


def test_an_empty_file_never_removes_a_service() -> None:
    assert plan(stack(), stray_world(), options=PRUNE).is_empty


def test_the_controllers_own_stack_is_never_pruned() -> None:
    options = Options(resolve=Resolve.NEVER, prune=True, own_stack="shop")

    assert plan(stack(service("web"), networks=[network()]), stray_world(), options=options).is_empty


def test_a_paused_service_is_not_pruned_and_neither_is_what_is_left_beside_it() -> None:
    seen = stray_world()
    halted = Snapshot(
        seen.api_version, seen.services, seen.networks, {**seen.configs, STATE_NAME: paused("shop/stray")}, seen.secrets
    )

    made = plan(stack(service("web"), networks=[network()]), halted, options=PRUNE)

    assert made.is_empty
    assert reasons(made) == [("shop_stray", Reason.PAUSED)]


def test_a_network_in_use_is_not_pruned() -> None:
    seen = snapshot(of_docker(body(task={"Networks": [{"Target": "net-shop_old"}]})), networks=[live_network("shop_old")])
    desired = stack(service(task={"Networks": [{"Target": "shop_old"}]}))

    assert steps(plan(desired, seen, options=PRUNE)) == []


def test_removals_come_after_everything_else() -> None:
    seen = snapshot(of_docker(body("a")), of_docker(body("stray")), configs=[live_content("shop_c", b"old")])
    config: dict[str, Any] = {"container": {"Configs": [mounted("Config", "shop_c")]}}
    desired = stack(service("a"), service("b", **config), networks=[network()], configs=[content("shop_c", b"new")])

    made = steps(plan(desired, seen, options=PRUNE))

    assert [verb for verb, _, _ in made] == ["create", "create", "create", "remove"]


def test_the_clusters_state_is_nobodys_to_prune() -> None:
    seen = snapshot(of_docker(body()), configs=[{**KEY_STATE, "Spec": {**KEY_STATE["Spec"], "Labels": {STACK_LABEL: "shop"}}}])

    assert plan(stack(service()), seen, options=PRUNE).is_empty
