"""What differs between a declared and a live ServiceSpec, and what a write of it would do to running tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from controller.core.canonical import Section, section_fields
from controller.core.compose import is_covered
from controller.core.masking import printable
from controller.core.values import Context, Fields
from controller.model.plan import Change, Restart
from controller.model.spec import Json

# Checked on a real engine: these change no task. Everything else in the task template or the endpoint restarts all of them.
_HARMLESS = frozenset({Section.LABELS, Section.MODE, Section.UPDATE, Section.ROLLBACK})
_JOBS = frozenset({"ReplicatedJob", "GlobalJob"})
_UNKNOWN = object()


@dataclass(frozen=True, slots=True)
class Difference:
    changes: tuple[Change, ...]
    sections: frozenset[Section]
    is_job: bool = False

    @property
    def restart(self) -> Restart:
        """What Swarm does to the tasks when the sections are written; a job it runs again, whatever was written."""
        if self.sections and self.is_job:
            return Restart.ROLLING
        disruptive = self.sections - _HARMLESS
        if not disruptive:
            return Restart.NONE
        return Restart.UNLESS_FITTING if disruptive == {Section.PLACEMENT} else Restart.ROLLING


def difference(desired: Json, live: Json, context: Context, *, ignore: Sequence[str] = ()) -> Difference:
    """Compare two specs field by field; fields at or below a path in `ignore` are left out."""
    changes: list[Change] = []
    sections: set[Section] = set()
    for section in Section:
        mine, theirs = section.of(desired), section.of(live)
        if mine == theirs:
            continue
        if section is Section.CONTAINER:
            mine, theirs = _without_equal_keys(mine or {}, theirs or {})
        differing = _changes(section_fields(section, mine, context), section_fields(section, theirs, context), ignore)
        if differing:
            sections.add(section)
            changes += differing
    return Difference(tuple(changes), frozenset(sections), _JOBS.intersection(desired.get("Mode") or ()) != set())


def _without_equal_keys(mine: Json, theirs: Json) -> tuple[Json, Json]:
    """Only for a section of which each field comes from a single key: there, equal keys make equal fields."""
    unequal = [key for key in mine.keys() | theirs.keys() if mine.get(key) != theirs.get(key)]
    return {key: mine[key] for key in unequal if key in mine}, {key: theirs[key] for key in unequal if key in theirs}


def _changes(wanted: Fields, found: Fields, ignore: Sequence[str]) -> list[Change]:
    names = sorted(name for name in wanted.keys() | found.keys() if wanted.get(name, _UNKNOWN) != found.get(name, _UNKNOWN))
    return [
        Change(name, _shown(found, name), _shown(wanted, name)) for name in names if not (ignore and is_covered(name, ignore))
    ]


def _shown(fields: Mapping[str, Any], name: str) -> str | None:
    return printable(name, fields[name]) if name in fields else None
