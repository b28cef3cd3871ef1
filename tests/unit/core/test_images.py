"""Which image runs: the registry's answer, what ran before, or the file's tag (stack-files 2.8)."""

from __future__ import annotations

from typing import Any

import pytest

from controller.core.images import REFERENCE_LABEL, Choice, Resolve, choose_image
from controller.model.observation import Knowledge, ResolvedImage
from controller.model.policy import ServicePolicy
from controller.model.spec import IMAGE_LABEL, DesiredService, Json
from tests.support.specs import body, live, service

OLD, NEW, OTHER = (f"sha256:{digit * 64}" for digit in "abc")
PLATFORMS = ({"OS": "linux", "Architecture": "amd64"},)
ANSWERS = Knowledge(images={f"nginx:{tag}": ResolvedImage(f"nginx:{tag}@{NEW}", PLATFORMS) for tag in "12"})
ASKED = Choice(f"nginx:1@{NEW}", platforms=PLATFORMS)
UNKNOWN = Knowledge()
ALWAYS, CHANGED, NEVER = Resolve


def choose(
    seen: Json | None, resolve: Resolve = CHANGED, *, knowledge: Knowledge = ANSWERS, wanted: DesiredService | None = None
) -> Choice:
    return choose_image(wanted or service(image="nginx:1"), seen, knowledge, resolve)


def running(image: str, *, file_image: str = "nginx:1", kept: str = "") -> Json:
    """A live service that runs `image`, was declared with `file_image`, and carries our reference `kept`."""
    labels = {IMAGE_LABEL: file_image, **({REFERENCE_LABEL: kept} if kept else {})}
    return live(body(container={"Image": image}, labels=labels))


def last(reference: str) -> Knowledge:
    return Knowledge(images=ANSWERS.images, last_images={"shop_web": ResolvedImage(reference)})


# A new service.


@pytest.mark.parametrize(("resolve", "expected"), [(ALWAYS, ASKED), (CHANGED, ASKED), (NEVER, Choice("nginx:1"))])
def test_a_new_service_is_pinned_unless_the_registry_is_never_asked(resolve: Resolve, expected: Choice) -> None:
    assert choose(None, resolve) == expected


@pytest.mark.parametrize("resolve", [ALWAYS, CHANGED])
def test_without_an_answer_the_question_stands_open(resolve: Resolve) -> None:
    assert choose(None, resolve, knowledge=UNKNOWN) == Choice("nginx:1", must_ask=True)


@pytest.mark.parametrize(
    ("resolve", "expected"),
    [(ALWAYS, ASKED), (CHANGED, Choice(f"nginx:1@{OLD}")), (NEVER, Choice("nginx:1"))],
)
def test_what_is_healed_comes_back_as_it_was(resolve: Resolve, expected: Choice) -> None:
    assert choose(None, resolve, knowledge=last(f"nginx:1@{OLD}")) == expected


@pytest.mark.parametrize("reference", [f"nginx:0@{OLD}", "nginx:1", ""])
def test_what_ran_before_is_no_answer_for_another_image_or_without_a_digest(reference: str) -> None:
    assert choose(None, knowledge=last(reference)) == ASKED


@pytest.mark.parametrize("resolve", list(Resolve))
@pytest.mark.parametrize("seen", [None, running(f"nginx:1@{OLD}")], ids=["new", "live"])
def test_a_digest_in_the_file_is_taken_literally(resolve: Resolve, seen: Json | None) -> None:
    assert choose(seen, resolve, wanted=service(image=f"nginx:1@{OTHER}")) == Choice(f"nginx:1@{OTHER}")


# An update.


@pytest.mark.parametrize(("resolve", "expected"), [(ALWAYS, ASKED), (CHANGED, ASKED), (NEVER, Choice("nginx:1"))])
def test_another_image_in_the_file_is_resolved_anew(resolve: Resolve, expected: Choice) -> None:
    assert choose(running(f"nginx:0@{OLD}", file_image="nginx:0"), resolve) == expected


def test_without_an_answer_another_image_in_the_file_is_a_question() -> None:
    seen = running(f"nginx:0@{OLD}", file_image="nginx:0", kept=f"nginx:0@{OLD}")

    assert choose(seen, knowledge=UNKNOWN) == Choice("nginx:1", must_ask=True)


@pytest.mark.parametrize("resolve", [CHANGED, NEVER])
@pytest.mark.parametrize("image", [f"nginx:1@{OLD}", "nginx:1"])
def test_while_the_file_is_the_same_what_runs_is_kept(resolve: Resolve, image: str) -> None:
    assert choose(running(image), resolve) == Choice(image)


def test_always_asks_also_while_the_file_is_the_same() -> None:
    assert choose(running(f"nginx:1@{OLD}"), ALWAYS) == ASKED
    assert choose(running(f"nginx:1@{OLD}"), ALWAYS, knowledge=UNKNOWN).must_ask


@pytest.mark.parametrize("resolve", [CHANGED, NEVER])
@pytest.mark.parametrize("by_hand", [f"nginx:2@{OTHER}", f"nginx:1@{OTHER}", "nginx:1", "redis"])
def test_an_image_set_by_hand_goes_back_to_the_reference_that_we_wrote(resolve: Resolve, by_hand: str) -> None:
    seen = running(by_hand, kept=f"nginx:1@{OLD}")

    assert choose(seen, resolve, knowledge=last(f"nginx:1@{OTHER}")) == Choice(f"nginx:1@{OLD}")


@pytest.mark.parametrize("by_hand", [f"nginx:2@{OTHER}", f"nginx:1@{OTHER}", "redis"])
def test_an_image_set_by_hand_on_an_adopted_service_goes_back_to_what_was_last_seen(by_hand: str) -> None:
    assert choose(running(by_hand), knowledge=last(f"nginx:1@{OLD}")) == Choice(f"nginx:1@{OLD}")


@pytest.mark.parametrize(("resolve", "expected"), [(CHANGED, ASKED), (NEVER, Choice("nginx:1"))])
def test_an_image_set_by_hand_before_anybody_looked_is_resolved_from_the_file(resolve: Resolve, expected: Choice) -> None:
    assert choose(running("redis:7"), resolve) == expected


def test_a_live_spec_without_labels_or_container_is_an_edit() -> None:
    assert choose({"ID": "x", "Spec": {"Name": "shop_web", "Labels": None}}) == ASKED


# Ignored.


@pytest.mark.parametrize("resolve", list(Resolve))
def test_an_ignored_image_stays_what_it_is(resolve: Resolve) -> None:
    wanted = service(image="nginx:1", policy=ServicePolicy(ignore=("image",)))

    assert choose(running("redis:7"), resolve, wanted=wanted) == Choice("redis:7")


def test_an_ignored_image_of_a_new_service_is_the_files() -> None:
    wanted = service(image="nginx:1", policy=ServicePolicy(ignore=("image",)))

    assert choose(None, wanted=wanted) == ASKED


def test_the_words_are_those_of_dockers_client() -> None:
    words: list[Any] = [word.value for word in Resolve]

    assert words == ["always", "changed", "never"]


def test_what_is_healed_comes_back_for_the_platforms_it_ran_on() -> None:
    arm = {"OS": "linux", "Architecture": "arm64"}
    known = Knowledge(last_images={"shop_web": ResolvedImage(f"nginx:1@{OLD}", (arm,))})

    assert choose(None, CHANGED, knowledge=known) == Choice(f"nginx:1@{OLD}", platforms=(arm,))
