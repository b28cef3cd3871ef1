"""Which networks a plan makes, waits for, or only speaks of."""

from __future__ import annotations

from typing import Any

import pytest

from controller.core.networks import is_predefined
from controller.model.plan import Reason
from tests.support.specs import (
    live_network,
    network,
    service,
    snapshot,
    stack,
)
from tests.unit.core.planning import (
    CONFIG,
    NETWORK,
    plan,
    reasons,
    steps,
)


@pytest.mark.parametrize("name", ["host", "bridge", "none"])
@pytest.mark.parametrize("there", [True, False])
def test_a_predefined_network_is_always_there(name: str, *, there: bool) -> None:
    desired = stack(service(task={"Networks": [{"Target": name}]}), networks=[network(name, external=True)])
    seen = snapshot(networks=[live_network(name, stack="", Scope="local", Driver=name)] if there else [])

    made = plan(desired, seen)

    assert steps(made) == [("create", "service", "shop_web")]
    assert made.notices == ()


def test_only_networks_are_predefined() -> None:
    assert is_predefined(NETWORK, "host")
    assert not is_predefined(CONFIG, "host")
    assert not is_predefined(NETWORK, "shop_host")


def test_an_external_network_of_one_node_alone_cannot_be_used() -> None:
    desired = stack(service(task={"Networks": [{"Target": "lan"}]}), networks=[network("lan", external=True)])

    made = plan(desired, snapshot(networks=[live_network("lan", stack="", Scope="local", Driver="bridge")]))

    assert made.is_empty
    assert reasons(made) == [("lan", Reason.FOREIGN), ("shop_web", Reason.WAITS)]


def test_a_network_that_is_not_as_declared_is_told_field_by_field() -> None:
    declared = network(
        Driver="custom", Internal=True, Attachable=True, Options={"mtu": "1400"}, IPAM={"Config": [{"Subnet": "10.9.0.0/24"}]}
    )

    (notice,) = plan(stack(networks=[declared]), snapshot(networks=[live_network()])).notices

    assert notice.reason is Reason.IMMUTABLE
    assert [(change.field, change.old, change.new) for change in notice.changes] == [
        ("driver", "overlay", "custom"),
        ("internal", "False", "True"),
        ("attachable", "False", "True"),
        ("driver_opts.mtu", None, "1400"),
        ("ipam", "10.0.1.0/24", "10.9.0.0/24"),
    ]


@pytest.mark.parametrize(
    "parts",
    [
        {},
        {"Driver": ""},
        {"IPAM": {"Driver": "default"}},
        {"IPAM": {"Config": [{"Subnet": "10.0.1.0/24"}]}},
        {"Options": {"com.docker.network.driver.overlay.vxlanid_list": "4097"}},
    ],
)
def test_what_the_engine_adds_to_a_network_is_no_difference(parts: dict[str, Any]) -> None:
    assert plan(stack(networks=[network(**parts)]), snapshot(networks=[live_network()])).notices == ()


def test_a_network_without_options_or_addresses_is_compared_too() -> None:
    bare = live_network(Options=None, IPAM=None)

    (notice,) = plan(stack(networks=[network(Options={"encrypted": ""})]), snapshot(networks=[bare])).notices

    assert [(change.field, change.old, change.new) for change in notice.changes] == [("driver_opts.encrypted", None, "")]
