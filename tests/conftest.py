"""Fixtures that every test has."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, settings

from tests.support.clock import FakeClock

pytest.register_assert_rewrite("tests.support.stage")  # its assertions are to show what differs, as those of tests do

# How long an example takes says something about the host. What a host adds (in CI the same examples each time) stays as it is.
settings.register_profile("patient", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest_asyncio.fixture
async def _no_task_left_behind() -> AsyncIterator[None]:
    """Fails a test that leaves asyncio tasks running: what nobody awaits, nobody stops."""
    before = asyncio.all_tasks()
    yield
    left = [task for task in asyncio.all_tasks() - before if task is not asyncio.current_task() and not task.done()]
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
    assert not left, f"tasks left running: {[task.get_coro() for task in left]}"


def pytest_sessionstart() -> None:
    """Else looptime, looking for a loop before the first plain test, makes one that nobody closes."""
    asyncio.set_event_loop(None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Only coroutine tests have a loop to leave tasks in."""
    for item in items:
        if isinstance(item, pytest.Function) and asyncio.iscoroutinefunction(item.obj):
            item.fixturenames.insert(0, "_no_task_left_behind")
