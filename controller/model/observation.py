"""The live state: one snapshot of the Swarm, as raw objects of the Engine API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from controller.model.spec import Json


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Lists taken together; complete or not made at all, so that absence from it is absence."""

    api_version: tuple[int, int]  # negotiated with the engine, such as (1, 41)
    services: Mapping[str, Json]  # by name, of GET /services?status=true
    networks: Mapping[str, Json]  # by name, Swarm scope and predefined only
    configs: Mapping[str, Json]  # by name, `Spec.Data` included
    secrets: Mapping[str, Json]  # by name; the engine never gives their data
    nodes: Sequence[Json] = ()
    tasks: Mapping[str, Sequence[Json]] | None = None  # by service id; None where no decision asked for them


@dataclass(frozen=True, slots=True)
class ResolvedImage:
    """What a registry said of an image."""

    reference: str  # `name:tag@sha256:…`
    platforms: tuple[Json, ...] = ()  # distinct {OS, Architecture}, as docker's client records them


@dataclass(frozen=True, slots=True)
class Knowledge:
    """What a plan needs beside the snapshot and was learned elsewhere."""

    images: Mapping[str, ResolvedImage] = field(default_factory=dict)  # by image string of the file
    unresolved: Mapping[str, str] = field(default_factory=dict)  # image string -> why no digest could be had
    content_key: bytes | None = field(default=None, repr=False)  # the cluster's key for secrets' hashes; None: not made yet
    noted_secrets: frozenset[str] = frozenset()  # ids of secrets that docker made and whose content was noted at first sight
    changed_secrets: frozenset[str] = frozenset()  # those of them whose declared content is another one now
    last_images: Mapping[str, ResolvedImage] = field(default_factory=dict)  # service name -> what it last ran
    applied: Mapping[str, str] = field(default_factory=dict)  # service name -> revision last written or found in place
