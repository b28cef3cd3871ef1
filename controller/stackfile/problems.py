"""Where a fault stands: paths as people write them, and the collector that finds line and column for each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

from controller.errors import ManifestError
from controller.model.problem import Problem, Severity
from controller.stackfile.reader import Collection, Node, read_tree

Path: TypeAlias = tuple[str | int, ...]

_MAX_TEXT = 300  # characters; a hostile file must not fill the terminal


@dataclass(frozen=True, slots=True)
class Place:
    """A position in a file, and how much of the asked path exists there."""

    line: int
    column: int
    path: Path  # with list items named by content turned into their index
    depth: int


class Source:
    """One stack file: its name as given and its text, which is read into nodes when a place is asked for."""

    def __init__(self, file: str, text: str) -> None:
        self.file = file
        self._text = text

    @cached_property
    def nodes(self) -> tuple[Node, bool]:
        """The root, and whether another document follows; raises ManifestError where the text cannot be read."""
        return read_tree(self._text, file=self.file)

    def locate(self, path: Path, *, at_key: bool = False) -> Place:
        """Find the deepest existing part of `path`: a scalar's own place, otherwise that of its key.

        A string where a list stands names the item that mentions it, so that `networks.db` is found in `networks: [db]`.
        """
        root, _ = self.nodes
        node, spot, found = root, root, list(path)
        for depth, part in enumerate(path):
            if isinstance(part, str) and isinstance(node, Collection) and node.items():
                found[depth] = part = node.index_of(part)
            step = node.child(part)
            if step is None:  # a missing key is named; below a scalar, which short forms are, there are none
                return Place(spot.line, spot.column, tuple(found if node.is_collection else found[:depth]), depth)
            key, node = step
            spot = key if at_key or node.is_collection or not node.value else node
        return Place(spot.line, spot.column, tuple(found), len(path))


class Findings:
    """Collects problems of one or several files and raises them all at once."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self.sources = sources
        self.errors: list[Problem] = []
        self.warnings: list[Problem] = []
        self._faulty: set[Path] = set()
        self._faulty_entries: set[Path] = set()

    def error(self, path: Path, reason: str, *, at_key: bool = False) -> None:
        self._faulty.add(path)
        self._faulty_entries.add(path[:2])
        self.errors.append(self._problem(path, reason, Severity.ERROR, at_key=at_key))

    def warn(self, path: Path, reason: str, *, at_key: bool = False) -> None:
        self.warnings.append(self._problem(path, reason, Severity.WARNING, at_key=at_key))

    def error_at(self, line: int, column: int, path: Path, reason: str) -> None:
        """Report a place that no path leads to, such as the second of two equal keys; only of a single file."""
        self.errors.append(Problem(self.sources[0].file, line, column, format_path(path), reason))

    def adopt(self, other: Findings) -> None:
        """Take over what was found in one of the files."""
        self.errors.extend(other.errors)
        self.warnings.extend(other.warnings)

    def has_error_at(self, path: Path) -> bool:
        return path in self._faulty

    def has_error_in(self, entry: tuple[str, str]) -> bool:
        """Whether anything below a section's entry was found wrong."""
        return entry in self._faulty_entries

    def raise_errors(self) -> None:
        if self.errors:
            raise ManifestError(self.in_order(self.errors))

    def in_order(self, problems: Sequence[Problem]) -> list[Problem]:
        """By file, line and column; what an alias repeats stands once, where it is written."""
        order = {source.file: number for number, source in enumerate(self.sources)}
        once = {(found.file, found.line, found.column, found.reason): found for found in reversed(problems)}
        return sorted(once.values(), key=lambda found: (order[found.file], found.line, found.column))

    def _problem(self, path: Path, reason: str, severity: Severity, *, at_key: bool) -> Problem:
        places = [(source.locate(path, at_key=at_key), source) for source in self.sources]
        # The last file that has the whole path decided the value; failing that, the one that comes closest.
        place, source = max(enumerate(places), key=lambda entry: (entry[1][0].depth, entry[0]))[1]
        return Problem(source.file, place.line, place.column, _short(format_path(place.path)), _short(reason), severity)


def _short(text: str) -> str:
    return text if len(text) <= _MAX_TEXT else f"{text[:_MAX_TEXT]}…"


def format_path(path: Path) -> str:
    """Write a path as people do: `services.web.ports[0]`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text
