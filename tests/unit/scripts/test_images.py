"""Pulled or built, under which names, and what is taken away again."""

from __future__ import annotations

import io
import tarfile

import pytest

from scripts import images, shell
from scripts.console import Progress
from scripts.images import BASES
from scripts.processes import Daemon
from scripts.state import Made, load
from tests.unit.scripts.conftest import FakeHost

AT = "127.0.0.1:5000"


def reach_a_registry(fake_host: FakeHost) -> None:
    fake_host.api |= {f"/distribution/{name}/json": {} for name in BASES.values()}


def test_where_a_registry_is_reached_what_is_missing_is_pulled(fake_host: FakeHost, made: Made, progress: Progress) -> None:
    reach_a_registry(fake_host)
    fake_host.api["/images/redis:7/json"] = {"Id": "theirs"}
    names = images.ensure_bases(made, AT, progress)
    assert (names.python, names.postgres, names.redis, names.nginx) == tuple(BASES.values())
    pulled = ["python:3.11-slim-bookworm", "postgres:15", "nginx:1.22"]
    assert fake_host.ran == [f"docker pull --quiet {name}" for name in pulled]
    assert load(made.path).images == pulled, "redis:7 was there before"


def test_one_image_that_cannot_be_had_makes_all_of_them_built(
    fake_host: FakeHost, made: Made, progress: Progress, monkeypatch: pytest.MonkeyPatch
) -> None:
    reach_a_registry(fake_host)
    del fake_host.api["/distribution/nginx:1.22/json"]
    monkeypatch.setattr("scripts.registry.holds", lambda *_: False)
    monkeypatch.setattr("scripts.debian.build_root", lambda tag, _: fake_host.ran.append(f"debootstrap {tag}"))
    monkeypatch.setattr("scripts.engine.use_mirror", lambda *_: True)
    names = images.ensure_bases(made, AT, progress)
    assert (names.python, names.postgres, names.redis, names.nginx) == tuple(BASES.values())
    assert f"debootstrap {AT}/library/debian:bookworm-slim" in fake_host.ran
    assert {f"docker push {AT}/library/{name}" for name in BASES.values()} <= set(fake_host.ran)
    assert load(made.path).bases_built


def test_an_engine_that_was_found_is_given_names_at_the_registry_instead_of_a_mirror(
    fake_host: FakeHost, made: Made, progress: Progress, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scripts.registry.holds", lambda *_: True)
    names = images.ensure_bases(made, AT, progress)
    assert names.variables()["REDIS_IMAGE"] == f"{AT}/library/redis:7"
    assert (names.python, names.nginx) == (f"{AT}/library/python:3.11-slim-bookworm", f"{AT}/library/nginx:1.22")
    assert (fake_host.ran, progress.changes) == ([], []), "the registry held everything already"


def test_built_once_stays_built_even_if_a_registry_is_reached_later(
    fake_host: FakeHost, made: Made, progress: Progress, monkeypatch: pytest.MonkeyPatch
) -> None:
    reach_a_registry(fake_host)
    made.bases_built, made.engine = True, Daemon(pid=7, born=1)
    monkeypatch.setattr("scripts.registry.holds", lambda *_: True)
    monkeypatch.setattr("scripts.engine.use_mirror", lambda *_: True)
    images.ensure_bases(made, AT, progress)
    assert fake_host.ran == []


def test_our_images_are_built_for_the_sources_as_they_are_and_only_once(
    fake_host: FakeHost, made: Made, progress: Progress, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: set[str] = set()
    monkeypatch.setattr("scripts.registry.holds", lambda _, name: name in held)
    bases = images.Images(**BASES)
    names = images.ensure_ours(made, bases, AT, progress)
    assert names.app.startswith(f"{AT}/prodbreaker/app:0.")
    assert load(made.path).images == [names.app, names.controller]
    held |= {name.removeprefix(f"{AT}/") for name in (names.app, names.controller)}
    fake_host.ran.clear()
    assert images.ensure_ours(made, bases, AT, progress) == names
    assert fake_host.ran == []


def test_a_tag_follows_the_content_and_nothing_else() -> None:
    files = {"a": b"1", "b": b"2"}
    assert images.content_tag(files) == images.content_tag(dict(reversed(files.items())))
    assert len({images.content_tag(other) for other in (files, {"a": b"12", "b": b""}, {"a": b"1", "c": b"2"})}) == 3


def test_a_context_holds_what_the_dockerfile_copies_and_no_caches() -> None:
    files = images.sources("app")
    assert {"Dockerfile.app", "pyproject.toml", "uv.lock", "app/__init__.py"} <= set(files)
    assert not [path for path in files if "__pycache__" in path or path.startswith("controller/")]


def test_an_archive_is_the_same_each_time_and_readable_by_everyone() -> None:
    files = {"b": b"2", ".build/ca.crt": b"1"}
    assert shell.archive(files) == shell.archive(dict(reversed(files.items())))
    with tarfile.open(fileobj=io.BytesIO(shell.archive(files))) as tar:
        assert [(entry.name, entry.mode) for entry in tar] == [(".build/ca.crt", 0o644), ("b", 0o644)]


def test_images_are_removed_newest_first_and_a_strangers_tag_keeps_its_image(fake_host: FakeHost, made: Made) -> None:
    made.images = [f"{AT}/library/redis:7", "nginx:1.22", "gone:1"]
    fake_host.api[f"/images/{AT}/library/redis:7/json"] = {"Id": "sha256:r", "RepoTags": [f"{AT}/library/redis:7", "redis:7"]}
    fake_host.api["/images/nginx:1.22/json"] = {"Id": "sha256:n", "RepoTags": ["nginx:1.22", "theirs:latest"]}
    images.remove(made)
    assert [command for command in fake_host.ran if " rm " in command] == [
        "docker image rm nginx:1.22",
        "docker image rm --force sha256:r",
    ]
    assert load(made.path).images == []
