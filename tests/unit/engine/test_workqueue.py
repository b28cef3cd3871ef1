"""client-go's semantics: each key once, one worker per key, backoff per key."""

from __future__ import annotations

import asyncio

import pytest

from controller.engine.workqueue import Due, WorkQueue
from controller.model.status import Key

pytestmark = pytest.mark.looptime
A, B = Key("shop", "a"), Key("shop", "b")


def now() -> float:
    return asyncio.get_running_loop().time()


async def taken(queue: WorkQueue, *, seconds: float = 0.0) -> list[Key]:
    """The keys that are handed out within a time, without giving them back."""
    keys: list[Key] = []
    try:
        async with asyncio.timeout(seconds):
            while (due := await queue.get()) is not None:
                keys.append(due.key)
    except TimeoutError:
        pass
    return keys


async def test_keys_come_out_in_the_order_in_which_they_were_added_and_only_once() -> None:
    queue = WorkQueue()
    for key in (A, B, A, B, A):
        queue.add(key, reason="x")

    assert len(queue) == 2
    assert await taken(queue) == [A, B]


async def test_the_first_reason_and_the_newest_time_count() -> None:
    queue = WorkQueue()
    queue.add(A, reason="first")
    await asyncio.sleep(5)
    queue.add(A, reason="second")

    assert await queue.get() == Due(A, "first", 5.0)


async def test_a_key_in_work_is_handed_out_again_only_after_it_is_given_back() -> None:
    queue = WorkQueue()
    queue.add(A, reason="x")
    await queue.get()
    queue.add(A, reason="again")

    assert len(queue) == 1
    assert await taken(queue) == []
    queue.done(A)
    due = await queue.get()
    assert due is not None
    assert due.reason == "again"


async def test_a_key_given_back_without_news_is_at_rest() -> None:
    queue = WorkQueue()
    queue.add(A, reason="x")
    assert not queue.is_idle
    await queue.get()
    assert not queue.is_idle
    queue.done(A)

    assert queue.is_idle
    assert await taken(queue) == []


async def test_a_worker_that_waits_is_woken() -> None:
    queue = WorkQueue()
    worker = asyncio.create_task(queue.get())
    await asyncio.sleep(10)
    queue.add(A, reason="x")

    assert await worker == Due(A, "x", 10.0)


async def test_many_workers_share_the_keys() -> None:
    queue = WorkQueue()
    workers = [asyncio.create_task(queue.get()) for _ in range(3)]
    await asyncio.sleep(0)
    queue.add(A, reason="x")
    queue.add(B, reason="x")
    await asyncio.sleep(1)

    assert sorted(str(worker.result().key) for worker in workers if worker.done()) == ["shop/a", "shop/b"]  # type: ignore[union-attr] # not closed
    queue.close()
    assert await asyncio.gather(*workers)


async def test_a_delayed_key_is_due_at_its_time_and_does_not_count_before() -> None:
    queue = WorkQueue()
    queue.add_after(A, seconds=3, reason="later")

    assert queue.is_idle
    assert await queue.get() == Due(A, "later", 3.0)


async def test_the_sooner_of_two_delays_counts() -> None:
    queue = WorkQueue()
    queue.add_after(A, seconds=5, reason="late")
    queue.add_after(A, seconds=2, reason="soon")
    queue.add_after(A, seconds=9, reason="never")

    due = await queue.get()
    assert due == Due(A, "soon", 2.0)
    queue.done(A)
    assert await taken(queue, seconds=60) == []


async def test_what_becomes_due_by_itself_needs_no_delay_any_more() -> None:
    queue = WorkQueue()
    queue.add_after(A, seconds=5, reason="later")
    queue.add(A, reason="now")
    queue.add_after(A, seconds=1, reason="not needed")

    assert await taken(queue, seconds=1) == [A]
    queue.done(A)
    assert await taken(queue, seconds=60) == []


async def test_each_retry_waits_twice_as_long_up_to_the_cap_until_the_key_is_well() -> None:
    queue = WorkQueue(base_seconds=0.2, cap_seconds=2.0)
    delays = []
    for _ in range(6):
        delays.append(queue.retry(A, reason="failed"))
        started = now()
        assert await queue.get() is not None
        assert now() - started == pytest.approx(delays[-1])
        queue.done(A)

    assert delays == pytest.approx([0.2, 0.4, 0.8, 1.6, 2.0, 2.0])
    queue.forget(A)
    assert queue.retry(A, reason="failed") == pytest.approx(0.2)
    queue.close()


async def test_backoff_is_each_keys_own_and_never_overflows() -> None:
    queue = WorkQueue(cap_seconds=300)
    for _ in range(2000):
        queue.retry(A, reason="failed")

    assert queue.retry(A, reason="failed") == 300
    assert queue.retry(B, reason="failed") == pytest.approx(0.2)
    queue.close()


async def test_a_key_backs_off_from_its_failure_to_its_next_try() -> None:
    queue = WorkQueue()
    queue.add_after(A, seconds=1, reason="moving")
    assert not queue.is_backing_off(A)
    queue.retry(A, reason="failed")
    assert queue.is_backing_off(A)
    await asyncio.sleep(2)
    assert not queue.is_backing_off(A)
    queue.close()


async def test_delays_are_jittered() -> None:
    queue = WorkQueue(jitter=lambda delay: delay * 1.5)

    assert queue.retry(A, reason="failed") == pytest.approx(0.3)
    queue.close()


async def test_a_closed_queue_hands_out_nothing_and_takes_nothing() -> None:
    queue = WorkQueue()
    queue.add(A, reason="x")
    in_work = await queue.get()
    queue.add(A, reason="again")
    queue.add(B, reason="x")
    queue.add_after(Key("shop"), seconds=1, reason="x")
    queue.close()
    queue.add(B, reason="late")
    queue.add_after(B, seconds=1, reason="late")

    assert in_work is not None
    queue.done(in_work.key)
    assert await queue.get() is None
    await asyncio.sleep(10)
    assert await queue.get() is None
    assert queue.is_idle


async def test_the_first_change_that_made_a_key_due_is_the_one_that_counts() -> None:
    queue = WorkQueue()
    queue.add(A, reason="resync")
    queue.add(A, reason="service remove", happened=7.0)
    queue.add(A, reason="container die", happened=8.0)

    due = await queue.get()

    assert due is not None
    assert (due.reason, due.happened) == ("resync", 7.0)
