"""A file without a fault is read without nodes, and no reader of places would read it otherwise."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from controller.errors import ManifestError
from controller.stackfile.problems import Findings, Source
from controller.stackfile.reader import MAX_DEPTH, MAX_NODES
from controller.stackfile.sound import read_sound
from controller.stackfile.tree import Reading, read_nodes
from tests.unit.stackfile.malformed import MALFORMED, READING, Wrong

_WORDS = ["a", "b", "c", "'<<'", "0440", "1.0", "yes", "'5'", "~", "''", "$V", '"${V}"', "2024-01-01", ".nan"]
_WORDS += ["!!str 5", "!mine x"]
_ODD_WORDS = ["!!int x", "!!binary '*'"]
_ANCHORS = ["", "", "", "", "&m ", "&n "]
_KEYS = ["a", "b", "c", "d", "'<<'", "&m a", "$k"]
_ODD_KEYS = ["5", "~", "[a]", "? *m ", "!!int x", "!!binary aGk="]


def _nodes(words: list[str], keys: list[str]) -> st.SearchStrategy[str]:
    """Nodes in flow style; the aliases in them may lead nowhere."""
    anchors = st.sampled_from(_ANCHORS)
    aliases = st.sampled_from(["*m ", "*n ", "[*m , *n ]", "{d: x, <<: *m }"])
    merges = st.sampled_from([[], [], ["<<: *m "], ["<<: [*m , *n ]"], ["<<: {d: $D, <<: *n }"], ["<<: &n {a: $A}"]])

    def grow(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        sequences = st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]")
        pairs = st.dictionaries(st.sampled_from(keys), inner, max_size=3)
        mappings = st.tuples(pairs, merges, st.integers(0, 3)).map(_mapping)
        return st.tuples(anchors, sequences | mappings | mappings).map("".join)

    return st.recursive(st.tuples(anchors, st.sampled_from(words)).map("".join) | aliases, grow, max_leaves=20)


def _mapping(drawn: tuple[dict[str, str], list[str], int]) -> str:
    pairs, merges, position = drawn
    fields = [f"{key}: {value}" for key, value in pairs.items()]
    return f"{{{', '.join([*fields[:position], *merges, *fields[position:]])}}}"


def _texts(words: list[str], keys: list[str]) -> st.SearchStrategy[str]:
    return st.lists(_nodes(words, keys), min_size=1, max_size=5).map(_document)


def _document(values: list[str]) -> str:
    anchors = "x: &m {a: 1, e: $E}\ny: &n {b: 2, <<: *m }\n"
    return anchors + "".join(f"k{number}: {value}\n" for number, value in enumerate(values))


def _with_care(text: str) -> Reading | None:
    """What the reader of nodes gives for a text that is without a fault."""
    source = Source("1.yml", text)
    findings = Findings([source])
    try:
        reading = read_nodes(source, findings)
    except ManifestError:
        return None
    return None if findings.errors else reading


def _at(tree: Any, path: tuple[str | int, ...]) -> Any:
    for part in path:
        tree = tree[part]
    return tree


def _facts(reading: Reading | None) -> object:
    """All that can be told of a reading: the order of keys and the kinds of values too."""
    if reading is None:
        return None
    for template in reading.templates:
        assert _at(reading.tree, template.path[:-1]) is template.container
        assert template.key == template.path[-1]
        assert template.container[template.key] == template.text
    return repr(reading.tree), [(template.path, template.text) for template in reading.templates], reading.has_more


@settings(max_examples=300, deadline=None)
@given(_texts(_WORDS, _KEYS))
@example("a: &a {b: $B}\nc: {b: own, <<: [*a, {b: $D, e: $E}]}\n")
@example("a: &a [&a {b: $B}, *a]\nc: *a\n")
@example("a: {<<: {<<: {b: $B}, c: $C}}\n---\n]")
def test_a_text_without_a_fault_is_read_as_with_care_and_one_with_a_fault_is_not_read(text: str) -> None:
    assert _facts(read_sound(text)) == _facts(_with_care(text))


@settings(max_examples=300, deadline=None)
@given(_texts([*_WORDS, *_ODD_WORDS], [*_KEYS, *_ODD_KEYS]) | st.text(alphabet="ab:-?&*!<>|[]{},'\"#%$ \n\t05~", max_size=60))
@example("!!binary aGk=: x\n")
def test_whatever_is_read_is_read_as_with_care(text: str) -> None:
    reading = read_sound(text)
    if reading is not None:
        assert _facts(reading) == _facts(_with_care(text))


@pytest.mark.parametrize("wrong", READING, ids=lambda wrong: wrong.name)
def test_no_faulty_file_counts_as_sound(wrong: Wrong) -> None:
    assert wrong in MALFORMED
    try:
        text = wrong.text.decode("utf-8-sig")
    except UnicodeDecodeError:
        return
    assert _facts(read_sound(text)) == _facts(_with_care(text))


_CHAIN = f"x0: &a0 {'[' * 14}x{']' * 14}\n" + "".join(f"x{n}: &a{n} [[[[[[[*a{n - 1} ]]]]]]]\n" for n in range(1, 8))


@pytest.mark.parametrize(
    ("text", "is_sound"),
    [
        ("a: " + "[" * (MAX_DEPTH - 1) + "]" * (MAX_DEPTH - 1), True),
        ("a: " + "[" * MAX_DEPTH + "]" * MAX_DEPTH, False),
        (_CHAIN + "y: *a7\n", True),
        (_CHAIN + "y: [*a7]\n", False),
        ("a: &a [&b " + "[" * 60 + "]" * 60 + "]\nb: [[*a]]\n", True),
        ("a: &a [&b " + "[" * 60 + "]" * 60 + "]\nb: [[[*a]]]\n", False),
        ("a: [" + "a," * (MAX_NODES - 4) + "a]", True),
        ("a: [" + "a," * (MAX_NODES - 3) + "a]", False),
        ("a: &a [" + "a," * 49_996 + "a]\nb: *a", True),
        ("a: &a [" + "a," * 49_997 + "a]\nb: *a", False),
    ],
)
def test_both_readers_have_the_same_bounds(text: str, *, is_sound: bool) -> None:
    assert (read_sound(text) is not None, _with_care(text) is not None) == (is_sound, is_sound)
