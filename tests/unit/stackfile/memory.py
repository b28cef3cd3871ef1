"""Stack files without a disk: texts by name, loaded from a folder that does not exist."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from typing import Any

import pytest

from controller.errors import ManifestError
from controller.model.problem import Problem
from controller.model.spec import DesiredStack
from controller.stackfile import load_stack

FOLDER = "/srv/stack"
HOME = "/home/me"


def load(
    *texts: str | bytes,
    files: Mapping[str, str | bytes] | None = None,
    env: Mapping[str, str] | None = None,
    home: str = HOME,
    stack: str = "s",
) -> DesiredStack:
    """Load texts as `1.yml`, `2.yml` and so on, with other files beside them."""
    disk = {f"{number}.yml": text for number, text in enumerate(texts, start=1)} | dict(files or {})

    def read(path: str) -> bytes:
        content = disk.get(path.removeprefix(f"{FOLDER}/"))
        if content is None:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", path)
        return content.encode() if isinstance(content, str) else content

    names = [f"{number}.yml" for number in range(1, len(texts) + 1)]
    return load_stack(names, stack=stack, environment=env or {}, read_file=read, working_directory=FOLDER, home=home)


def service(fields: str, *, rest: str = "", **options: Any) -> Mapping[str, Any]:
    """The body of one service, given by its fields in flow style: `command: [a], tty: true`."""
    fields = fields if "image:" in fields else f"image: x, {fields}"
    body: Mapping[str, Any] = load(f"services: {{a: {{{fields}}}}}\n{rest}", **options).services["a"].body
    return body


def container(fields: str, **options: Any) -> Mapping[str, Any]:
    spec: Mapping[str, Any] = service(fields, **options)["TaskTemplate"]["ContainerSpec"]
    return spec


def problems(*texts: str | bytes, **options: Any) -> tuple[Problem, ...]:
    """The problems for which the texts are refused."""
    with pytest.raises(ManifestError) as caught:
        load(*texts, **options)
    return caught.value.problems


def problem(*texts: str | bytes, **options: Any) -> Problem:
    """The one problem for which the texts are refused."""
    found = problems(*texts, **options)
    assert len(found) == 1, caught_text(found)
    return found[0]


def caught_text(found: tuple[Problem, ...]) -> str:
    return "\n".join(map(str, found))


def refusal(fields: str, *, rest: str = "", **options: Any) -> tuple[str, str]:
    """Path below the service and reason of the one problem in its fields."""
    fields = fields if "image:" in fields else f"image: x, {fields}"
    found = problem(f"services: {{a: {{{fields}}}}}\n{rest}", **options)
    return found.path.removeprefix("services.a.") or found.path, found.reason


def warnings(*texts: str, **options: Any) -> list[str]:
    """Warnings as `path: reason`."""
    return [f"{found.path}: {found.reason}" for found in load(*texts, **options).warnings]
