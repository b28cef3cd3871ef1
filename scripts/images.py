"""Images: the bases are pulled where a registry is reached and built from Debian's packages where none is; ours are built."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from scripts import debian, engine, engine_api, packages, registry
from scripts.console import Progress
from scripts.shell import PROJECT, archive, attempt, build, environment, run
from scripts.state import Made

# Recipe below scripts/debian -> the usual name, as the Dockerfiles and the manifests have it.
BASES = {"python": "python:3.11-slim-bookworm", "postgres": "postgres:15", "redis": "redis:7", "nginx": "nginx:1.22"}
STAGE_LABEL = "prodbreaker.stage"  # what the Dockerfiles leave behind carries it
_VERSION = re.compile(r'^__version__ = "(.+)"', re.MULTILINE)


@dataclass(frozen=True)
class Images:
    """The names by which everything is to be had on this host."""

    python: str
    postgres: str
    redis: str
    nginx: str
    app: str = ""
    controller: str = ""

    def variables(self) -> dict[str, str]:
        """What the manifests interpolate."""
        return {
            "APP_IMAGE": self.app, "CONTROLLER_IMAGE": self.controller, "NGINX_IMAGE": self.nginx,
            "POSTGRES_IMAGE": self.postgres, "REDIS_IMAGE": self.redis,
        }  # fmt: skip


def ensure_bases(made: Made, at: str, progress: Progress) -> Images:
    """End with every base image to be had under the names returned; `at` is our registry."""
    if not made.bases_built and all(_pullable(name) for name in BASES.values()):
        for name in BASES.values():
            if engine_api.get(f"/images/{name}/json")[0] != 200:
                progress.change(f"pulling {name}")
                run("docker", "pull", "--quiet", name, timeout=900)
                made.images.append(name)
                made.save()
        return Images(**BASES)
    if not made.bases_built:
        progress.note("no container registry is reached: the images are built from Debian's packages")
        made.bases_built = True
        made.save()
    _build_bases(made, at, progress)
    # An engine that was there before is not told of a mirror behind its owner's back: there the names say where the images are.
    prefix = "" if engine.use_mirror(f"http://{at}", made, progress) else f"{at}/library/"
    return Images(**{recipe: prefix + name for recipe, name in BASES.items()})


def ensure_ours(made: Made, bases: Images, at: str, progress: Progress) -> Images:
    """End with the images of the application and the controller, of the sources as they are now, in our registry."""
    contexts = {folder: sources(folder) for folder in ("app", "controller")}
    names = {folder: f"prodbreaker/{folder}:{content_tag(files)}" for folder, files in contexts.items()}
    wanted = [folder for folder, name in names.items() if not registry.holds(at, name)]
    for folder in wanted:
        progress.change(f"building {names[folder]} (Dockerfile.{folder})")
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda folder: _build_ours(folder, contexts[folder], f"{at}/{names[folder]}", bases.python), wanted))
    _remember(made, *(f"{at}/{names[folder]}" for folder in wanted))
    return replace(bases, app=f"{at}/{names['app']}", controller=f"{at}/{names['controller']}")


def remove(made: Made) -> None:
    """Remove the images that make up brought and what their builds left; one that a container of somebody else uses stays."""
    attempt("docker", "image", "prune", "--force", "--filter", f"label={STAGE_LABEL}", timeout=300)
    for name in reversed(made.images):  # an image goes only after those that stand on it
        status, image = engine_api.get(f"/images/{name}/json")
        if status == 200:
            # The mirror gave the same image its usual name as well; a tag of somebody else's keeps it.
            foreign = set(image["RepoTags"]) - set(made.images) - set(BASES.values())
            attempt("docker", "image", "rm", *([name] if foreign else ["--force", image["Id"]]), timeout=120)
    made.images = []
    made.bases_built = False
    made.save()


def content_tag(files: Mapping[str, bytes]) -> str:
    """VERSION-HASH of all that goes into an image: the same sources give the same tag, others never do."""
    version = _VERSION.search((PROJECT / "controller/__init__.py").read_text())
    digest = hashlib.sha256()
    for path, content in sorted(files.items()):
        digest.update(f"{path}\0{len(content)}\0".encode() + content)
    return f"{version.group(1) if version else '0'}-{digest.hexdigest()[:12]}"


def sources(folder: str) -> dict[str, bytes]:
    """The build context of Dockerfile.FOLDER, path -> content."""
    paths = [PROJECT / name for name in ("pyproject.toml", "uv.lock", f"Dockerfile.{folder}")]
    paths += [path for path in (PROJECT / folder).rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    return {str(path.relative_to(PROJECT)): path.read_bytes() for path in paths}


def _pullable(name: str) -> bool:
    """Whether the engine gets an answer about the image from its registry in time."""
    return engine_api.get(f"/distribution/{name}/json", timeout=20)[0] == 200


def _build_bases(made: Made, at: str, progress: Progress) -> None:
    wanted = {recipe: name for recipe, name in BASES.items() if not registry.holds(at, f"library/{name}")}
    if not wanted:
        return
    packages.ensure(debian.PACKAGES, made, progress)
    root = f"{at}/library/debian:{debian.SUITE}-slim"
    if engine_api.get(f"/images/{root}/json")[0] != 200:
        progress.change(f"building {root}")
        debian.build_root(root, progress)
        _remember(made, root)
    for recipe, name in wanted.items():
        progress.change(f"building {name}")
        debian.build(recipe, f"{at}/library/{name}", root)
        _remember(made, f"{at}/library/{name}")
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda name: run("docker", "push", f"{at}/library/{name}", timeout=600), wanted.values()))


def _build_ours(folder: str, files: Mapping[str, bytes], tag: str, base: str) -> None:
    bundle = Path(environment().get("SSL_CERT_FILE", ""))
    # The host's own authorities, for the stage that downloads; the image does not keep them.
    extra = {".build/ca.crt": bundle.read_bytes()} if bundle.is_file() else {}
    build(
        tag, archive({**files, **extra}), "--file", f"Dockerfile.{folder}",
        "--build-arg", f"BASE={base}", "--build-arg", f"VERSION={tag.rpartition(':')[2]}",
    )  # fmt: skip
    run("docker", "push", tag, timeout=600)


def _remember(made: Made, *names: str) -> None:
    made.images.extend(name for name in names if name not in made.images)
    made.save()
