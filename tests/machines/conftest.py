"""Says at the end of a test run how much the state machines have tried."""

from __future__ import annotations

import pytest

from tests.machines.machine import TOTALS


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if TOTALS:
        terminalreporter.write_line("state machines: " + ", ".join(f"{count} {what}" for what, count in TOTALS.items()))
