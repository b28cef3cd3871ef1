"""Files of a stack are read bounded, and only when they are files."""

from __future__ import annotations

import io
import os
import socket
import sys
from pathlib import Path

import pytest

from controller.adapters.files import MAX_BYTES, load_files, read_file
from controller.errors import ManifestError


def test_a_file_up_to_the_bound_is_read_whole(tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_bytes(b"x" * MAX_BYTES)
    assert len(read_file(str(file))) == MAX_BYTES
    file.write_bytes(b"x" * (MAX_BYTES + 1))
    with pytest.raises(OSError, match="larger than 1024 KiB"):
        read_file(str(file))


def test_a_file_without_end_is_not_read() -> None:
    with pytest.raises(OSError, match="not a regular file"):
        read_file("/dev/zero")


def test_a_fifo_without_a_writer_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(OSError, match="not a regular file"):
        read_file(str(tmp_path / "fifo"))


def test_a_socket_is_not_read(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        with pytest.raises(OSError, match="No such device"):
            read_file(str(tmp_path / "socket"))


def test_a_folder_is_not_read_and_nothing_stays_open(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - the count is of descriptors, not of paths
    for _ in range(10):
        with pytest.raises(IsADirectoryError, match="Is a directory"):
            read_file(str(tmp_path))
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208 - as above


def test_standard_input_is_read_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    def give(data: bytes) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))

    give(b"services: {a: {image: x}}")
    assert load_files(["-"], stack="s", environment={}).services.keys() == {"a"}
    give(b"#" * (MAX_BYTES + 1))
    with pytest.raises(ManifestError, match="-:1:1: cannot be read: larger than 1024 KiB"):
        load_files(["-"], stack="s")


def test_a_closed_standard_input_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(ManifestError, match="cannot be read"):
        load_files(["-"], stack="s")


def test_environment_home_and_folder_are_those_of_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "stack.yml").write_text("services: {a: {image: x, user: $WHO, volumes: ['~/a:/a', './b:/b']}}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WHO", "me")
    monkeypatch.setenv("HOME", "/home/me")
    spec = load_files(["stack.yml"], stack="s").services["a"].body["TaskTemplate"]["ContainerSpec"]
    assert spec["User"] == "me"
    assert [mount["Source"] for mount in spec["Mounts"]] == ["/home/me/a", f"{tmp_path}/b"]


def test_an_environment_that_is_given_is_the_only_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "stack.yml").write_text("services: {a: {image: x, user: '${WHO:-nobody}'}}")
    monkeypatch.setenv("WHO", "me")
    stack = load_files([str(tmp_path / "stack.yml")], stack="s", environment={})
    assert stack.services["a"].body["TaskTemplate"]["ContainerSpec"]["User"] == "nobody"
    assert stack.files == (str(tmp_path / "stack.yml"),)
