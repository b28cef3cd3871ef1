"""The brake of the whole Swarm: what puts it on, and that it always lets go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.core.brake import LONGEST_SECONDS, QUIET_SECONDS, Brake, Cause, Sight, readiness, seen, step
from controller.model.status import Health, ServiceStatus, Sync
from tests.support.nodes import node

TEN = [f"shop_s{number}" for number in range(10)]


def sight(now: float, bad: int = 0, *, all_of: Sequence[str] = TEN, **parts: Any) -> Sight:
    """The first `bad` services are degraded, the others healthy."""
    services = {name: Health.DEGRADED if index < bad else Health.HEALTHY for index, name in enumerate(all_of)}
    return Sight(now, services, **parts)


def after(*sights: Sight) -> Brake:
    brake = Brake()
    for each in sights:
        brake = step(brake, each)
    return brake


def test_a_quiet_swarm_leaves_it_off() -> None:
    brake = after(sight(0), sight(1))

    assert not brake.is_on
    assert brake.since is None
    assert brake.reason() == brake.holds_back(restarts_tasks=True) == ""


def test_many_services_that_turn_degraded_together_put_it_on() -> None:
    brake = after(sight(0), sight(10, 2), sight(50, 3))

    assert brake.is_on
    assert brake.since == 50
    assert brake.reason() == brake.holds_back(restarts_tasks=False) == "3 of 10 services turned degraded together"


def test_the_same_number_over_a_longer_time_does_not() -> None:
    assert not after(sight(0), sight(10, 2), sight(70, 3)).is_on


def test_services_that_recovered_meanwhile_do_not_count() -> None:
    recovered = {name: Health.DEGRADED if name == TEN[2] else Health.HEALTHY for name in TEN}

    assert not after(sight(0), sight(10, 2), Sight(20, recovered)).is_on


def test_two_bad_services_are_never_many() -> None:
    assert not after(sight(0, all_of=TEN[:2]), sight(1, 2, all_of=TEN[:2])).is_on


def test_of_many_services_three_in_ten_must_turn() -> None:
    names = [f"s{number}" for number in range(21)]

    assert not after(sight(0, all_of=names), sight(1, 6, all_of=names)).is_on
    assert after(sight(0, all_of=names), sight(1, 7, all_of=names)).is_on


def test_suspended_services_are_none_of_the_number() -> None:
    asleep = {f"z{number}": Health.SUSPENDED for number in range(90)}
    awake, bad = sight(0).services, sight(1, 3).services

    assert after(Sight(0, {**awake, **asleep}), Sight(1, {**bad, **asleep})).is_on


@pytest.mark.parametrize("health", [Health.MISSING, Health.PROGRESSING, Health.SUSPENDED])
def test_only_degraded_services_count(health: Health) -> None:
    assert not after(sight(0), Sight(1, dict.fromkeys(TEN, health))).is_on


def test_services_that_were_degraded_at_first_sight_have_not_turned() -> None:
    assert not after(sight(0, 9), sight(1, 9)).is_on


def test_services_that_an_edit_explains_do_not_count() -> None:
    assert not after(sight(0), sight(1, 4, excused=frozenset(TEN[:2])), sight(2, 4)).is_on


def test_it_lets_go_when_no_further_service_turned_for_a_while() -> None:
    onset = [sight(0), sight(10, 3), sight(30, 4)]

    assert after(*onset, sight(59, 4)).since == 10
    assert not after(*onset, sight(60, 4)).is_on
    assert not after(*onset, sight(60, 4), sight(61, 4)).is_on  # the same ones do not put it on again


def test_a_lost_node_holds_it_while_tasks_move() -> None:
    ready, gone = {"n1": True, "n2": True}, {"n1": True, "n2": False}
    onset = [sight(0, nodes=ready), sight(10, nodes=gone)]

    assert after(*onset).reason() == "lost n2"
    assert after(*onset, sight(39, nodes=gone)).is_on
    assert not after(*onset, sight(40, nodes=gone)).is_on  # nothing moved
    moving = [sight(float(now), nodes=gone, is_moving=True) for now in range(11, 70)]
    assert after(*onset, *moving).is_on
    assert not after(*onset, *moving, sight(70, nodes=gone, is_moving=True)).is_on


def test_a_node_that_comes_back_ends_it_sooner() -> None:
    ready, gone = {"n1": True}, {"n1": False}
    onset = [sight(0, nodes=ready), sight(10, nodes=gone), sight(12, nodes=ready, is_moving=True)]

    assert after(*onset, sight(39, nodes=ready, is_moving=True)).is_on
    assert not after(*onset, sight(40, nodes=ready, is_moving=True)).is_on


def test_nodes_that_were_away_at_first_sight_or_left_the_swarm_are_not_lost() -> None:
    assert not after(sight(0, nodes={"n1": False}), sight(1, nodes={"n1": False})).is_on
    assert not after(sight(0, nodes={"n1": True, "n2": True}), sight(1, nodes={"n1": True})).is_on


def test_a_node_that_leaves_after_it_was_lost_makes_no_more_noise() -> None:
    onset = [sight(0, nodes={"n1": True}), sight(1, nodes={"n1": False})]

    assert not after(*onset, sight(31, nodes={}, is_moving=True)).is_on


@pytest.mark.parametrize("cause", [Cause.PROMETHEUS, Cause.QUORUM, Cause.REGISTRY])
def test_a_source_that_is_away_holds_it_until_it_has_been_back_for_a_while(cause: Cause) -> None:
    gone = sight(10, away=frozenset({cause}))

    assert after(sight(0), gone).reason() == str(cause)
    assert after(sight(0), gone, sight(39)).is_on
    assert not after(sight(0), gone, sight(40)).is_on


def test_without_a_registry_only_writes_that_restart_tasks_wait() -> None:
    brake = after(sight(0, away=frozenset({Cause.REGISTRY})))

    assert brake.holds_back(restarts_tasks=True) == "registry away"
    assert brake.holds_back(restarts_tasks=False) == ""
    both = after(sight(0, away=frozenset({Cause.REGISTRY, Cause.PROMETHEUS})))
    assert both.holds_back(restarts_tasks=False) == "Prometheus away; registry away"


def away(start: int, end: int, *causes: Cause) -> list[Sight]:
    return [sight(float(now), away=frozenset(causes)) for now in range(start, end)]


def test_a_source_that_stays_away_wears_it_out_until_it_has_been_back() -> None:
    first = away(0, 300, Cause.PROMETHEUS)

    assert after(*first).is_on
    worn = after(*first, *away(300, 310, Cause.PROMETHEUS))
    assert not worn.is_on
    assert worn.since is None
    assert not after(*first, *away(300, 310, Cause.PROMETHEUS), *away(310, 330), *away(330, 340, Cause.PROMETHEUS)).is_on
    back = [*first, *away(300, 310, Cause.PROMETHEUS), *away(310, 340)]
    assert after(*back, *away(340, 341, Cause.PROMETHEUS)).is_on


def test_while_the_quorum_is_away_nothing_is_worn_out() -> None:
    gone = away(0, 1000, Cause.QUORUM, Cause.PROMETHEUS)

    assert after(*gone).is_on
    assert after(*gone, *away(1000, 1299, Cause.PROMETHEUS)).is_on
    assert not after(*gone, *away(1000, 1300, Cause.PROMETHEUS)).is_on
    assert after(*away(0, 400, Cause.PROMETHEUS), *away(400, 401, Cause.QUORUM)).holding == (Cause.QUORUM,)


def test_readiness_tells_nodes_that_can_be_worked_with() -> None:
    found = readiness(
        [
            node("node1", role="manager", ident="a" * 25),
            node("node2", role="manager", ident="b" * 25, reachability="unreachable"),
            node("node2", ident="c" * 25, state="down"),
            {"ID": "d"},
        ]
    )

    assert found == {"node1 (aaaaaaaaaa)": True, "node2 (bbbbbbbbbb)": False, "node2 (cccccccccc)": False, " (d)": False}


def test_a_sight_is_made_of_statuses_and_nodes() -> None:
    statuses = [
        ServiceStatus(name, Sync.SYNCED, health, 1, 1)
        for name, health in (("a", Health.HEALTHY), ("b", Health.PROGRESSING), ("c", Health.DEGRADED))
    ]
    excused, away = frozenset({"c"}), frozenset({Cause.REGISTRY})

    found = seen(7.0, statuses, [node(ident="a" * 25)], excused=excused, away=away)

    services = {"a": Health.HEALTHY, "b": Health.PROGRESSING, "c": Health.DEGRADED}
    assert found == Sight(7.0, services, excused, {"node1 (aaaaaaaaaa)": True}, is_moving=True, away=away)
    assert not seen(7.0, statuses[::2], []).is_moving
    assert seen(7.0, [replace(statuses[0], running=2)], []).is_moving  # one of them on a node that is lost


HEALTH = st.sampled_from([Health.HEALTHY, Health.DEGRADED, Health.MISSING, Health.PROGRESSING])
SIGHTS = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.5, 5.0, 20.0, 29.0, 45.0]),
        st.fixed_dictionaries(dict.fromkeys("abcd", HEALTH)),
        st.fixed_dictionaries(dict.fromkeys(["n1", "n2"], st.booleans())),
        st.booleans(),
        st.frozensets(st.sampled_from([Cause.QUORUM, Cause.PROMETHEUS, Cause.REGISTRY]), max_size=2),
    ),
    min_size=20,
    max_size=60,
)


@given(SIGHTS)
def test_whatever_happens_it_lets_go_in_finite_time(seen: list[Any]) -> None:
    brake, now, held_from = Brake(), 0.0, None
    for gap, services, nodes, is_moving, gone in seen:
        now += gap
        brake = step(brake, Sight(now, services, frozenset(), nodes, is_moving, gone))
        if not brake.is_on or Cause.QUORUM in gone:
            held_from = None
        else:
            held_from = now if held_from is None else held_from
            assert now - held_from < LONGEST_SECONDS
        assert brake.is_on is (brake.since is not None)
        assert bool(brake.reason()) is brake.is_on

    still = Sight(now + QUIET_SECONDS, brake.services, frozenset(), brake.nodes)
    assert not step(brake, still).is_on  # nothing new for a while: it is off, however bad things stand


@settings(max_examples=50)
@given(st.integers(0, 2**32))
def test_noise_without_end_lets_writes_through_again_and_again(seed: int) -> None:
    chance = Random(seed)  # noqa: S311 - a seed that hypothesis shrinks
    brake, now, let_through = Brake(), 0.0, 0.0
    for _ in range(200):
        now += chance.choice([0.5, 5.0, 20.0, 29.0])
        brake = step(brake, Sight(now, away=frozenset(chance.sample([Cause.PROMETHEUS, Cause.REGISTRY], chance.randint(1, 2)))))
        if not brake.is_on:
            let_through = now
        assert now - let_through < LONGEST_SECONDS + 29.0
