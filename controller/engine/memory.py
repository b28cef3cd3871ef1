"""What the loop has to remember between passes because the Swarm forgets it.

For each service: the reference that it last ran (what is healed comes back as it was), the declaration that was last in
force (else drift and an edit look the same), and the one that Swarm rolled back (else it would be tried for ever). For
secrets that docker made: a keyed hash of the content at first sight. Kept in the journal, one note per stack.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from controller.core.contents import CONTENT_LABEL
from controller.core.services import ROLLED_BACK
from controller.core.state import content_key
from controller.engine.ports import Swarm
from controller.engine.records import Journal
from controller.errors import RegistryError
from controller.model.observation import Knowledge, ResolvedImage, Snapshot
from controller.model.spec import DesiredService, DesiredStack, Json

_NOTE = "memory:"
_SALT = "salt"
ANSWER_SECONDS = 60.0  # how long a registry's answer serves further services of the same image


class Memory:
    """Facts per stack; loaded from the journal at start, written back by `save` when they changed."""

    def __init__(self, journal: Journal | None = None, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._journal = journal
        self._monotonic = monotonic
        self._salt = secrets.token_hex(32)
        self._images: dict[str, dict[str, str]] = {}  # by stack: service -> image that it last ran, packed
        self._applied: dict[str, dict[str, str]] = {}  # by stack: service -> revision
        self._rejected: dict[str, dict[str, str]] = {}  # by stack: service -> revision
        self._secrets: dict[str, dict[str, str]] = {}  # by stack: secret id -> hash at first sight
        self._answers: dict[str, tuple[float, ResolvedImage | str]] = {}
        self._unsaved: set[str] = set()

    async def load(self) -> None:
        """Take up what the journal holds; what is not there is learned anew."""
        if self._journal is None:
            return
        notes = await self._journal.notes()
        if _SALT in notes:
            self._salt = notes[_SALT]
        else:
            await self._journal.note(_SALT, self._salt)
        for name, text in notes.items():
            if name.startswith(_NOTE):
                kept: Mapping[str, dict[str, str]] = json.loads(text)
                for shelf, facts in zip(self._shelves(), ("images", "applied", "rejected", "secrets"), strict=True):
                    shelf[name.removeprefix(_NOTE)] = kept.get(facts, {})

    async def save(self) -> None:
        """Write every stack's facts that changed since the last call."""
        if self._journal is None:
            self._unsaved.clear()
        while self._unsaved:
            stack = min(self._unsaved)
            names = ("images", "applied", "rejected", "secrets")
            facts = {name: shelf.get(stack, {}) for name, shelf in zip(names, self._shelves(), strict=True)}
            await self._journal.note(_NOTE + stack, json.dumps(facts, sort_keys=True))  # type: ignore[union-attr] # guarded above
            self._unsaved.discard(stack)

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
            rejected=self._rejected.get(desired.name, {}),
        )

    def note_secrets(self, desired: DesiredStack, snapshot: Snapshot) -> None:
        """Take unlabelled secrets, at first sight, to hold what is declared: Swarm never gives their data."""
        noted = self._secrets.setdefault(desired.name, {})
        for identity, content in _unlabelled(desired, snapshot):
            if identity not in noted:
                noted[identity] = self._hash(content)
                self._unsaved.add(desired.name)

    def note_settled(self, desired: DesiredStack, service: DesiredService, live: Json, revision: str) -> None:
        """The service is as declared: its image is what healing brings back, its revision what an edit is told from."""
        task = live["Spec"]["TaskTemplate"]
        image = task["ContainerSpec"].get("Image", "")
        if "@" in image:
            platforms = (task.get("Placement") or {}).get("Platforms") or ()
            self._put(self._images, desired.name, service.name, json.dumps([image, *platforms], sort_keys=True))
        self._put(self._applied, desired.name, service.name, revision)

    def note_intent(self, desired: DesiredStack, service: DesiredService, revision: str) -> None:
        """The revision is about to be written."""
        self._put(self._applied, desired.name, service.name, revision)

    def note_rollback(self, desired: DesiredStack, service: DesiredService, live: Json | None, revision: str) -> bool:
        """If Swarm rolled back the very revision that was written last, remember not to write it again; True if that is news."""
        state = ((live or {}).get("UpdateStatus") or {}).get("State", "")
        if state in ROLLED_BACK and self._applied.get(desired.name, {}).get(service.name) == revision:
            return self._put(self._rejected, desired.name, service.name, revision)
        return False

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

    def _put(self, shelf: dict[str, dict[str, str]], stack: str, name: str, value: str) -> bool:
        """Returns whether the value is another one than before."""
        facts = shelf.setdefault(stack, {})
        if facts.get(name) == value:
            return False
        facts[name] = value
        self._unsaved.add(stack)
        return True

    def _shelves(self) -> tuple[dict[str, dict[str, str]], ...]:
        return self._images, self._applied, self._rejected, self._secrets

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
