"""What outlives a pass, and through the journal the process."""

from __future__ import annotations

from typing import Any

import pytest

from controller.engine.memory import ANSWER_SECONDS, Memory
from controller.errors import EngineUnavailableError, JournalError, RegistryError
from controller.model.observation import ResolvedImage
from controller.model.spec import Json
from tests.support.clock import FakeClock
from tests.support.fakes import FakeJournal, FakeSwarm
from tests.support.specs import body, content, live, live_content, service, snapshot, stack

WEB = service()
SHOP = stack(WEB, secrets=[content("shop_s", b"one")])
EDITED = stack(WEB, secrets=[content("shop_s", b"two")])
SEEN = snapshot(secrets=[live_content("shop_s", None)])
PINNED = f"nginx:1@sha256:{'a' * 64}"


def running(image: str = PINNED, **parts: Any) -> Json:
    return live(body(container={"Image": image}), **parts)


async def reloaded(memory: Memory, journal: FakeJournal) -> Memory:
    await memory.save()
    again = Memory(journal)
    await again.load()
    return again


async def test_what_was_learned_comes_back_from_the_journal() -> None:
    journal = FakeJournal()
    memory = Memory(journal)
    await memory.load()
    memory.note_settled(SHOP, WEB, running(), "r1")
    memory.note_secrets(SHOP, SEEN)

    known = (await reloaded(memory, journal)).knowledge(SHOP, SEEN)

    assert known.last_images == {"shop_web": ResolvedImage(PINNED)}
    assert known.applied == {"shop_web": "r1"}
    assert known.noted_secrets == {"id-of-shop_s"}
    assert known.changed_secrets == frozenset()


async def test_a_secret_edited_while_nobody_looked_is_seen_as_changed() -> None:
    journal = FakeJournal()
    memory = Memory(journal)
    await memory.load()
    memory.note_secrets(SHOP, SEEN)

    again = await reloaded(memory, journal)
    again.note_secrets(EDITED, SEEN)  # not its first sight any more

    assert again.knowledge(EDITED, SEEN).changed_secrets == {"id-of-shop_s"}


async def test_no_secret_stands_in_the_journal_in_a_form_that_can_be_guessed() -> None:
    first, second = FakeJournal(), FakeJournal()
    for journal in (first, second):
        memory = Memory(journal)
        await memory.load()
        memory.note_secrets(SHOP, SEEN)
        await memory.save()

    kept = [journal.kept["memory:secret:shop:id-of-shop_s"] for journal in (first, second)]
    assert kept[0] != kept[1]  # each journal has a salt of its own


def test_secrets_that_carry_our_label_or_are_somebody_elses_are_not_noted() -> None:
    memory = Memory()
    labelled = snapshot(secrets=[live_content("shop_s", None, prodbreaker__content="hash")])
    external = stack(secrets=[content("theirs", external=True)])

    memory.note_secrets(SHOP, labelled)
    memory.note_secrets(SHOP, snapshot())
    memory.note_secrets(external, snapshot(secrets=[live_content("theirs", None)]))

    assert memory.knowledge(SHOP, labelled).noted_secrets == frozenset()
    assert memory.knowledge(external, labelled).noted_secrets == frozenset()


def test_only_pinned_images_are_worth_remembering() -> None:
    memory = Memory()
    memory.note_settled(SHOP, WEB, running("nginx:1"), "r1")

    assert memory.knowledge(SHOP, SEEN).last_images == {}
    assert memory.knowledge(SHOP, SEEN).applied == {"shop_web": "r1"}


async def test_every_fact_has_a_note_of_its_own() -> None:
    journal, more = FakeJournal(), stack(service(stack="more"), name="more")
    memory = Memory(journal)
    await memory.load()
    memory.note_written(SHOP, WEB, "r1")
    memory.note_written(more, more.services["web"], "r2")
    await memory.save()

    applied = [journal.kept[f"memory:applied:{name}:{name}_web"] for name in ("shop", "more")]
    assert applied == ["r1", "r2"]


async def test_only_what_changed_is_written() -> None:
    journal = FakeJournal()
    memory = Memory(journal)
    await memory.load()
    memory.note_written(SHOP, WEB, "r1")
    await memory.save()
    journal.kept.clear()
    memory.note_written(SHOP, WEB, "r1")
    await memory.save()

    assert journal.kept == {}


async def test_what_could_not_be_written_is_written_the_next_time() -> None:
    journal = FakeJournal()
    memory = Memory(journal)
    await memory.load()
    memory.note_written(SHOP, WEB, "r1")
    journal.broken = True
    with pytest.raises(JournalError):
        await memory.save()
    journal.broken = False
    await memory.save()

    assert journal.kept["memory:applied:shop:shop_web"] == "r1"


async def test_without_a_journal_nothing_is_loaded_or_saved() -> None:
    memory = Memory()
    await memory.load()
    memory.note_written(SHOP, WEB, "r1")
    await memory.save()

    assert memory.knowledge(SHOP, SEEN).applied == {"shop_web": "r1"}


async def test_notes_of_other_versions_and_other_kinds_are_passed_over() -> None:
    image, unknown = "memory:image:shop:shop_web", "memory:later:shop:a"
    journal = FakeJournal(kept={"salt": "00", image: '["x@y"]', unknown: "b", "other": "not ours"})
    memory = Memory(journal)
    await memory.load()

    known = memory.knowledge(SHOP, SEEN)
    assert (known.last_images, known.applied) == ({"shop_web": ResolvedImage("x@y")}, {})


# The registry.


async def test_an_answer_serves_for_a_minute_also_a_refusal() -> None:
    clock, swarm = FakeClock(), FakeSwarm(answers={"resolve nginx:9": RegistryError("no such image")})
    memory = Memory(monotonic=clock.monotonic)
    for _ in range(2):
        await memory.ask(swarm, ["nginx:1", "nginx:9"])
    assert swarm.calls == [("resolve", "nginx:1", "auth for nginx:1"), ("resolve", "nginx:9", "auth for nginx:9")]
    known = memory.knowledge(SHOP, SEEN)
    assert known.images == {"nginx:1": ResolvedImage("nginx:1@sha256:d")}
    assert known.unresolved == {"nginx:9": "no such image"}

    clock.advance(ANSWER_SECONDS)
    await memory.ask(swarm, ["nginx:1"])
    assert swarm.count("resolve", "nginx:1") == 2
    assert memory.knowledge(SHOP, SEEN).unresolved == {}


async def test_an_engine_that_is_away_is_no_answer() -> None:
    memory = Memory()
    with pytest.raises(EngineUnavailableError):
        await memory.ask(FakeSwarm(answers={"resolve": EngineUnavailableError("gone")}), ["nginx:1"])

    assert memory.knowledge(SHOP, SEEN).unresolved == {}
