"""The loop of a process that works on imports."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from threading import Event

import psycopg

from app.ingest.claims import sweep
from app.ingest.jobs import Importer
from app.store.connection import Connection

# How often a worker with nothing to do looks for work, rests after trouble, and looks for what is to be forgotten.
POLL_SECONDS, REST_SECONDS, SWEEP_SECONDS = 0.5, 1.0, 60.0

_log = logging.getLogger("app.imports")


def run(importer: Importer, connect: Callable[[], Connection], *, days: int, ending: Event) -> None:
    """Work on imports until `ending` is set, on one connection; jobs that ended `days` ago are forgotten by the way."""
    connection: Connection | None = None
    swept = time.monotonic()
    while not ending.is_set():
        try:
            connection = connection or connect()
            if not importer.work(connection):
                ending.wait(POLL_SECONDS)
            if time.monotonic() - swept >= SWEEP_SECONDS:
                sweep(connection, days=days)
                swept = time.monotonic()
        except psycopg.Error as error:
            _log.warning("imports wait", extra={"fields": {"error": type(error).__name__}})
            ending.wait(REST_SECONDS)
        if connection is not None and connection.closed:
            connection = None
    if connection is not None:
        connection.close()
