"""How the composition root comes to measurements: from the settings, with nothing shown, and with a word where there are none."""

from __future__ import annotations

import logging
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from controller.adapters.logs import Redactor
from controller.errors import SettingsError
from controller.model.policy import Condition, RollbackPolicy, ServicePolicy
from controller.runtime import _load, measurements
from controller.settings import Settings
from tests.support.clock import FakeClock

MEASURED = ServicePolicy(rollback=RollbackPolicy(conditions=(Condition("up == 0"),)))


async def test_without_an_address_nothing_is_measured(clock: FakeClock) -> None:
    async with AsyncExitStack() as cleanup:
        watch = measurements(Settings(), Redactor(), clock, cleanup)
        assert (await watch.look("web", MEASURED)).conclusive


async def test_with_an_address_prometheus_is_asked_and_let_go_of_at_the_end(clock: FakeClock) -> None:
    async with AsyncExitStack() as cleanup:
        watch = measurements(Settings(prometheus="http://127.0.0.1:9"), Redactor(), clock, cleanup)
        reading = await watch.look("web", MEASURED)
        assert (reading.conclusive, len(reading.problems)) == (False, 1)


async def test_credentials_for_prometheus_are_masked_in_every_log(clock: FakeClock, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("planted-token")
    redactor = Redactor()
    async with AsyncExitStack() as cleanup:
        measurements(Settings(prometheus="http://me:planted%40password@p"), redactor, clock, cleanup)
        measurements(Settings(prometheus="http://p", prometheus_token_file=tmp_path / "token"), redactor, clock, cleanup)

    assert redactor.text("planted%40password, planted@password, planted-token; me") == "***, ***, ***; me"


async def test_a_token_without_an_address_is_refused(clock: FakeClock, tmp_path: Path) -> None:
    async with AsyncExitStack() as cleanup:
        with pytest.raises(SettingsError, match="PRODBREAKER_PROMETHEUS is not set"):
            measurements(Settings(prometheus_token_file=tmp_path / "token"), Redactor(), clock, cleanup)


@pytest.mark.parametrize(
    ("policy", "is_measured", "told"),
    [
        ("rollback: {conditions: [{query: up == 0}]}", False, ["shop_web"]),
        ("alerts: [{match: {a: b}, action: rollback}]", False, ["shop_web"]),
        ("alerts: [{match: {a: b}, action: restart}]", False, None),
        ("rollback: {keep: 3}", False, None),
        ("rollback: {conditions: [{query: up == 0}]}", True, None),
    ],
)
def test_a_manifest_that_wants_measurements_which_are_not_had_is_told_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, policy: str, is_measured: bool, told: list[str] | None
) -> None:
    (tmp_path / "shop.yml").write_text(f"services: {{db: {{image: x}}, web: {{image: x, x-prodbreaker: {{{policy}}}}}}}")
    caplog.set_level(logging.WARNING, "prodbreaker")

    _load(Redactor(), tmp_path / "shop.yml", "shop", is_measured=is_measured)

    records: list[Any] = caplog.records
    assert [(record.getMessage(), record.fields["services"]) for record in records] == (
        [] if told is None else [("conditions are not asked", told)]
    )
