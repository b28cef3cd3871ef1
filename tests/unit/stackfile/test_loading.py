"""Files are found, read and named; a thousand services are read in a moment."""

from __future__ import annotations

import errno
import sys
import time

import pytest

from controller.errors import ManifestError
from controller.stackfile import load_stack
from tests.unit.stackfile.memory import load, problem


def _load(files: list[str], disk: dict[str, str], working_directory: str = "/cwd") -> tuple[str, ...]:
    def read(path: str) -> bytes:
        if path not in disk:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", path)
        return disk[path].encode()

    return load_stack(
        files, stack="s", environment={}, read_file=read, working_directory=working_directory, home="/home/me"
    ).files


CONFIG = "configs: {c: {file: f}}"


@pytest.mark.parametrize(
    ("files", "first", "beside"),
    [
        (["a.yml"], "/cwd/a.yml", "/cwd/f"),
        (["./d/../a.yml"], "/cwd/a.yml", "/cwd/f"),
        (["d/a.yml"], "/cwd/d/a.yml", "/cwd/d/f"),
        (["../a.yml"], "/a.yml", "/f"),
        (["/abs//a.yml"], "/abs/a.yml", "/abs/f"),
    ],
)
def test_relative_files_lie_beside_the_stack_file(files: list[str], first: str, beside: str) -> None:
    assert _load(files, {first: CONFIG, beside: "x"}) == (first, beside)


def test_relative_files_of_every_stack_file_lie_beside_the_first() -> None:
    assert _load(["d/a.yml", "e/b.yml"], {"/cwd/d/a.yml": "{}", "/cwd/e/b.yml": CONFIG, "/cwd/d/f": "x"}) == (
        "/cwd/d/a.yml",
        "/cwd/e/b.yml",
        "/cwd/d/f",
    )


def test_standard_input_is_read_once_and_not_watched() -> None:
    assert _load(["-"], {"-": CONFIG, "/cwd/f": "x"}) == ("/cwd/f",)


def test_a_missing_stack_file_is_named_as_it_was_given() -> None:
    with pytest.raises(ManifestError, match=r"^d/gone\.yml:1:1: cannot be read: No such file or directory$"):
        _load(["d/gone.yml"], {})


def test_an_error_without_words_is_told_too() -> None:
    def read(path: str) -> bytes:
        raise OSError("the disk is gone")

    with pytest.raises(ManifestError, match="cannot be read: the disk is gone"):
        load_stack(["a.yml"], stack="s", environment={}, read_file=read, working_directory="/", home="")


def test_secrets_do_not_show_when_a_stack_is_printed() -> None:
    stack = load("secrets: {k: {file: f}}\nservices: {a: {image: x, environment: {P: hidden}}}", files={"f": "planted"})
    assert "planted" not in repr(stack)
    assert "hidden" not in repr(stack)


def test_a_thousand_services_are_read_in_a_moment() -> None:
    lines = ['version: "3.8"', "services:"]
    for number in range(1000):
        lines += [
            f"  service-{number}:",
            f"    image: nginx:1.{number}",
            "    environment:",
            f'      NUMBER: "{number}"',
            "      LOG: ${LEVEL:-info}",
            "    labels:",
            f"      team: team-{number}",
            "    deploy:",
            "      replicas: 2",
            "      update_config: {order: start-first, delay: 10s}",
            "      labels: {a: b}",
            "    networks: [net]",
        ]
    text = "\n".join([*lines, "networks:", "  net: {driver: overlay}"])
    load(text)  # the first time builds the schema
    started = time.process_time()
    stack = load(text)
    seconds = time.process_time() - started

    assert len(stack.services) == 1000
    assert seconds < (1 if sys.gettrace() is None else 5)  # about 0.2 where nothing else runs


def test_thousands_of_faults_are_told_without_delay() -> None:
    started = time.process_time()
    with pytest.raises(ManifestError) as caught:
        load("services: {a: {image: x, " + ", ".join(f"k{number}: 1" for number in range(20_000)) + "}}")
    assert time.process_time() - started < (2 if sys.gettrace() is None else 10)
    assert len(caught.value.problems) == 20_000


def test_a_stack_file_may_hold_only_objects() -> None:
    stack = load("networks: {n: }\nvolumes: {v: }\nsecrets: {k: {external: true}}")
    assert (stack.services, stack.networks) == ({}, {})
    assert problem("services: {a: {image: ''}}").path == "services.a.image"
