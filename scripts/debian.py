"""Base images out of Debian's packages, for hosts that reach Debian but no container registry."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from scripts.console import Progress, Refusal
from scripts.shell import LOG, STATE, archive, environment, run
from scripts.shell import build as build_image

SUITE = "bookworm"
MIRROR = os.environ.get("DEBIAN_MIRROR", "")  # empty: debootstrap's own choice
PACKAGES = ("debootstrap", "debian-archive-keyring")
RECIPES = Path(__file__).parent / "debian"
_TREE = STATE / "debian"
# What a container never reads, in the tree and in the packages installed on it later.
_NEEDLESS = ("usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/info")
_DPKG = "".join(f"path-exclude=/{name}/*\n" for name in _NEEDLESS)
_APT = 'Dir::Cache::pkgcache "";\nDir::Cache::srcpkgcache "";\nDPkg::Post-Invoke {"rm -f /var/cache/apt/archives/*.deb";};\n'


def build_root(tag: str, progress: Progress) -> None:
    """Make Debian's smallest system an image called `tag`."""
    progress.note(f"a minimal Debian {SUITE} from {MIRROR or 'its main mirror'} (about a minute)")
    shutil.rmtree(_TREE, ignore_errors=True)
    run("debootstrap", "--variant=minbase", SUITE, str(_TREE), *([MIRROR] if MIRROR else []), timeout=900)
    listed = _TREE / "etc/apt/sources.list"
    listed.write_text(sources(listed.read_text()))
    (_TREE / "etc/dpkg/dpkg.cfg.d/slim").write_text(_DPKG)
    (_TREE / "etc/apt/apt.conf.d/slim").write_text(_APT)
    for name in (*_NEEDLESS, "var/cache/apt", "var/lib/apt/lists"):
        shutil.rmtree(_TREE / name, ignore_errors=True)
    (_TREE / "var/lib/apt/lists/partial").mkdir(parents=True)
    (_TREE / "var/cache/apt/archives/partial").mkdir(parents=True)
    _import(tag)
    shutil.rmtree(_TREE)


def build(recipe: str, tag: str, root: str) -> None:
    """Build `scripts/debian/RECIPE.Dockerfile` on the image `root`; it may copy its neighbours that are called RECIPE.…"""
    files = {path.name: path.read_bytes() for path in RECIPES.glob(f"{recipe}.*")}
    build_image(tag, archive(files), "--file", f"{recipe}.Dockerfile", "--build-arg", f"BASE={root}")


def sources(listed: str) -> str:
    """With updates and security fixes, from the mirror that debootstrap wrote down as `deb MIRROR SUITE main`."""
    mirror = listed.split()[1]
    security = f"{mirror.rstrip('/')}-security"  # the archive stands beside it on every full mirror
    return f"deb {mirror} {SUITE} main\ndeb {mirror} {SUITE}-updates main\ndeb {security} {SUITE}-security main\n"


def _import(tag: str) -> None:
    with LOG.open("ab") as log, subprocess.Popen(["tar", "-C", str(_TREE), "-c", "."], stdout=subprocess.PIPE, stderr=log) as tar:
        done = subprocess.run(
            ["docker", "import", "-", tag], stdin=tar.stdout, stdout=log, stderr=log, env=environment(), check=False
        )
    if done.returncode != 0 or tar.returncode != 0:
        raise Refusal(f"The tree of Debian could not be made an image (the whole output: {LOG}).")
