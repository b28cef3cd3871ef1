"""Nodes to plain data: merge keys, duplicate keys, and the strings in which a variable may stand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

from controller.stackfile.problems import Findings, Path, Source
from controller.stackfile.reader import Node, fault
from controller.stackfile.scalars import UnreadableScalarError, resolve, to_text

Data: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Template:
    """A string with a `$`, and the container that holds it."""

    container: Any  # dict or list
    key: str | int
    path: Path
    text: str


@dataclass(frozen=True, slots=True)
class Reading:
    """The data of a file's first document as it is written, and where variables may stand in it."""

    tree: Data
    templates: list[Template]
    has_more: bool  # another document follows


def read_nodes(source: Source, findings: Findings) -> Reading:
    """Read a file through its nodes, with every fault of its keys, tags and merges; raises ManifestError where there are none."""
    root, has_more = source.nodes
    if not root.is_mapping:
        raise fault(source.file, root.line, root.column, "the top level must be a mapping")
    builder = _TreeBuilder(findings)
    tree = builder.build_mapping(root)
    return Reading(tree, builder.templates, has_more=has_more)


class _TreeBuilder:
    """Builds data from nodes; every alias gets a copy of its own, so that no value is interpolated twice."""

    def __init__(self, findings: Findings) -> None:
        self.templates: list[Template] = []
        self._findings = findings

    def build_mapping(self, node: Node, path: Path = ()) -> Data:
        result: Data = {}
        self._fill(result, node, path)
        return result

    def _fill(self, result: Data, node: Node, path: Path) -> None:
        """Explicit keys first, whatever their order: they win over `<<`, and of several merged mappings the first wins."""
        merges = []
        own: set[str] = set()
        for key_node, value_node in node.pairs():
            if key_node.is_merge_key:
                merges.append(value_node)
                continue
            key = key_node.value
            if not _is_text(key_node):
                self._findings.error(path, f"the key {_describe(key_node)} is not a string; quote it")
                continue
            if key in own:
                self._duplicate(path, key_node)
                continue
            own.add(key)
            if key in result:
                continue
            self._place(result, key, value_node, path)
        if len(merges) > 1:
            self._findings.error(path, "has two merge keys `<<`; use one with a list")
        for merge in merges[:1]:
            self._merge(result, merge, path)

    def _place(self, container: Any, key: str | int, node: Node, path: Path) -> None:
        value: Any
        if node.is_mapping:
            here = (*path, key)
            value = {}
            self._fill(value, node, here)
        elif node.is_collection:
            here = (*path, key)
            value = [None] * len(node.value)
            for index, item in enumerate(node.value):
                self._place(value, index, item, here)
        elif node.is_plain and node.tag is None:
            value = resolve(node.value)
        else:
            try:
                value = resolve(node.value, node.tag, is_plain=node.is_plain)
            except UnreadableScalarError as error:
                value = node.value
                self._findings.error((*path, key), str(error))
        container[key] = value
        if type(value) is str and "$" in value:
            self.templates.append(Template(container, key, (*path, key), value))

    def _merge(self, result: Data, merge: Node, path: Path) -> None:
        for source in [merge] if merge.is_mapping else merge.items() or [merge]:
            if not source.is_mapping:
                self._findings.error(path, "the merge key `<<` takes a mapping or a list of mappings")
                return
            self._fill(result, source, path)

    def _duplicate(self, path: Path, node: Node) -> None:
        self._findings.error_at(node.line, node.column, (*path, node.value), "this key stands twice in the same mapping")


def _is_text(node: Node) -> bool:
    try:
        return not node.is_collection and isinstance(resolve(node.value, node.tag, is_plain=node.is_plain), str)
    except UnreadableScalarError:
        return False


def _describe(node: Node) -> str:
    if node.is_collection:
        return "(a mapping)" if node.is_mapping else "(a list)"
    return f"`{node.value or to_text(None)}`"
