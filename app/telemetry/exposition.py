"""The numbers of all processes of a replica as one text, and the port on which Prometheus fetches it."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from threading import Lock
from wsgiref.simple_server import WSGIServer

from prometheus_client import REGISTRY, CollectorRegistry, start_http_server
from prometheus_client.core import Metric
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from app.telemetry.folder import shared
from app.telemetry.processes import usage

_merging = Lock()
_log = logging.getLogger("app.telemetry")
_ATTEMPTS = 5


def registry() -> CollectorRegistry:
    """What to scrape: the folder if several processes share one, else what this process counts."""
    folder = shared()
    if folder is None:
        return REGISTRY
    replica = CollectorRegistry()
    replica.register(_Replica(folder))
    return replica


def serve(port: int, scraped: CollectorRegistry) -> WSGIServer | None:
    """Answer GET /metrics on a port of its own, from threads of this process; 0 is no port.

    Where the port is taken, whoever watches will see that nothing answers, and the service goes on.
    """
    if not port:
        return None
    try:
        return start_http_server(port, registry=scraped)[0]
    except OSError as error:
        _log.error("no metrics", extra={"fields": {"port": port, "reason": error.strerror}})
        return None


def bury(pid: int) -> None:
    """Keep what an ended worker counted, in one file for all that ended, and forget what it had in progress.

    Without this each worker that ends would leave its files, until the memory is full.
    """
    folder = shared()
    if folder is None:
        return
    with _merging:
        for file in folder.glob(f"gauge_live*_{pid}.db"):
            file.unlink()
        for kind in ("counter", "histogram"):
            file = folder / f"{kind}_{pid}.db"
            if file.exists():
                _merge(file, folder / f"{kind}_ended.db")


def _merge(file: Path, into: Path) -> None:
    kept = MmapedDict(str(into))  # type: ignore[no-untyped-call]  # the library's own, without types
    for key, value, _, _ in MmapedDict.read_all_values_from_file(str(file)):  # type: ignore[no-untyped-call]  # as above
        kept.write_value(key, kept.read_value(key)[0] + value, 0.0)  # type: ignore[no-untyped-call]  # as above
    kept.close()  # type: ignore[no-untyped-call]  # as above
    file.unlink()


class _Replica(Collector):
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files = MultiProcessCollector(None, str(folder))  # type: ignore[no-untyped-call]  # the library's own, without types

    def collect(self) -> Iterable[Metric]:
        workers = {int(file.stem.rpartition("_")[2]) for file in self._folder.glob("gauge_*.db")}
        yield from usage({os.getpid(), *workers})
        yield from self._counted()

    def _counted(self) -> Iterable[Metric]:
        for _ in range(_ATTEMPTS):
            # The master, which has another lock, may bury a worker at this moment.
            with _merging, suppress(FileNotFoundError):
                return list(self._files.collect())  # type: ignore[no-untyped-call]  # as above
        return list(self._files.collect())  # type: ignore[no-untyped-call]  # as above
