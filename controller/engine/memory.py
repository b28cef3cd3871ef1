"""What the loop has to remember between passes because the Swarm forgets it.

For each service: the reference that it last ran (what is healed comes back as it was) and the declaration that was last in
force (else drift and an edit look the same). For secrets that docker made: a keyed hash of the content at first sight. Kept
in the journal, one small note per fact: of a thousand services each write may change one.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

from controller.core.contents import CONTENT_LABEL
from controller.core.state import content_key
from controller.engine.ports import Swarm
from controller.engine.records import Journal
from controller.errors import RegistryError
from controller.model.observation import Knowledge, ResolvedImage, Snapshot
from controller.model.spec import DesiredService, DesiredStack, Json

_NOTE = "memory"  # then the shelf, the stack and the name, with colons between, which none of them holds
_SALT = "salt"
Shelf: TypeAlias = dict[str, dict[str, str]]
ANSWER_SECONDS = 60.0  # how long a registry's answer serves further services of the same image


class Memory:
    """Facts per stack; loaded from the journal at start, written back by `save` when they changed."""

    def __init__(self, journal: Journal | None = None, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._journal = journal
        self._monotonic = monotonic
        self._salt = secrets.token_hex(32)
        self._images: Shelf = {}  # by stack: service -> image that it last ran, packed
        self._applied: Shelf = {}  # by stack: service -> revision
        self._secrets: Shelf = {}  # by stack: secret id -> hash at first sight
        self._shelves = {"image": self._images, "applied": self._applied, "secret": self._secrets}
        self._answers: dict[str, tuple[float, ResolvedImage | str]] = {}
        self._unsaved: dict[str, str] = {}  # note -> value

    async def load(self) -> None:
        """Take up what the journal holds; what is not there is learned anew."""
        if self._journal is None:
            return
        notes = await self._journal.notes()
        if _SALT in notes:
            self._salt = notes[_SALT]
        else:
            await self._journal.note(_SALT, self._salt)
        for note, value in notes.items():
            kind, *place = note.split(":")
            if kind == _NOTE and len(place) == 3 and place[0] in self._shelves:
                shelf, stack, name = place
                self._shelves[shelf].setdefault(stack, {})[name] = value

    async def save(self) -> None:
        """Write every fact that changed since the last call; what cannot be written stays for the next. Raises JournalError."""
        unsaved, self._unsaved = self._unsaved, {}
        if self._journal is None or not unsaved:
            return
        writes = [self._journal.note(note, value) for note, value in unsaved.items()]
        outcomes = await asyncio.gather(*writes, return_exceptions=True)
        failed = [(note, outcome) for note, outcome in zip(unsaved, outcomes, strict=True) if outcome is not None]
        self._unsaved = {note: unsaved[note] for note, _ in failed} | self._unsaved
        if failed:
            raise failed[0][1]

    async def ask(self, swarm: Swarm, images: Iterable[str]) -> None:
        """Have an answer for every one of these images; a registry's refusal is an answer too."""
        self._forget_old_answers()
        await asyncio.gather(*(self._ask(swarm, image) for image in images if image not in self._answers))

    def knowledge(self, desired: DesiredStack, snapshot: Snapshot) -> Knowledge:
        """What the planner may know beside the snapshot."""
        self._forget_old_answers()
        noted = self._secrets.get(desired.name, {})
        return Knowledge(
            images={image: answer for image, (_, answer) in self._answers.items() if isinstance(answer, ResolvedImage)},
            unresolved={image: answer for image, (_, answer) in self._answers.items() if isinstance(answer, str)},
            content_key=content_key(snapshot),
            noted_secrets=frozenset(noted),
            changed_secrets=self._changed(desired, snapshot, noted),
            last_images={name: _unpacked(image) for name, image in self._images.get(desired.name, {}).items()},
            applied=self._applied.get(desired.name, {}),
        )

    def note_secrets(self, desired: DesiredStack, snapshot: Snapshot) -> None:
        """Take unlabelled secrets, at first sight, to hold what is declared: Swarm never gives their data."""
        for identity, content in _unlabelled(desired, snapshot):
            if identity not in self._secrets.get(desired.name, {}):
                self._put("secret", desired.name, identity, self._hash(content))

    def note_settled(self, desired: DesiredStack, service: DesiredService, live: Json, revision: str) -> None:
        """The service is as declared: its image is what healing brings back, its revision what an edit is told from."""
        task = live["Spec"]["TaskTemplate"]
        image = task["ContainerSpec"].get("Image", "")
        if "@" in image:
            platforms = (task.get("Placement") or {}).get("Platforms") or ()
            self._put("image", desired.name, service.name, json.dumps([image, *platforms], sort_keys=True))
        self._put("applied", desired.name, service.name, revision)

    def applied(self, desired: DesiredStack, service: DesiredService) -> str:
        """The revision that was last in force, empty if that is not known."""
        return self._applied.get(desired.name, {}).get(service.name, "")

    def note_written(self, desired: DesiredStack, service: DesiredService, revision: str) -> None:
        """The revision was written: from now on it is the one in force."""
        self._put("applied", desired.name, service.name, revision)

    def _forget_old_answers(self) -> None:
        now = self._monotonic()
        self._answers = {image: answer for image, answer in self._answers.items() if answer[0] + ANSWER_SECONDS > now}

    def _changed(self, desired: DesiredStack, snapshot: Snapshot, noted: Mapping[str, str]) -> frozenset[str]:
        return frozenset(
            identity
            for identity, content in _unlabelled(desired, snapshot)
            if identity in noted and not hmac.compare_digest(noted[identity], self._hash(content))
        )

    def _hash(self, content: bytes) -> str:
        return hmac.new(bytes.fromhex(self._salt), content, hashlib.sha256).hexdigest()

    def _put(self, shelf: str, stack: str, name: str, value: str) -> None:
        facts = self._shelves[shelf].setdefault(stack, {})
        if facts.get(name) != value:
            facts[name] = value
            self._unsaved[f"{_NOTE}:{shelf}:{stack}:{name}"] = value

    async def _ask(self, swarm: Swarm, image: str) -> None:
        answer: ResolvedImage | str
        try:
            auth = await asyncio.to_thread(swarm.registry_auth, image)
            answer = await swarm.resolve_image(image, auth=auth)
        except RegistryError as error:
            answer = str(error)
        self._answers[image] = (self._monotonic(), answer)


def _unpacked(image: str) -> ResolvedImage:
    reference, *platforms = json.loads(image)
    return ResolvedImage(reference, tuple(platforms))


def _unlabelled(desired: DesiredStack, snapshot: Snapshot) -> Iterable[tuple[str, bytes]]:
    for name, wanted in desired.secrets.items():
        found: Mapping[str, Any] | None = snapshot.secrets.get(name)
        if found is not None and not wanted.external and CONTENT_LABEL not in (found["Spec"].get("Labels") or {}):
            yield found["ID"], wanted.content
