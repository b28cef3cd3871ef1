"""The state that operators write: pauses in labels, the cluster's key in the data."""

from __future__ import annotations

from controller.core.state import (
    STATE_NAME,
    content_key,
    freed,
    heal_stamps,
    held_targets,
    new_state,
    paused_targets,
    with_guards,
    with_pause,
)
from controller.model.spec import Json
from tests.support.specs import snapshot

KEY = b"\x00\xff" * 16


def test_a_swarm_without_state_has_nothing_paused_and_no_key() -> None:
    assert paused_targets(snapshot()) == frozenset()
    assert content_key(snapshot()) is None


def test_the_key_is_found_again() -> None:
    state: Json = {"ID": "s", "Spec": new_state(KEY)}

    assert state["Spec"]["Name"] == STATE_NAME
    assert content_key(snapshot(configs=[state])) == KEY


def test_a_state_without_labels_or_data_says_nothing() -> None:
    seen = snapshot(configs=[{"ID": "s", "Spec": {"Name": STATE_NAME, "Labels": None}}])

    assert paused_targets(seen) == frozenset()
    assert content_key(seen) == b""


def test_pauses_are_added_and_taken_away_one_by_one() -> None:
    first = with_pause(new_state(KEY), "shop", since="2026-01-01T00:00:00+00:00")
    both = with_pause(first, "shop/web", since="2026-01-02T00:00:00+00:00")

    assert paused_targets(snapshot(configs=[{"Spec": both}])) == {"shop", "shop/web"}
    assert with_pause(both, "shop/web", since=None) == first
    assert paused_targets(snapshot(configs=[{"Spec": with_pause(first, "shop", since=None)}])) == frozenset()


def test_other_labels_and_the_key_survive_a_pause() -> None:
    spec = {"Name": STATE_NAME, "Labels": None, "Data": "QQ=="}

    assert with_pause(spec, "shop", since=None) == {"Name": STATE_NAME, "Labels": {}, "Data": "QQ=="}


def test_holds_and_corrections_are_put_beside_pauses_and_found_again() -> None:
    paused = with_pause(new_state(KEY), "shop", since="2026-01-01T00:00:00+00:00")
    spec = with_guards(paused, {"shop/web": "2026-01-02T00:00:00+00:00 why"}, {"shop/web": ["1.0", "2.5"], "blog/db": ["3.0"]})
    state = {"ID": "s", "Spec": spec}

    assert held_targets(snapshot(configs=[state])) == {"shop/web": "2026-01-02T00:00:00+00:00 why"}
    assert heal_stamps(state) == {"shop/web": ("1.0", "2.5"), "blog/db": ("3.0",)}
    assert paused_targets(snapshot(configs=[state])) == {"shop"}
    assert with_guards(spec, {"shop/web": ""}, {"shop/web": (), "blog/db": ()}) == paused


def test_a_swarm_without_state_holds_and_counts_nothing() -> None:
    assert held_targets(snapshot()) == {}
    assert heal_stamps(None) == {}


def test_freeing_a_stack_frees_its_services_and_no_others() -> None:
    spec = with_guards(new_state(KEY), {"shop/web": "a", "shopping/web": "b"}, {"shop/db": ["1.0"], "shop/web": ["2.0"]})

    assert freed(spec, "shop") == with_guards(new_state(KEY), {"shopping/web": "b"}, {})
    assert freed(spec, "shop/web") == with_guards(new_state(KEY), {"shopping/web": "b"}, {"shop/db": ["1.0"]})
    assert freed(spec, "blog") == spec
