"""Says at the end of a test run how much the state machines have tried."""

from __future__ import annotations

from typing import Any

import pytest

from tests.machines.machine import TOTALS


def pytest_sessionfinish(session: pytest.Session) -> None:
    """One of several workers tells its part to the process that started it."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["machines"] = dict(TOTALS)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    TOTALS.update(getattr(node, "workeroutput", {}).get("machines", {}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if TOTALS:
        terminalreporter.write_line("state machines: " + ", ".join(f"{count} {what}" for what, count in TOTALS.items()))
