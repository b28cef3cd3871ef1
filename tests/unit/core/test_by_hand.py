"""What an operator decides about revisions, as the labels that say so."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from controller.core.by_hand import BY_HAND, Entry, Rollback, Ways, history_of, release, roll_back
from controller.core.revisions import REVISION_LABEL, creation, histories
from controller.errors import ProdBreakerError
from controller.model.observation import Snapshot
from controller.model.plan import Action, ObjectKind, Reason, Verb
from controller.model.revision import Revision, RevisionState
from tests.support.specs import body, live, snapshot

PROGRESSING, STABLE, SUPERSEDED = RevisionState.PROGRESSING, RevisionState.STABLE, RevisionState.SUPERSEDED
FAILED, QUARANTINED = RevisionState.FAILED, RevisionState.QUARANTINED
WEB = "shop_web"


def rev(number: int, digest: str, state: RevisionState, **parts: Any) -> Revision:
    since = f"2026-01-01T12:00:0{number}Z"
    return Revision(WEB, number, digest, state, since, body=body("web", f"web:{digest}"), **parts)


def seen(*revisions: Revision, runs: str | None = "") -> Snapshot:
    """`runs`: digest on the live service's label; None: there is no service."""
    labels = {REVISION_LABEL: runs} if runs else {}
    services = [] if runs is None else [live(body("web", labels=labels), UpdatedAt="2026-01-01T12:30:00Z")]
    configs = [
        {"ID": f"c{item.number}", "Version": {"Index": 7}, "CreatedAt": "", "Spec": creation(item).body} for item in revisions
    ]
    return snapshot(*services, configs=configs)


def written(before: Snapshot, actions: tuple[Action, ...]) -> list[Revision]:
    """The history once these labels are written."""
    configs = dict(before.configs)
    for action in actions:
        assert (action.verb, action.kind, action.reason, action.version) == (
            Verb.UPDATE, ObjectKind.CONFIG, Reason.REVISION, 7,
        )  # fmt: skip
        configs[action.name] = {**configs[action.name], "Spec": action.body}
    return list(histories(replace(before, configs=configs))[WEB])


def states(before: Snapshot, actions: tuple[Action, ...]) -> list[tuple[RevisionState, int | None]]:
    return [(item.state, item.target) for item in written(before, actions)]


A, B = rev(1, "a", STABLE), rev(2, "b", STABLE)
BAD = rev(3, "c", QUARANTINED, why="it crashed", target=2, is_back=True)


def test_the_declared_revision_is_refused_and_the_newest_stable_other_one_takes_its_place() -> None:
    before = seen(A, B, runs="b")

    order = roll_back(WEB, before, declared="b")

    assert (order.refused.number, order.target.number) == (2, 1)
    assert states(before, order.actions) == [(STABLE, None), (FAILED, 1)]
    assert written(before, order.actions)[-1].why == BY_HAND


@pytest.mark.parametrize("state", [PROGRESSING, STABLE, SUPERSEDED])
def test_whatever_is_known_of_the_declared_one(state: RevisionState) -> None:
    before = seen(A, rev(2, "b", state), runs="b")

    assert states(before, roll_back(WEB, before, declared="b").actions)[-1] == (FAILED, 1)


@pytest.mark.parametrize("state", [PROGRESSING, SUPERSEDED, FAILED, QUARANTINED])
def test_one_that_never_was_stable_takes_its_place_when_its_number_is_given(state: RevisionState) -> None:
    before = seen(A, rev(2, "x", state, target=1), rev(3, "b", STABLE), runs="b")

    order = roll_back(WEB, before, declared="b", to=2)

    assert states(before, order.actions)[-1] == (FAILED, 2)
    assert roll_back(WEB, before, declared="b").target.number == 1


def test_of_a_declaration_that_came_back_the_newest_revision_is_refused() -> None:
    before = seen(A, B, rev(3, "a", STABLE), runs="a")

    order = roll_back(WEB, before, declared="a")

    assert (order.refused.number, order.target.number) == (3, 2)


@pytest.mark.parametrize("to", [None, 1])
def test_where_another_one_took_its_place_already_both_are_refused(to: int | None) -> None:
    before = seen(A, B, BAD, runs="b")

    order = roll_back(WEB, before, declared="c", to=to)

    assert (order.refused.number, order.target.number) == (3, 1)
    assert states(before, order.actions) == [(STABLE, None), (QUARANTINED, 1), (FAILED, 1)]
    assert [action.name[-1] for action in order.actions] == ["2", "3"]  # what leads to another comes last
    assert not written(before, order.actions)[-1].is_back


def test_a_way_back_that_is_under_way_is_ordered_again_without_a_write() -> None:
    before = seen(A, B, replace(BAD, state=FAILED, is_back=False), runs="c")

    for to in (None, 2):
        order = roll_back(WEB, before, declared="c", to=to)
        assert (order.target.number, order.actions) == (2, ())


def test_a_way_back_that_is_under_way_is_led_elsewhere() -> None:
    before = seen(A, B, replace(BAD, state=FAILED, is_back=False), runs="c")

    order = roll_back(WEB, before, declared="c", to=1)

    assert states(before, order.actions) == [(STABLE, None), (STABLE, None), (FAILED, 1)]


def test_a_way_back_whose_target_is_kept_no_more_leads_to_the_newest_stable_one() -> None:
    before = seen(A, replace(BAD, state=FAILED, is_back=False), runs="c")

    assert states(before, roll_back(WEB, before, declared="c").actions) == [(STABLE, None), (FAILED, 1)]


def test_what_is_there_already_is_no_error_and_no_write() -> None:
    order = roll_back(WEB, seen(A, B, BAD, runs="b"), declared="c", to=2)

    assert order == Rollback(order.refused, order.target)
    assert order.target.number == 2


def test_after_a_better_one_ran_a_refused_declaration_may_still_lead_back_further() -> None:
    better = rev(4, "d", STABLE)
    before = seen(A, B, BAD, better, runs="d")  # c was declared again, and d goes on to run

    order = roll_back(WEB, before, declared="c", to=2)

    assert states(before, order.actions)[1:] == [(STABLE, None), (FAILED, 2), (QUARANTINED, 2)]


def test_a_bad_one_that_runs_because_nothing_was_better_can_be_led_back_by_number() -> None:
    before = seen(rev(1, "a", SUPERSEDED), rev(2, "b", QUARANTINED), runs="b")

    order = roll_back(WEB, before, declared="b", to=1)

    assert states(before, order.actions) == [(SUPERSEDED, None), (FAILED, 1)]
    with pytest.raises(ProdBreakerError, match="there is no other stable revision"):
        roll_back(WEB, before, declared="b")


def test_what_runs_although_another_one_is_declared_may_be_chosen_to_stay() -> None:
    before = seen(A, rev(2, "b", PROGRESSING), runs="a")  # Swarm itself went back to it

    order = roll_back(WEB, before, Ways(is_same=lambda item: item.digest == "a"), declared="b")

    assert (order.target.number, states(before, order.actions)) == (1, [(STABLE, None), (FAILED, 1)])


def test_what_is_unfit_is_passed_over_and_refused_by_its_number() -> None:
    before = seen(A, B, rev(3, "c", STABLE), rev(4, "d", STABLE), runs="d")
    ways = Ways(lost=lambda item: ["config x"] if item.number == 3 else [], is_same=lambda item: item.number == 2)

    assert roll_back(WEB, before, ways, declared="d").target.number == 1
    with pytest.raises(ProdBreakerError, match="revision 3 needs what is gone: config x"):
        roll_back(WEB, before, ways, declared="d", to=3)
    with pytest.raises(ProdBreakerError, match="revision 2 is what runs, but for its replicas"):
        roll_back(WEB, before, ways, declared="d", to=2)


def test_a_service_that_is_not_there_is_gone_back_with_too() -> None:
    before = seen(A, B, runs=None)

    assert states(before, roll_back(WEB, before, declared="b").actions)[-1] == (FAILED, 1)


@pytest.mark.parametrize(
    ("before", "declared", "to", "reason"),
    [
        (seen(runs=None), "a", None, "there is no service shop_web, and there are no revisions of it"),
        (seen(), "a", None, "shop_web has no revisions yet: they are kept from its first edit on"),
        (seen(A, B, runs="b"), "new", None, "what is declared has not gone out yet"),
        (seen(A, runs="a"), "a", None, r"there is no other stable revision to go back to; it has 1 \(stable\)"),
        (seen(A, B, runs="b"), "b", 9, r"no revision 9; it has 1 \(stable\), 2 \(stable\)"),
        (seen(A, B, runs="b"), "b", 2, "revision 2 is what is declared already"),
        (seen(A, B, rev(3, "a", STABLE), runs="a"), "a", 1, "revision 1 is what is declared already"),
        (seen(A, B, BAD, runs="b"), "c", 3, "revision 3 is what is declared, and refused: `prodbreaker release`"),
        (seen(A, BAD, runs="c"), "c", 2, r"no revision 2; it has 1 \(stable\), 3 \(quarantined\)"),
    ],
)
def test_what_cannot_be_gone_back_to_is_an_error_that_says_what_there_is(
    before: Snapshot, declared: str, to: int | None, reason: str
) -> None:
    with pytest.raises(ProdBreakerError, match=reason):
        roll_back(WEB, before, declared=declared, to=to)


@pytest.mark.parametrize("state", [FAILED, QUARANTINED])
def test_a_refused_revision_is_released(state: RevisionState) -> None:
    before = seen(A, B, replace(BAD, state=state), runs="b")

    for given in (release(WEB, before), release(WEB, before, declared="c"), release(WEB, before, number=3)):
        assert given.revision is not None
        assert given.revision.number == 3
        assert states(before, given.actions)[-1][0] is SUPERSEDED
        assert written(before, given.actions)[-1].why == "released by hand"


@pytest.mark.parametrize("declared", ["", "c"])
def test_of_several_that_are_refused_the_declared_one_else_the_newest(declared: str) -> None:
    before = seen(A, BAD, rev(4, "d", QUARANTINED), runs="a")

    given = release(WEB, before, declared=declared)

    assert given.revision is not None
    assert given.revision.digest == (declared or "d")


def test_where_nothing_is_refused_nothing_is_written() -> None:
    before = seen(A, B, BAD, runs="b")

    assert release(WEB, seen(A, B, runs="b")).actions == ()
    assert release(WEB, before, declared="b").revision is None
    assert release(WEB, before, number=1).revision is None


def test_what_there_is_not_cannot_be_released() -> None:
    with pytest.raises(ProdBreakerError, match="no revision 9; it has 1"):
        release(WEB, seen(A, runs="a"), number=9)
    with pytest.raises(ProdBreakerError, match="it has none"):
        release(WEB, seen(), number=1)
    with pytest.raises(ProdBreakerError, match="there is no service"):
        release(WEB, seen(runs=None))


def test_a_history_marks_the_newest_revision_of_what_runs() -> None:
    found = history_of(WEB, seen(A, B, rev(3, "a", STABLE), runs="a"))

    assert [(entry.revision.number if entry.revision else 0, entry.is_live) for entry in found] == [
        (1, False), (2, False), (3, True),
    ]  # fmt: skip
    assert found[0].since == "2026-01-01T12:00:01Z"


@pytest.mark.parametrize("runs", ["", "unknown"])
def test_what_runs_and_was_not_kept_is_the_last_line(runs: str) -> None:
    assert history_of(WEB, seen(A, runs=runs))[1:] == [Entry(None, is_live=True, since="2026-01-01T12:30:00Z")]


def test_a_service_that_is_gone_still_has_its_history() -> None:
    assert [entry.is_live for entry in history_of(WEB, seen(A, B, runs=None))] == [False, False]
    with pytest.raises(ProdBreakerError, match="there is no service shop_web"):
        history_of(WEB, seen(runs=None))
