"""The shop's images out of this host's own programs: no network, no build, and the names and users that the manifests expect."""

from __future__ import annotations

import importlib.metadata
import io
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.support.tiny_image import MissingProgramError, add_busybox

ROOT = Path(__file__).parents[2]
_PATH = "/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"
_USERS = {"root": 0, "nginx": 101, "service": 999, "nobody": 65534}


class Tree:
    """A tar in the making: files of the host under their own paths, with the libraries that they need."""

    def __init__(self) -> None:
        self._buffer = io.BytesIO()
        self._tar = tarfile.open(fileobj=self._buffer, mode="w", dereference=True)  # noqa: SIM115 - `content` closes it
        self._present: set[str] = set()
        add_busybox(self._tar, users=_USERS)
        self.write("etc/nsswitch.conf", "hosts: files dns\n")

    def write(self, path: str, text: str, *, mode: int = 0o644) -> None:
        entry = tarfile.TarInfo(path)
        content = text.encode()
        entry.size, entry.mode = len(content), mode
        self._tar.addfile(entry, io.BytesIO(content))
        self._present.add(path)

    def folder(self, path: str, *, owner: int, mode: int = 0o755) -> None:
        entry = tarfile.TarInfo(path)
        entry.type, entry.mode, entry.uid, entry.gid = tarfile.DIRTYPE, mode, owner, owner
        self._tar.addfile(entry)

    def copy(self, source: Path, target: str = "") -> None:
        """A file or a folder with all below it."""
        name = (target or str(source)).lstrip("/")
        if name in self._present:
            return
        self._present.add(name)
        self._tar.add(source, name, filter=_as_root)

    def program(self, *names: str) -> None:
        for name in names:
            found = shutil.which(name, path=_PATH)
            if found is None:
                raise MissingProgramError(f"{name} is not installed: `make test` installs it")
            self.copy(Path(found))
            self.needs([Path(found)])

    def needs(self, binaries: Iterable[Path]) -> None:
        """The shared libraries of these."""
        for path in _libraries([str(binary) for binary in binaries]):
            if path.startswith(("/lib", "/usr/lib")):  # others are a package's own, beside it
                self.copy(Path(path))

    def content(self) -> bytes:
        self._tar.close()
        return self._buffer.getvalue()


def nginx() -> tuple[bytes, Sequence[str]]:
    """The image's tar and what `docker import` is to change."""
    tree = Tree()
    tree.program("nginx", "getent", "curl")
    tree.folder("var/log/nginx", owner=101)
    tree.folder("var/lib/nginx", owner=101)
    return tree.content(), (f"ENV PATH={_PATH}",)


def redis() -> tuple[bytes, Sequence[str]]:
    tree = Tree()
    tree.program("redis-server", "redis-cli")
    tree.folder("data", owner=999)
    return tree.content(), (f"ENV PATH={_PATH}", "VOLUME /data", "WORKDIR /data")


def postgres() -> tuple[bytes, Sequence[str]]:
    """With the entrypoint of the image that is built from Debian's packages."""
    home, shared = Path("/usr/lib/postgresql/15"), Path("/usr/share/postgresql/15")
    if not home.exists():
        raise MissingProgramError("PostgreSQL 15 is not installed: `make test` installs it")
    tree = Tree()
    binaries = [home / "bin" / name for name in ("postgres", "initdb", "pg_ctl", "psql", "pg_isready")]
    libraries = [home / "lib" / name for name in ("plpgsql.so", "dict_snowball.so", "libpqwalreceiver.so")]
    libraries += (home / "lib").glob("*_and_*.so")
    for path in (*binaries, *libraries):
        tree.copy(path)
    tree.needs([*binaries, *libraries])
    sample = shared / "postgresql.conf.sample"
    listening = re.sub(r"^#listen_addresses = .*", "listen_addresses = '*'", sample.read_text(), flags=re.MULTILINE)
    tree.write(str(sample).lstrip("/"), listening)
    for path in sorted(shared.iterdir()):
        if path != sample and path.name != "man":
            tree.copy(path)
    tree.copy(Path("/usr/share/zoneinfo"))
    tree.copy(Path("/usr/lib/locale/C.utf8"))
    tree.write("bin/entrypoint", (ROOT / "scripts/debian/postgres.entrypoint.sh").read_text(), mode=0o755)
    tree.folder("var/lib/postgresql/data", owner=999, mode=0o1777)
    tree.folder("var/run/postgresql", owner=999, mode=0o3777)  # a tmpfs there takes the mode, and nothing else
    tree.folder("docker-entrypoint-initdb.d", owner=0)
    return tree.content(), (
        f"ENV PATH={home}/bin:{_PATH} PGDATA=/var/lib/postgresql/data LANG=C.UTF-8", 'ENTRYPOINT ["entrypoint"]',
        "VOLUME /var/lib/postgresql/data",
    )  # fmt: skip


def app() -> tuple[bytes, Sequence[str]]:
    """This interpreter, what the application's dependency group names, and the application, started as Dockerfile.app says."""
    tree = Tree()
    python, library = Path(sys.executable).resolve(), Path(sysconfig.get_path("stdlib"))
    tree.copy(python)
    tree.write("bin/python", f'#!/bin/sh\nexec {python} "$@"\n', mode=0o755)
    for path in sorted(library.iterdir()):
        if path.name not in {"test", "idlelib", "dist-packages", "site-packages", "ensurepip", "__pycache__"}:
            tree.copy(path)
    packages = Path(sysconfig.get_path("purelib"))
    compiled = [python, *(library / "lib-dynload").glob("*.so")]
    with TemporaryDirectory() as folder:
        parts = {"app": ROOT / "app", **{f"packages/{name}": packages / name for name in _installed(packages)}}
        for name, source in parts.items():
            target = Path(folder, name)
            target.parent.mkdir(exist_ok=True)
            (shutil.copytree if source.is_dir() else shutil.copy2)(source, target)
            compiled += source.rglob("*.so*")
        # Else every container of a read-only file system would compile it all again.
        subprocess.run([python, "-m", "compileall", "-q", "-s", folder, "-p", "/srv", folder], check=True, capture_output=True)
        tree.copy(Path(folder), "srv")
    tree.needs(compiled)
    for found in Path("/lib").glob("*-linux-gnu/libgcc_s.so.1"):
        tree.copy(found)  # asked for only when a thread ends early
    dockerfile = (ROOT / "Dockerfile.app").read_text()
    stated = re.findall(r"^(?:HEALTHCHECK|ENTRYPOINT|CMD|USER|WORKDIR) .*", dockerfile, re.MULTILINE)
    return tree.content(), (
        f"ENV PATH=/bin:{_PATH} PYTHONPATH=/srv/packages PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 APP_VERSION=test",
        *(line for line in stated if line != "WORKDIR /build"),
    )


def _as_root(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.mode |= 0o444 | (0o111 if entry.isdir() or entry.mode & 0o100 else 0)
    return entry


def _libraries(binaries: Sequence[str]) -> list[str]:
    listed = subprocess.run(["ldd", *binaries], check=False, capture_output=True, text=True).stdout
    return sorted(set(re.findall(r"(/\S+) \(0x", listed)))


def _installed(packages: Path) -> Iterator[str]:
    """The top-level names of all that the dependency group `app` brings."""
    wanted = list(tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]["app"])
    wanted += ["hiredis", "psycopg-binary"]  # that is what its extras bring
    seen, tops = set[str](), set[str]()
    while wanted:
        name = re.split(r"[^A-Za-z0-9._-]", wanted.pop(), maxsplit=1)[0].lower().replace("_", "-")
        if name in seen:
            continue
        seen.add(name)
        try:
            found = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # of another platform
        wanted += [line for line in found.requires or () if "extra ==" not in line]
        tops |= {file.parts[0] for file in found.files or () if file.parts[0] not in {"..", "__pycache__"}}
    return (name for name in sorted(tops) if os.path.lexists(packages / name))
