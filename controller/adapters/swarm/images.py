"""Image names, and what a registry says of them."""

from __future__ import annotations

import re

from controller.model.observation import ResolvedImage
from controller.model.spec import Json
from controller.stackfile.images import familiar

HUB = "docker.io"
_ID = re.compile(r"(sha256:)?[0-9a-f]{64}")


def is_image_id(image: str) -> bool:
    """Whether the string names a local image by id, which no registry knows."""
    return _ID.fullmatch(image) is not None


def registry_of(image: str) -> str:
    """The registry's host that an image string means; `docker.io` where it names none."""
    first, slash, _ = image.partition("/")
    is_host = bool(slash) and ("." in first or ":" in first or first == "localhost" or first != first.lower())
    return HUB if not is_host or first == f"index.{HUB}" else first


def resolved(image: str, inspected: Json) -> ResolvedImage:
    """Join an image string with the answer of GET /distribution. Raises KeyError, TypeError or ValueError for a wrong one."""
    reference = familiar(image)
    digest = inspected["Descriptor"]["digest"]
    if not isinstance(digest, str) or ":" not in digest:
        raise TypeError("digest")
    if "@" not in reference:
        reference += f"@{digest}"
    return ResolvedImage(reference, _platforms(inspected.get("Platforms") or []))


def _platforms(listed: list[Json]) -> tuple[Json, ...]:
    distinct: dict[tuple[str, str], Json] = {}
    for platform in listed:
        system, architecture = platform.get("os", ""), platform.get("architecture", "")
        if "unknown" in (system, architecture):
            continue  # attestations, not images
        if architecture.lower() == "arm":
            architecture = ""  # its variants are not told apart here, so a filter would exclude nodes that fit
        named = {"Architecture": architecture, "OS": system}
        distinct.setdefault((system, architecture), {key: value for key, value in named.items() if value})
    return tuple(distinct.values())
