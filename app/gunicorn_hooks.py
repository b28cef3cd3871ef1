"""What gunicorn's master does for us: it serves the metrics, remembers ended workers' counts, and drains before it ends."""

from __future__ import annotations

import queue
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from gunicorn.arbiter import Arbiter  # type: ignore[import-untyped]  # gunicorn brings no types

from app.chaos import master_agent
from app.gunicorn_worker import limit_silence
from app.replica import BOARD
from app.settings import Settings
from app.telemetry import exposition, folder, ring

_LOOK_SECONDS = 0.05
_ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)


def when_ready(settings: Settings) -> Callable[[Arbiter], None]:
    """The hook that is called once the master listens, before it forks."""

    def ready(server: Arbiter) -> None:
        for listener in server.LISTENERS:
            limit_silence(listener.sock, seconds=settings.client_seconds)
        # The one place where gunicorn lets us in between the signal and the end of its listening.
        server.handle_term = lambda: drain(server, settings.drain_seconds)
        if settings.chaos_token:
            master_agent().start()
        exposition.serve(settings.metrics_port, exposition.registry())

    return ready


def drain(server: Arbiter, seconds: float) -> None:
    """SIGTERM: say so on /readyz, answer on for `seconds`, closing connections with each answer, then end as gunicorn does.

    Told again, it waits no longer.
    """
    BOARD.draining = True
    server.log.info("draining for %s s", seconds)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        server.reap_workers()
        server.murder_workers()
        server.manage_workers()
        with suppress(queue.Empty):
            if server.SIG_QUEUE.get(timeout=_LOOK_SECONDS) in _ENDING:
                break
    raise StopIteration


def child_exit(_server: Arbiter, worker: Any) -> None:
    """A worker has ended, whatever the reason."""
    exposition.bury(worker.pid)
    ring.prune()


def on_exit(_server: Arbiter) -> None:
    """The master ends."""
    folder.remove()
