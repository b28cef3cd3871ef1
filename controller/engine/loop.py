"""The workers: take a key, have it reconciled, and turn the verdict into the queue's next step. The only place that does."""

from __future__ import annotations

import asyncio
import logging

from controller.engine.observer import Observer
from controller.engine.reconciler import Reconciler, Verdict
from controller.engine.records import PassResult, Recorder
from controller.engine.workqueue import Due, WorkQueue
from controller.errors import EngineUnavailableError, NotLeaderError, NotManagerError, ProdBreakerError
from controller.model.status import Key

log = logging.getLogger("prodbreaker.engine")


class Loop:
    def __init__(self, queue: WorkQueue, reconciler: Reconciler, observer: Observer, recorder: Recorder) -> None:
        self._queue, self._reconciler, self._observer, self._recorder = queue, reconciler, observer, recorder
        self._passed: set[Key] = set()
        self.is_engine_away = False

    def has_passed(self, keys: list[Key]) -> bool:
        """Whether each of these keys has had a pass that could see the Swarm."""
        return self._passed.issuperset(keys)

    async def work(self) -> None:
        """One worker; ends when the queue is closed. Start as many as passes may run at once."""
        while (due := await self._queue.get()) is not None:
            self._recorder.queue_depth(len(self._queue))
            try:
                verdict = await self._reconcile(due)
            finally:
                self._queue.done(due.key)
            self._follow(due, verdict)
            if self._queue.is_idle:
                self._reconciler.rest()

    async def _reconcile(self, due: Due) -> Verdict:
        try:
            verdict = await self._reconciler.reconcile(due)
        except (EngineUnavailableError, NotManagerError) as error:
            self._observer.forget_all()
            if not self.is_engine_away:
                log.warning("engine away", extra={"fields": {"reason": str(error)}})
            self.is_engine_away = True
            return Verdict(PassResult.RETRY, str(error))
        except NotLeaderError as error:  # no failure: whoever leads does it
            return Verdict(PassResult.RETRY, str(error))
        except ProdBreakerError as error:
            log.warning("pass failed", extra={"fields": {"key": str(due.key), "reason": str(error)}})
            return Verdict(PassResult.RETRY, str(error))
        except Exception as error:  # one key's surprise must not end the worker that serves all the others
            log.exception("unexpected error", extra={"fields": {"key": str(due.key)}})
            return Verdict(PassResult.FAILED, f"{type(error).__name__}: {error}")
        if self.is_engine_away:
            log.info("engine back")
        self.is_engine_away = False
        self._passed.add(due.key)
        return verdict

    def _follow(self, due: Due, verdict: Verdict) -> None:
        for key in verdict.wake:
            if key.service or not self._queue.is_backing_off(key):  # a refused network is not asked for again by all who need it
                self._queue.add(key, reason=f"{due.key} went on")
        if verdict.result in (PassResult.RETRY, PassResult.FAILED):
            self._queue.retry(due.key, reason=f"retry: {verdict.reason}")
            return
        self._queue.forget(due.key)
        if verdict.look_again_seconds is not None:
            self._queue.add_after(due.key, seconds=verdict.look_again_seconds, reason="moving")


async def run_workers(loop: Loop, count: int) -> None:
    """`count` workers side by side, until the queue is closed."""
    async with asyncio.TaskGroup() as group:
        for number in range(count):
            group.create_task(loop.work(), name=f"worker-{number}")
