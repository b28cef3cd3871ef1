"""Bytes to a tree of nodes with positions, bounded before anything walks it.

Events of libyaml's parser are consumed one by one: composing inside libyaml's binding recurses in C and dies of a few
thousand nested brackets, and expands nothing that could be counted.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterator
from typing import Any

from yaml import YAMLError
from yaml.cyaml import CSafeLoader
from yaml.events import AliasEvent, DocumentStartEvent, MappingStartEvent, ScalarEvent, SequenceStartEvent

from controller.errors import ManifestError
from controller.model.problem import Problem

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 64
MAX_NODES = 100_000  # after aliases are expanded; real files of a thousand services stay below a third of it


class Node:
    """A scalar, whose `value` is its text."""

    __slots__ = ("_mark", "is_plain", "tag", "value")

    is_collection = False
    is_mapping = False

    def __init__(self, event: Any) -> None:
        self.value: Any = event.value
        self.tag: str | None = event.tag  # as written; None where the file leaves it to the reader
        self.is_plain: bool = event.implicit[0]
        self._mark = event.start_mark

    @property
    def line(self) -> int:
        """From 1."""
        line: int = self._mark.line
        return line + 1

    @property
    def column(self) -> int:
        """From 1."""
        column: int = self._mark.column
        return column + 1

    @property
    def extent(self) -> tuple[int, int]:
        """How many nodes it is, and how many levels of collections; itself and expanded aliases included."""
        return 1, 0

    @property
    def is_merge_key(self) -> bool:
        return self.is_plain and self.value == "<<"

    def items(self) -> list[Node]:
        """The items of a sequence; nothing for any other node."""
        return []

    def pairs(self) -> Iterator[tuple[Node, Node]]:
        """Keys and values of a mapping; nothing for any other node."""
        return iter(())

    def child(self, part: str | int) -> tuple[Node, Node] | None:
        """The key's node and the value's node; for an item of a sequence both are the item."""
        return None

    def entries(self) -> Iterator[tuple[str, tuple[Node, Node]]]:
        """Every pair by key, later ones winning: merged mappings first, the first of several last."""
        for key, value in self.pairs():
            if key.is_merge_key:
                for merged in reversed(value.items() or [value]):
                    yield from merged.entries()
        for key, value in self.pairs():
            if not key.is_collection:
                yield key.value, (key, value)


class Collection(Node):
    """A sequence, or a mapping, whose `value` has each key before its value."""

    __slots__ = ("_extent", "_index", "_mentions", "is_mapping")

    is_collection = True

    def __init__(self, event: Any) -> None:
        self.value: list[Node] = []
        self.tag = event.tag
        self.is_plain = False
        self._mark = event.start_mark
        self.is_mapping = type(event) is MappingStartEvent
        self._extent: tuple[int, int] | None = None
        self._index: dict[str, tuple[Node, Node]] | None = None
        self._mentions: dict[str, int] | None = None

    @property
    def extent(self) -> tuple[int, int]:
        # Asked for once it has ended. What an alias in it leads to is measured by then: no recursion goes below the bound.
        if self._extent is None:
            parts = [part.extent for part in self.value]
            self._extent = (1 + sum(size for size, _ in parts), 1 + max((height for _, height in parts), default=0))
        return self._extent

    def items(self) -> list[Node]:
        return [] if self.is_mapping else self.value

    def pairs(self) -> Iterator[tuple[Node, Node]]:
        return zip(self.value[::2], self.value[1::2], strict=True) if self.is_mapping else iter(())

    def index_of(self, name: str) -> int | str:
        """The item of a sequence that is, or has a value that is, `name`, `name=…` or `…:name:…`; else `name` itself."""
        if self._mentions is None:
            self._mentions = {}
            for index, item in enumerate(self.value):
                for value in (pair[1].value for pair in item.pairs()) if item.is_mapping else (item.value,):
                    if isinstance(value, str):
                        for word in (value, value.partition("=")[0], *value.split(":")):
                            self._mentions.setdefault(word, index)
        return self._mentions.get(name, name)

    def child(self, part: str | int) -> tuple[Node, Node] | None:
        if isinstance(part, int):
            items = self.items()
            return (items[part], items[part]) if part < len(items) else None
        if self._index is None:
            self._index = dict(self.entries())
        return self._index.get(part)


def read_tree(text: str, *, file: str) -> tuple[Node, bool]:
    """Read the first document of a file; the flag says whether another one follows.

    Raises ManifestError with the one fault that ended the reading.
    """
    try:
        return _Reader(text, file).read()
    except YAMLError as error:
        raise _syntax_fault(error, text, file) from None


def fault(file: str, line: int, column: int, reason: str) -> ManifestError:
    return ManifestError([Problem(file, line, column, "", reason)])


def decode(data: bytes, *, file: str) -> str:
    """The text of a file; raises ManifestError where it is too large or no text."""
    if len(data) > MAX_BYTES:
        raise fault(file, 1, 1, f"is larger than {MAX_BYTES // 1024} KiB")
    wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return data.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-16" if wide else "utf-8", "replace")
        reason = f"is not text: byte {data[error.start]:#04x} is not valid {error.encoding.upper()}"
        raise fault(file, *_position(before, len(before)), reason) from None


def _position(text: str, offset: int) -> tuple[int, int]:
    return text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset)


def _syntax_fault(error: YAMLError, text: str, file: str) -> ManifestError:
    mark = getattr(error, "problem_mark", None)
    if mark is None:  # the only other errors are those of characters that YAML has no place for
        offset = next(index for index, char in enumerate(text) if not _is_printable(char))
        return fault(file, *_position(text, offset), f"is not text: control character {text[offset]!r}")
    offset = min(mark.index, len(text))
    context, reason = getattr(error, "context", None), getattr(error, "problem", None)
    if text[offset : offset + 1] == "\t":
        context, reason = None, "a tab stands where only spaces may indent"
    return fault(file, *_position(text, offset), f"is not valid YAML: {f'{context}: {reason}' if context else reason}")


def _is_printable(char: str) -> bool:
    return char in "\t\n\r\x85" or " " <= char <= "~" or (char >= "\xa0" and char not in "\ufffe\uffff")


def has_more(next_event: Callable[[], Any]) -> bool:
    """Whether another document follows the one whose root has ended."""
    next_event()  # the document's end
    try:
        return isinstance(next_event(), DocumentStartEvent)
    except YAMLError:
        return True  # what follows is never read, however broken


class _Reader:
    """Builds nodes from events, with the nesting kept on a list of its own."""

    def __init__(self, text: str, file: str) -> None:
        self._next = CSafeLoader(text).get_event
        self._file = file
        self._open: list[Collection] = []  # those that have not ended
        self._anchors: dict[str, Node] = {}
        self._total = 0

    def read(self) -> tuple[Node, bool]:
        event = self._next()
        while not isinstance(event, DocumentStartEvent):
            if event is None:
                raise fault(self._file, 1, 1, "is empty; the top level must be a mapping")
            event = self._next()
        return self._read_root(), has_more(self._next)

    def _read_root(self) -> Node:
        top: list[Node] = []
        parts = top
        while not top or self._open:
            event: Any = self._next()
            kind = type(event)
            if kind is ScalarEvent:
                node = Node(event)
                self._total += 1
                if self._total > MAX_NODES:
                    self._count(0, event)
                if event.anchor is not None:
                    self._anchors[event.anchor] = node
                parts.append(node)
            elif kind is AliasEvent:
                parts.append(self._resolve_alias(event))
            elif kind is MappingStartEvent or kind is SequenceStartEvent:
                collection = self._enter(event)
                parts.append(collection)
                parts = collection.value
            else:
                self._open.pop()
                parts = self._open[-1].value if self._open else top
        return top[0]

    def _enter(self, event: Any) -> Collection:
        if len(self._open) >= MAX_DEPTH:
            raise self._fault(event, f"is nested deeper than {MAX_DEPTH} levels")
        self._count(1, event)
        node = Collection(event)
        if event.anchor:
            self._anchors[event.anchor] = node
        self._open.append(node)
        return node

    def _resolve_alias(self, event: Any) -> Node:
        node = self._anchors.get(event.anchor)
        if node is None:
            raise self._fault(event, f"there is no anchor &{event.anchor} above this alias")
        if node in self._open:
            raise self._fault(event, f"the value of anchor &{event.anchor} contains itself")
        size, height = node.extent
        if len(self._open) + height > MAX_DEPTH:
            raise self._fault(event, f"is nested deeper than {MAX_DEPTH} levels, aliases expanded")
        self._count(size, event)
        return node

    def _count(self, nodes: int, event: Any) -> None:
        self._total += nodes
        if self._total > MAX_NODES:
            raise self._fault(event, f"holds more than {MAX_NODES} values, aliases expanded")

    def _fault(self, event: Any, reason: str) -> ManifestError:
        mark = event.start_mark
        return fault(self._file, mark.line + 1, mark.column + 1, reason)
