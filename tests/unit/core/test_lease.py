"""The lease's rules: who may take it, until when its holder may act, and what labels are taken to mean."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.core.lease import (
    LEASE_NAME,
    LONGEST_SECONDS,
    MARGIN,
    Lease,
    Sighting,
    held_until,
    lease_spec,
    may_be_taken,
    sighted,
    taken,
)

HELD = Lease("a", 3, "2026-01-01T00:00:00.000+00:00", 10.0)
RELEASED = Lease("", 3, "2026-01-01T00:00:00.000+00:00", 10.0)


def live(lease: Lease, *, version: int = 7) -> dict[str, Any]:
    return {"ID": "id", "Version": {"Index": version}, "Spec": lease_spec(lease)}


def labelled(**words: str) -> dict[str, Any]:
    return {"Version": {"Index": 7}, "Spec": {"Labels": {f"prodbreaker.lease.{name}": word for name, word in words.items()}}}


@given(
    holder=st.text(max_size=20),
    epoch=st.integers(0, 10**15 - 1),
    renewed=st.text(max_size=20),
    seconds=st.integers(1, int(LONGEST_SECONDS)),
)
def test_what_is_written_is_read_back(holder: str, epoch: int, renewed: str, seconds: int) -> None:
    lease = Lease(holder, epoch, renewed, float(seconds))

    assert sighted(None, live(lease), now=5.0, seconds=60.0) == Sighting(7, lease, 5.0)


def test_a_new_config_has_a_name_and_data_since_swarm_takes_none_without() -> None:
    spec = lease_spec(HELD)

    assert spec["Name"] == LEASE_NAME
    assert spec["Data"]


def test_a_renewal_keeps_what_others_wrote_into_the_config() -> None:
    spec = lease_spec(RELEASED, {"Name": LEASE_NAME, "Data": "eA==", "Labels": {"owner": "ops", "prodbreaker.lease.holder": "a"}})

    assert spec["Data"] == "eA=="
    assert spec["Labels"]["owner"] == "ops"
    assert spec["Labels"]["prodbreaker.lease.holder"] == ""


def test_an_unchanged_version_keeps_the_time_at_which_it_was_first_seen() -> None:
    first = sighted(None, live(HELD), now=5.0, seconds=10.0)

    assert sighted(first, live(HELD), now=14.0, seconds=10.0) is first


def test_a_changed_version_counts_from_when_it_was_seen() -> None:
    first = sighted(None, live(HELD), now=5.0, seconds=10.0)

    assert sighted(first, live(HELD, version=8), now=14.0, seconds=10.0).since == 14.0


def test_times_in_the_labels_change_nothing() -> None:
    ancient = Lease("a", 3, "1970-01-01T00:00:00.000+00:00", 10.0)

    assert not may_be_taken(sighted(None, live(ancient), now=5.0, seconds=10.0), now=14.9)


@pytest.mark.parametrize(("now", "may"), [(5.0, False), (14.999, False), (15.0, True), (100.0, True)])
def test_a_held_lease_may_be_taken_when_it_has_not_changed_for_its_length(now: float, *, may: bool) -> None:
    assert may_be_taken(Sighting(7, HELD, 5.0), now=now) is may


def test_a_released_lease_may_be_taken_at_once() -> None:
    assert may_be_taken(Sighting(7, RELEASED, 5.0), now=5.0)


def test_the_length_that_counts_is_the_holder_s_own() -> None:
    sighting = sighted(None, live(Lease("a", 1, "", 60.0)), now=0.0, seconds=10.0)

    assert not may_be_taken(sighting, now=59.9)
    assert may_be_taken(sighting, now=60.0)


def test_a_lease_that_does_not_exist_may_be_made() -> None:
    missing = sighted(None, None, now=5.0, seconds=10.0)

    assert missing == Sighting(None, Lease("", 0, "", 10.0), 5.0)
    assert may_be_taken(missing, now=5.0)


def test_the_epoch_outlives_a_removal() -> None:
    before = sighted(None, live(Lease("a", 4, "", 60.0)), now=0.0, seconds=10.0)
    removed = sighted(before, None, now=30.0, seconds=10.0)

    assert taken(removed.lease, "b", renewed="now", seconds=10.0) == Lease("b", 5, "now", 10.0)


def test_the_epoch_counts_leaders() -> None:
    assert taken(HELD, "b", renewed="now", seconds=20.0) == Lease("b", 4, "now", 20.0)


@pytest.mark.parametrize("seconds", ["", "soon", "nan", "inf", "-1", "0", "1e9"])
def test_a_length_that_cannot_be_is_taken_to_be_one_s_own(seconds: str) -> None:
    assert sighted(None, labelled(holder="a", seconds=seconds), now=0.0, seconds=10.0).lease.seconds == 10.0


@pytest.mark.parametrize("epoch", ["", "-1", "x", "9" * 5000])
def test_an_epoch_that_cannot_be_counts_as_none(epoch: str) -> None:
    assert sighted(None, labelled(holder="a", epoch=epoch), now=0.0, seconds=10.0).lease.epoch == 0


@pytest.mark.parametrize("labels", [{}, None])
def test_labels_that_were_wiped_are_no_release(labels: dict[str, str] | None) -> None:
    wiped = sighted(None, {"Version": {"Index": 7}, "Spec": {"Labels": labels}}, now=0.0, seconds=10.0)

    assert not may_be_taken(wiped, now=9.9)
    assert may_be_taken(wiped, now=10.0)


@given(
    started=st.floats(0, 1e6),
    delay=st.floats(0, 100),
    seconds=st.floats(1, LONGEST_SECONDS),
)
def test_the_holder_has_stopped_a_margin_before_anybody_may_take_over(started: float, delay: float, seconds: float) -> None:
    """`delay` is what lies between the beginning of a renewal and the moment at which another one has read it."""
    seen = Sighting(7, Lease("a", 1, "", seconds), started + delay)
    ends = held_until(started, seconds)

    assert ends < started + seconds
    assert not may_be_taken(seen, now=ends + 0.9 * MARGIN * seconds)
