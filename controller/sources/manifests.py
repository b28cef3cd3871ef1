"""Edits of manifests as a source of keys.

A file is read when the watcher or the resync says that something may have changed. One that cannot be read keeps its last
good reading and is told once. A reading that declares fewer services than before is read again after a moment: a file
that is being written looks like one from which something was removed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from pathlib import Path

from controller.engine.declarations import Declarations
from controller.engine.records import Recorder
from controller.engine.workqueue import WorkQueue
from controller.errors import ManifestError
from controller.model.spec import DesiredStack
from controller.model.status import Key

log = logging.getLogger("prodbreaker.manifests")

SECOND_LOOK_SECONDS = 1.0

Load = Callable[[Path, str], DesiredStack]  # a file and a stack's name; raises ManifestError


def stack_files(directory: Path) -> Mapping[str, Path]:
    """The manifests of a directory by stack name: every `NAME.yml` or `NAME.yaml` that is not hidden."""
    found = sorted(path for path in directory.iterdir() if path.suffix in (".yml", ".yaml") and not path.name.startswith("."))
    return {path.stem: path for path in found if path.is_file()}


class Manifests:
    def __init__(self, directory: Path, load: Load, declarations: Declarations, queue: WorkQueue, recorder: Recorder) -> None:
        self._directory, self._load = directory, load
        self._declarations, self._queue, self._recorder = declarations, queue, recorder
        self._read_at: dict[str, Mapping[str, tuple[int, int]]] = {}  # by stack: what the files looked like when they were read

    async def run(self, changes: AsyncIterator[object], *, resync_seconds: float) -> None:
        """Read again on every change, and every `resync_seconds` where the watcher said nothing; until cancelled."""
        watcher = asyncio.ensure_future(anext(changes))
        try:
            while True:
                done, _ = await asyncio.wait([watcher], timeout=resync_seconds)
                if done:
                    watcher.result()
                    watcher = asyncio.ensure_future(anext(changes))
                await self.read_all()
        finally:
            watcher.cancel()
            await asyncio.wait([watcher])

    async def read_all(self) -> None:
        """Read every manifest that looks different from when it was read last."""
        try:
            files = stack_files(self._directory)
        except OSError as error:
            log.warning("manifests unreadable", extra={"fields": {"reason": str(error)}})
            return
        for name in self._read_at.keys() - files.keys():
            del self._read_at[name]
            keys = self._declared(name)
            if self._declarations.forget(name):
                self._wake(keys, "manifest gone")
                log.warning("manifest gone", extra={"fields": {"stack": name, "message": "its services stay as they are"}})
        for name, path in files.items():
            if self._fingerprint(name, path) != self._read_at.get(name):
                await self._read(name, path)
        self._recorder.manifest_errors(len(self._declarations.errors))

    async def _read(self, name: str, path: Path) -> None:
        before = self._fingerprint(name, path)  # an edit during the reading must not be taken for read
        try:
            stack = await asyncio.to_thread(self._load, path, name)
            if self._loses_services(stack):
                await asyncio.sleep(SECOND_LOOK_SECONDS)
                stack = await asyncio.to_thread(self._load, path, name)
        except ManifestError as error:
            if self._declarations.refuse(name, error):
                problems = [str(problem) for problem in error.problems]
                log.error("manifest refused", extra={"fields": {"stack": name, "problems": problems}})  # noqa: TRY400 - no bug to trace
            self._read_at[name] = {}  # what it lacked may be another file: it is tried again every time
            return
        now = _looks([path, *map(Path, stack.files)])
        self._read_at[name] = {**now, **{file: look for file, look in before.items() if file in now}}
        keys = self._declared(name)
        if self._declarations.accept(stack):
            log.info("manifest read", extra={"fields": {"stack": name, "services": len(stack.services)}})
            self._wake([*self._declared(name), *keys], "manifest edited")

    def _declared(self, name: str) -> list[Key]:
        return self._declarations.keys(name) if name in self._declarations.stacks else []

    def _wake(self, keys: Iterable[Key], reason: str) -> None:
        for key in dict.fromkeys(keys):
            self._queue.add(key, reason=reason)

    def _loses_services(self, stack: DesiredStack) -> bool:
        before = self._declarations.stacks.get(stack.name)
        return before is not None and not before.services.keys() <= stack.services.keys()

    def _fingerprint(self, name: str, path: Path) -> Mapping[str, tuple[int, int]]:
        return _looks([path, *map(Path, self._read_at.get(name, ()))])


def _looks(paths: list[Path]) -> Mapping[str, tuple[int, int]]:
    """Size and time of each file; a file that is gone looks like nothing else."""
    looks = {}
    for path in paths:
        try:
            found = path.stat()
            looks[str(path)] = (found.st_size, found.st_mtime_ns)
        except OSError:
            looks[str(path)] = (-1, -1)
    return looks
