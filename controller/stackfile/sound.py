"""A sound file's text straight to data, without a node for each value: most files are sound, and loading is mostly reading.

Whatever is wrong or odd is left to the reader of nodes, which tells what and where. For any text this one gives exactly the
data which that one gives, or gives up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from yaml import YAMLError
from yaml.cyaml import CSafeLoader
from yaml.events import AliasEvent, CollectionStartEvent, DocumentStartEvent, MappingStartEvent, ScalarEvent

from controller.stackfile.problems import Path
from controller.stackfile.reader import MAX_DEPTH, MAX_NODES, has_more
from controller.stackfile.scalars import UnreadableScalarError, resolve, resolve_plain
from controller.stackfile.tree import Data, Reading, Template

_MERGE: Any = object()  # the key at which a mapping keeps what `<<` names until it ends


class _DoubtError(Exception):
    """The file holds what this reader does not judge."""


@dataclass(slots=True)
class _Anchor:
    before: int  # nodes of the file before it
    depth: int  # collections that it stands in
    reach: int  # the deepest level in it; both with aliases expanded
    size: int = 0  # nodes in it, aliases expanded; none until it has ended
    value: Any = None


def read_sound(text: str) -> Reading | None:
    """Read the first document of a text that is sound: a mapping within the bounds, and without a fault; else None."""
    reader = _Reader(text)
    try:
        return reader.read()
    except (_DoubtError, UnreadableScalarError, YAMLError):
        return None


class _Reader:
    """Fills containers from events as they come, with the nesting kept on a list of its own."""

    def __init__(self, text: str) -> None:
        self._next = CSafeLoader(text).get_event
        self._open: list[tuple[Any, Any]] = []  # per open collection: the one around it, and its key there
        self._anchors: dict[str, _Anchor] = {}
        self._open_anchors: list[_Anchor] = []
        self._templates: list[Template] = []
        self._total = 0

    def read(self) -> Reading:
        self._next()  # the stream's start
        if type(self._next()) is not DocumentStartEvent or type(self._next()) is not MappingStartEvent:
            raise _DoubtError
        self._open.append((None, None))
        tree: Data = {}
        self._fill(tree)
        templates = [template for template in self._templates if _MERGE not in template.path]
        return Reading(tree, templates, has_more=has_more(self._next))

    def _fill(self, container: Any) -> None:
        """Read to the end of the root; scalars, which are most of a file, without a call of ours for each."""
        next_event, key, is_mapping, total = self._next, None, True, 1
        while container is not None:
            event = next_event()
            if type(event) is not ScalarEvent:
                self._total = total
                container = self._turn(event, container, key)
                key, is_mapping, total = None, type(container) is dict, self._total
                continue
            total += 1
            if event.tag is not None or event.anchor is not None:
                value = self._mark(event, total)
            else:
                value = resolve_plain(event.value) if event.implicit[0] else event.value
            if is_mapping and key is None:
                key = _MERGE if value == "<<" and event.implicit[0] else value
                if type(value) is not str or event.tag is not None or key in container:
                    raise _DoubtError
                continue
            if type(value) is str and "$" in value:
                self._note(container, len(container) if key is None else key, value)
            if is_mapping:
                container[key], key = value, None
            else:
                container.append(value)

    def _mark(self, event: Any, total: int) -> Any:
        """The value of a scalar with a tag or an anchor."""
        value = resolve(event.value, event.tag, is_plain=event.implicit[0])
        if event.anchor is not None:
            depth = len(self._open)
            self._anchors[event.anchor] = _Anchor(before=total - 1, depth=depth, reach=depth, size=1, value=value)
        return value

    def _turn(self, event: Any, container: Any, key: Any) -> Any:
        """Take an event that is no scalar, and return the container to go on with; None behind the root."""
        if isinstance(event, CollectionStartEvent):
            container = self._enter(event, container, key)
        elif type(event) is AliasEvent:
            self._repeat(event, container, key)
        else:
            container = self._leave(container)
        if self._total > MAX_NODES:
            raise _DoubtError
        return container

    def _enter(self, event: Any, container: Any, key: Any) -> Any:
        depth = len(self._open)
        if depth >= MAX_DEPTH:
            raise _DoubtError
        if event.anchor is not None:
            self._anchors[event.anchor] = anchor = _Anchor(before=self._total, depth=depth, reach=depth)
            self._open_anchors.append(anchor)
        self._total += 1
        self._reach(depth + 1)
        child: Any = {} if type(event) is MappingStartEvent else []
        self._open.append((container, len(container) if key is None else key))
        _place(container, key, child)
        return child

    def _leave(self, container: Any) -> Any:
        if type(container) is dict and _MERGE in container:
            self._merge(container, container.pop(_MERGE))
        parent = self._open.pop()[0]
        if self._open_anchors and self._open_anchors[-1].depth == len(self._open):
            anchor = self._open_anchors.pop()
            anchor.size, anchor.value = self._total - anchor.before, container
            self._reach(anchor.reach)
        return parent

    def _repeat(self, event: Any, container: Any, key: Any) -> None:
        """Put a copy where an alias stands, so that no value is interpolated twice; what is merged is copied then."""
        anchor = self._anchors.get(event.anchor)
        if anchor is None or not anchor.size:
            raise _DoubtError
        self._total += anchor.size
        self._reach(len(self._open) + anchor.reach - anchor.depth)
        _place(container, key, None)
        if key is _MERGE:
            container[key] = anchor.value
        else:
            self._copy(container, len(container) - 1 if key is None else key, anchor.value, self._path())

    def _reach(self, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise _DoubtError
        if self._open_anchors:
            innermost = self._open_anchors[-1]
            innermost.reach = max(innermost.reach, depth)

    def _merge(self, result: Data, merged: Any) -> None:
        """Add what the mapping itself does not say; of several merged mappings the first wins."""
        path = self._path()
        for source in merged if type(merged) is list and merged else [merged]:
            if type(source) is not dict:
                raise _DoubtError
            for key, value in source.items():
                if key not in result:
                    self._copy(result, key, value, path)

    def _copy(self, container: Any, key: Any, value: Any, path: Path) -> None:
        fields: Data
        items: list[Any]
        here = (*path, key)
        if type(value) is dict:
            container[key] = fields = {}
            for name, part in value.items():
                self._copy(fields, name, part, here)
        elif type(value) is list:
            container[key] = items = [None] * len(value)
            for index, item in enumerate(value):
                self._copy(items, index, item, here)
        else:
            container[key] = value
            if type(value) is str and "$" in value:
                self._templates.append(Template(container, key, here, value))

    def _note(self, container: Any, key: Any, text: str) -> None:
        self._templates.append(Template(container, key, (*self._path(), key), text))

    def _path(self) -> Path:
        """Of the innermost open collection."""
        return tuple(key for _, key in self._open[1:])


def _place(container: Any, key: Any, value: Any) -> None:
    """Add a collection or an alias; where a key should stand neither is of use."""
    if type(container) is list:
        container.append(value)
    elif key is None:
        raise _DoubtError
    else:
        container[key] = value
