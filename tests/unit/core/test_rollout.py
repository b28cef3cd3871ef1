"""States of revisions, and what runs in the place of a refused one."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from controller.core.revisions import REVISION_LABEL
from controller.core.rollout import (
    TRANSITIONS,
    Standing,
    Turn,
    is_job,
    is_undone,
    newest,
    partners,
    standing,
    turned,
    way_back,
)
from controller.model.revision import Revision, RevisionState
from controller.model.spec import Json
from tests.support.specs import body, live, mounted

S = RevisionState
ALLOWED = {
    (S.PROGRESSING, Turn.PROVEN): S.STABLE,
    (S.PROGRESSING, Turn.REPLACED): S.SUPERSEDED,
    (S.PROGRESSING, Turn.FOUND_BAD): S.FAILED,
    (S.STABLE, Turn.FOUND_BAD): S.FAILED,
    (S.SUPERSEDED, Turn.PROVEN): S.STABLE,
    (S.SUPERSEDED, Turn.FOUND_BAD): S.FAILED,
    (S.FAILED, Turn.WENT_BACK): S.QUARANTINED,
    (S.FAILED, Turn.REPLACED): S.QUARANTINED,
    (S.FAILED, Turn.RELEASED): S.SUPERSEDED,
    (S.QUARANTINED, Turn.RELEASED): S.SUPERSEDED,
}


def kept(
    number: int,
    digest: str,
    state: RevisionState,
    *,
    target: int | None = None,
    group: str = "",
    service: str = "shop_web",
    container: Json | None = None,
) -> Revision:
    return Revision(service, number, digest, state, "", target=target, group=group, body=body(container=container or {}))


def of(digest: str, state: str = "", *, started: str = "2026-01-01T00:00:02Z") -> Json:
    labels = {REVISION_LABEL: digest} if digest else {}
    found = live(body(labels=labels))
    return {**found, "UpdateStatus": {"State": state, "StartedAt": started}} if state else found


@pytest.mark.parametrize(("state", "turn"), list(itertools.product(S, Turn)))
def test_a_turn_leads_where_the_table_says_and_any_other_is_refused(state: RevisionState, turn: Turn) -> None:
    before = kept(1, "a", state)
    after = ALLOWED.get((state, turn))

    assert TRANSITIONS.get((state, turn)) is after
    if after is None:
        with pytest.raises(ValueError, match=f"a {state} revision cannot be {turn}"):
            turned(before, turn, "why")
    else:
        assert turned(before, turn, "why") == replace(before, state=after, why="why")


def test_of_a_declaration_that_came_back_the_newest_revision_counts() -> None:
    history = [kept(1, "a", S.STABLE), kept(2, "b", S.STABLE), kept(3, "a", S.PROGRESSING)]

    found = newest(history, "a")
    assert found is history[2]
    assert newest(history, "c") is None
    assert newest(history, "") is None


A, B, C = kept(1, "a", S.STABLE), kept(2, "b", S.QUARANTINED, target=1), kept(3, "c", S.STABLE)
FAILED, ON_TRIAL = replace(B, state=S.FAILED), replace(C, state=S.PROGRESSING)

BACKS = {
    "to the newest stable one": ([A, C, kept(4, "d", S.PROGRESSING)], C),
    "not to one that was replaced before it was proven": ([A, replace(C, state=S.SUPERSEDED), kept(4, "d", S.STABLE)], A),
    "not to one that is new itself": ([A, replace(C, state=S.PROGRESSING), kept(4, "d", S.STABLE)], A),
    "not to a refused one": ([A, B, FAILED, kept(4, "d", S.STABLE)], A),
    "not to the same declaration": ([A, kept(3, "d", S.STABLE), kept(4, "d", S.STABLE)], A),
    "not to a declaration that was found bad when it came back": ([A, kept(2, "a", S.QUARANTINED), kept(4, "d", S.STABLE)], None),
    "nowhere where nothing was stable": ([replace(A, state=S.SUPERSEDED), kept(4, "d", S.STABLE)], None),
}


@pytest.mark.parametrize("name", BACKS)
def test_the_way_back_leads(name: str) -> None:
    history, expected = BACKS[name]
    assert way_back(history, history[-1]) is expected


STANDS: dict[str, tuple[list[Revision], str, Json | None, Standing]] = {
    "what is new is not refused": ([A], "b", of("a"), Standing()),
    "what is on trial is not refused": ([A, kept(2, "b", S.PROGRESSING)], "b", of("b"), Standing()),
    "what is proven is not refused": ([A, kept(2, "b", S.STABLE)], "b", of("b"), Standing()),
    "what was released is not refused": ([A, kept(2, "b", S.SUPERSEDED)], "b", of("a"), Standing()),
    "a bad one leads to its target": ([A, FAILED], "b", of("b"), Standing(FAILED, A)),
    "a bad one leads there although another runs": ([A, FAILED, C], "b", of("c"), Standing(FAILED, A)),
    "a quarantined one leads to what runs": ([A, B, C], "b", of("c"), Standing(B, C)),
    "also to what is on trial": ([A, B, ON_TRIAL], "b", of("c"), Standing(B, ON_TRIAL)),
    "A, a bad B, and A again": ([A, B], "a", of("a"), Standing()),
    "a bad B that is declared again": ([A, B], "b", of("a"), Standing(B, A)),
    "a bad B that still runs": ([A, B], "b", of("b"), Standing(B, A)),
    "a quarantined one where a refused one runs": ([A, B, replace(C, state=S.FAILED)], "b", of("c"), Standing(B, A)),
    "a target that is gone": ([A, replace(B, target=9)], "b", of("b"), Standing(replace(B, target=9), A)),
    "no target, and something stable by now": ([replace(B, target=None), C], "b", of("b"), Standing(replace(B, target=None), C)),
    "nothing that was ever stable": ([replace(B, target=None)], "b", of("b"), Standing(replace(B, target=None))),
    "what docker wrote": ([A, B], "b", of(""), Standing(B, A)),
    "what nobody knows": ([A, B], "b", of("x"), Standing(B, A)),
    "a service that is missing": ([A, B], "b", None, Standing(B, A)),
    "a service that is missing on the way back": ([A, FAILED], "b", None, Standing(FAILED, A)),
    "of two of one declaration the newest counts": ([A, B, kept(4, "b", S.STABLE)], "b", of("b"), Standing()),
}  # fmt: skip


@pytest.mark.parametrize("name", STANDS)
def test_what_a_service_stands_for(name: str) -> None:
    history, declared, seen, expected = STANDS[name]
    assert standing(history, declared, seen) == expected


BEFORE, AFTER = "2026-01-01T00:00:01Z", "2026-01-01T00:00:03Z"
UNDONE = {
    "rolled back since": (FAILED, of("b", "rollback_completed"), BEFORE, True),
    "being rolled back": (FAILED, of("b", "rollback_started"), BEFORE, True),
    "rolled back to before it was refused": (FAILED, of("b", "rollback_completed"), AFTER, False),
    "quarantined": (B, of("b", "rollback_paused"), AFTER, True),
    "another one runs": (FAILED, of("a", "rollback_completed"), BEFORE, False),
    "an update that goes on": (FAILED, of("b", "updating"), BEFORE, False),
    "no update": (FAILED, of("b"), BEFORE, False),
    "no service": (FAILED, None, BEFORE, False),
}


@pytest.mark.parametrize("name", UNDONE)
def test_whether_swarm_undid_the_way_back(name: str) -> None:
    refused, seen, changed, expected = UNDONE[name]
    assert is_undone(replace(refused, changed=changed), seen) is expected


def using(*names: str) -> Json:
    return {"Configs": [mounted("Config", name) for name in names]}


def pair(service: str, state: RevisionState = S.STABLE, *, group: str = "g", now: str = "new") -> list[Revision]:
    return [
        kept(1, f"{service}-1", S.STABLE, service=service, container=using("old")),
        kept(2, f"{service}-2", state, group=group, service=service, container=using(now)),
    ]


PARTNERS = {
    "who shares what is new": ({"api": pair("api")}, ["api"]),
    "who is still on trial": ({"api": pair("api", S.PROGRESSING)}, ["api"]),
    "nobody who was found bad already": ({"api": pair("api", S.FAILED)}, []),
    "nobody of another edit": ({"api": pair("api", group="other")}, []),
    "nobody with another content": ({"api": pair("api", now="another")}, []),
    "nobody whose content is not new": ({"api": pair("api", now="old")}, []),
    "nobody who has nothing to go back to": ({"api": pair("api")[1:]}, []),
    "nobody who has changed since": ({"api": [*pair("api"), kept(3, "api-3", S.STABLE, container=using("new"))]}, []),
}


@pytest.mark.parametrize("name", PARTNERS)
def test_together_with_a_bad_revision_goes(name: str) -> None:
    others, expected = PARTNERS[name]
    web = pair("web", S.PROGRESSING)
    assert [item.service for item in partners(web[1], {"web": web, **others})] == expected


def test_without_an_edit_that_brought_it_nobody_goes_together_with_it() -> None:
    web = pair("web", S.PROGRESSING, group="")
    assert partners(web[1], {"web": web, "api": pair("api", group="")}) == []


def test_new_is_what_the_stable_revision_before_did_not_have() -> None:
    """What a bad revision between brought is new to the next one too."""
    web = [*pair("web", S.QUARANTINED), kept(3, "web-3", S.PROGRESSING, group="h", service="web", container=using("new"))]
    api = [pair("api")[0], kept(2, "api-2", S.PROGRESSING, group="h", service="api", container=using("new"))]

    assert partners(web[2], {"web": web, "api": api}) == [api[1]]


@pytest.mark.parametrize(
    ("mode", "expected"),
    [("Replicated", False), ("Global", False), ("ReplicatedJob", True), ("GlobalJob", True)],
)
def test_jobs_are_jobs(mode: str, expected: bool) -> None:
    assert is_job({"Mode": {mode: {}}}) is expected
    assert is_job({}) is False
