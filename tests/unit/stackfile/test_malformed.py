"""Wrong files are refused where they are wrong, quickly, within bounds, and with all their faults at once."""

from __future__ import annotations

import sys
import time
import tracemalloc

import pytest

from tests.unit.stackfile.malformed import MALFORMED, Wrong
from tests.unit.stackfile.memory import caught_text, problem, problems

MEBIBYTE = 1024 * 1024


@pytest.mark.parametrize("wrong", MALFORMED, ids=lambda wrong: wrong.name)
def test_a_malformed_file_is_refused_at_its_place(wrong: Wrong) -> None:
    started = time.process_time()
    found = problem(wrong.text)
    seconds = time.process_time() - started

    assert f"{found.line}:{found.column} {found.path}".rstrip() == wrong.place, found
    assert wrong.reason in found.reason
    assert found.file == "1.yml"
    assert seconds < (1 if sys.gettrace() is None else 5)  # coverage's tracing costs more than the work


def test_there_are_a_hundred_malformed_files_with_names_of_their_own() -> None:
    assert len({wrong.name for wrong in MALFORMED}) == len(MALFORMED) >= 100


_HOSTILE = [wrong for wrong in MALFORMED if len(wrong.text) > 100_000 or "bomb" in wrong.name]


@pytest.mark.parametrize("wrong", _HOSTILE, ids=lambda wrong: wrong.name)
def test_a_hostile_file_takes_less_than_100_mebibytes(wrong: Wrong) -> None:
    tracemalloc.start()
    try:
        problem(wrong.text)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak < 100 * MEBIBYTE


def test_all_faults_of_a_file_are_told_at_once_in_its_order() -> None:
    found = problems(
        "services:\n"
        "  a: {image: x, ports: [http], tty: 5}\n"
        "  b: {image: x, networks: [gone]}\n"
        "  c: {image: 'x y', depends_on: [a, nobody]}\n"
        "secrets:\n"
        "  k: {file: gone}\n"
        "typo: 1\n"
    )

    assert [str(fault).split(": ")[:2] for fault in found] == [
        ["1.yml:2:25", "services.a.ports[0]"],
        ["1.yml:2:37", "services.a.tty"],
        ["1.yml:3:28", "services.b.networks[0]"],
        ["1.yml:4:14", "services.c.image"],
        ["1.yml:4:37", "services.c.depends_on[1]"],
        ["1.yml:6:13", "secrets.k.file"],
        ["1.yml:7:1", "typo"],
    ], caught_text(found)


_MANY = 10_000
_CROWDS = {
    "services that are none": ["services: {" + ", ".join(f"s{n}: 5" for n in range(_MANY)) + "}"],
    "good services beside bad ones": [
        "services: {" + ", ".join(f"s{n}: {{image: x}}, t{n}: {{image: $}}" for n in range(_MANY // 4)) + "}"
    ],
    "networks that are none": [
        "services: {a: {image: x, networks: [" + ", ".join(f"n{n}" for n in range(_MANY)) + "]}}",
        "services: {a: {user: u}}",
    ],
    "a circle through everything": [
        "services: {" + ", ".join(f"s{n}: {{image: x, depends_on: [s0, s{(n + 1) % 2000}]}}" for n in range(1, 2000)) + ","
        "s0: {image: x, depends_on: [s1]}}"
    ],
    "a number of a million digits": ["services: {a: {image: x, user: " + "1" * 1_000_000 + "}}", "]"],
}


@pytest.mark.parametrize("texts", _CROWDS.values(), ids=_CROWDS)
def test_crowds_of_faults_are_told_in_a_moment(texts: list[str]) -> None:
    started = time.process_time()
    assert problems(*texts)
    assert time.process_time() - started < (2 if sys.gettrace() is None else 10)


def test_faults_of_several_files_are_told_together() -> None:
    found = problems("services: [", "services: {a: {image: x, tty: 5}}", "]")

    assert [(fault.file, fault.path) for fault in found] == [("1.yml", ""), ("2.yml", "services.a.tty"), ("3.yml", "")]
