"""Which image a service is to run: the file names a tag, the Swarm runs a digest.

The registry is asked when the file's image string changes, or always, or never. An image changed by hand under an
unchanged file goes back to what ran before: to the reference that our label keeps, or that was last seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from controller.model.observation import Knowledge, ResolvedImage
from controller.model.spec import BOOKKEEPING_PREFIX, IMAGE_LABEL, DesiredService, Json

REFERENCE_LABEL = f"{BOOKKEEPING_PREFIX}image"  # the reference that we wrote, digest included


class Resolve(StrEnum):
    """When the registry is asked for a digest, in the words of docker's client."""

    ALWAYS = "always"
    CHANGED = "changed"
    NEVER = "never"


_NEVER_RUN = ResolvedImage("")


@dataclass(frozen=True, slots=True)
class Choice:
    """The image to run, or the question that has to be answered first."""

    image: str
    must_ask: bool = False  # `image` is what the registry must be asked for
    platforms: tuple[Json, ...] | None = None  # None: leave the placement's platforms alone


def choose_image(wanted: DesiredService, live: Json | None, knowledge: Knowledge, resolve: Resolve) -> Choice:
    """Decide the reference that the service's spec carries."""
    image: str = wanted.body["TaskTemplate"]["ContainerSpec"]["Image"]
    if live is not None and "image" in wanted.policy.ignore:
        return Choice(_running(live))
    if "@" in image:
        return Choice(image)
    if resolve is Resolve.ALWAYS:
        return _asked(image, knowledge)
    if live is None:
        last = knowledge.last_images.get(wanted.name, _NEVER_RUN)
        if resolve is Resolve.CHANGED and without_digest(last.reference) == image != last.reference:
            return Choice(last.reference, platforms=last.platforms or None)  # it comes back as it was, not as its tag is by now
        return Choice(image) if resolve is Resolve.NEVER else _asked(image, knowledge)
    return _for_update(wanted, live, image, knowledge, resolve)


def _for_update(wanted: DesiredService, live: Json, image: str, knowledge: Knowledge, resolve: Resolve) -> Choice:
    spec = live["Spec"]
    labels: Mapping[str, str] = spec.get("Labels") or {}
    running = _running(live)
    if labels.get(IMAGE_LABEL) != wanted.body["Labels"].get(IMAGE_LABEL):
        return Choice(image) if resolve is Resolve.NEVER else _asked(image, knowledge)
    last = knowledge.last_images.get(wanted.name, _NEVER_RUN)
    for known in (labels.get(REFERENCE_LABEL, ""), last.reference, running):
        if without_digest(known) == image:
            return Choice(known)
    return Choice(image) if resolve is Resolve.NEVER else _asked(image, knowledge)


def without_digest(reference: str) -> str:
    return reference.partition("@")[0]


def _running(live: Json) -> str:
    image: str = ((live["Spec"].get("TaskTemplate") or {}).get("ContainerSpec") or {}).get("Image", "")
    return image


def _asked(image: str, knowledge: Knowledge) -> Choice:
    answer: ResolvedImage | None = knowledge.images.get(image)
    if answer is None:
        return Choice(image, must_ask=True)
    return Choice(answer.reference, platforms=answer.platforms)
