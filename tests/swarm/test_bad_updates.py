"""Bad updates of every class on a real Swarm, each twice in a row: the old version comes back, stays, and clients notice nothing.

All services of a course go bad in the same edit. What becomes of each is written down; the tests then look at that.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.support.engine import PrivateEngine
from tests.support.sweep import remove_everything
from tests.support.tiny_image import IS_WELL
from tests.support.trial import PROVEN_SECONDS, RESYNC_SECONDS, Service, Trial

QUIET_SECONDS = float(os.environ.get("PRODBREAKER_REFUSED_SECONDS", str(5 * RESYNC_SECONDS)))  # the promise is for 300
BACK_SECONDS = 60.0
AT_ONCE_SECONDS = 2.0  # from an edit to its write: reading the folder takes some tenths of a second

pytestmark = [pytest.mark.swarm, pytest.mark.timeout(2 * QUIET_SECONDS + 300)]

CHECK = {"test": list(IS_WELL), "interval": "1s", "timeout": "1s", "retries": 2}
NEVER_SURE = {**CHECK, "retries": 1000}  # neither sound nor unsound: the task starts for ever
LATE = {"monitor": "1s", "delay": "2s"}  # the second replica is still well when the first one fails
HASTY = {"rollback": {"deadline": "8s", "min_healthy": f"{PROVEN_SECONDS:g}s"}}
SHARED = "shared.conf"
SHARES = {"configs": [{"source": SHARED, "target": "/behaviour"}]}
FILLER = "filler"


@dataclass(frozen=True)
class Case:
    """A service as it is when it is well, and what an edit changes that breaks it."""

    well: Mapping[str, Any] = field(default_factory=dict)  # as `Trial.page` takes it
    bad: Mapping[str, Any] = field(default_factory=dict)
    writes: int = 2  # of the service: the edit and the way back
    partner: str = ""  # of a case that is only bad because another one is


CASES = {
    "a-crash": Case(bad={"FAULT": "crash"}),
    "b-unhealthy": Case({"healthcheck": CHECK}, {"FAULT": "unhealthy"}),
    "c-unhealthy-late": Case({"healthcheck": CHECK, "update": LATE}, {"FAULT": "late-unhealthy", "AFTER": "6"}),
    "c-crash-late": Case({"update": LATE}, {"FAULT": "late-crash", "AFTER": "6"}),
    "d-no-image": Case(bad={"image": "127.0.0.1:5000/trial/nobody:1"}),
    "e-pending": Case({"update": {"order": "stop-first"}, "x-prodbreaker": HASTY}, {"share": 0.45}),
    "e-starting": Case({"x-prodbreaker": HASTY}, {"FAULT": "unhealthy", "healthcheck": NEVER_SURE}),
    "h-config": Case({**SHARES, "ROLE": "victim"}),
    "h-partner": Case(SHARES, partner="h-config"),
    "j-by-default": Case({"deploy": {"update_config": {"delay": "2s"}}}, {"FAULT": "crash"}),
    "s-by-swarm": Case({"update": {"failure_action": "rollback"}}, {"FAULT": "crash"}, writes=1),
}


@dataclass
class Round:
    """What became of one edit."""

    writes: dict[str, list[str]] = field(default_factory=dict)  # by service
    others: list[str] = field(default_factory=list)  # writes of no service's own
    seconds: dict[str, float] = field(default_factory=dict)  # until the old version served alone and was complete
    failed: dict[str, list[str]] = field(default_factory=dict)  # requests
    states: dict[str, list[str]] = field(default_factory=dict)  # of the revisions
    why: dict[str, str] = field(default_factory=dict)  # of the last one


@dataclass
class Course:
    rounds: list[Round] = field(default_factory=list)
    quiet: Sequence[str] = ("not played",)  # writes over several resyncs
    quiet_after_restart: Sequence[str] = ("not played",)
    pages: dict[str, set[str]] = field(default_factory=dict)  # after that
    mended: Round = field(default_factory=Round)  # the edit that makes everything good


@pytest.fixture(scope="module")
def course(engine: PrivateEngine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Course]:
    remove_everything(engine)
    trial = Trial(engine, tmp_path_factory.mktemp("trial"), environment={"PRODBREAKER_RESOLVE_IMAGE": "never"})
    try:
        trial.open(_services(trial, "v1"), configs={SHARED: "VERSION=v1\n"})
        yield _played(trial)
    finally:
        trial.close()
        remove_everything(engine)


def _played(trial: Trial) -> Course:
    course = Course()
    for version in ("v2", "v3"):
        course.rounds.append(_edited(trial, version, back_to="v1", is_bad=True))
    trial.proxy.clear()
    course.quiet = trial.quiet(QUIET_SECONDS)
    trial.controller.stop()
    trial.controller.start()
    course.quiet_after_restart = trial.quiet(QUIET_SECONDS)
    course.pages = {name: trial.pages(name) for name in CASES}
    course.mended = _edited(trial, "v4", back_to="v4", is_bad=False)
    return course


def _edited(trial: Trial, version: str, *, back_to: str, is_bad: bool) -> Round:
    """Edit all services at once and watch them until each is at its end, or for as long as that may take."""
    numbers = {name: max(1, len(trial.states(name))) for name in CASES}
    trial.proxy.clear()
    begin, result = time.monotonic(), Round()
    broken = '[ "$ROLE" = victim ] && FAULT=crash\n' if is_bad else ""
    trial.declare(_services(trial, version, is_bad=is_bad), configs={SHARED: f"VERSION={version}\n{broken}"})
    ends = "quarantined" if is_bad else "stable"
    while len(result.seconds) < len(CASES) and time.monotonic() - begin < BACK_SECONDS:
        for name in CASES.keys() - result.seconds.keys():
            states = trial.states(name)
            if len(states) > numbers[name] and states[-1] == ends and trial.is_complete(name) and trial.pages(name) == {back_to}:
                result.seconds[name] = time.monotonic() - begin
        time.sleep(0.2)
    words = trial.writes()
    for name in CASES:
        result.writes[name] = [text for text in words if f"trial_{name}" in text.split()]
        result.failed[name] = [str(reply) for reply in trial.failed(name, begin)]
        kept = trial.revisions(name)
        result.states[name] = [labels["state"] for labels in kept]
        result.why[name] = kept[-1].get("why", "") if kept else ""
    result.others = [text for text in words if not any(text in found for found in result.writes.values())]
    return result


def _services(trial: Trial, version: str, *, is_bad: bool = False) -> dict[str, Service]:
    memory = trial.engine.api("GET", "/info")["MemTotal"]
    found = {FILLER: _reserving(trial.page("v1"), memory, 0.3)}  # twice
    for name, case in CASES.items():
        parts = {**case.well, **(case.bad if is_bad else {})}
        share = parts.pop("share", None)
        page = trial.page(version, **parts)
        found[name] = page if share is None else _reserving(page, memory, share)
    return found


def _reserving(page: Service, memory: int, share: float) -> Service:
    """Without the filler there would be room for it."""
    return {**page, "deploy": {**page["deploy"], "resources": {"reservations": {"memory": str(int(memory * share))}}}}


@pytest.mark.parametrize("number", [0, 1], ids=["first", "again"])
@pytest.mark.parametrize("name", CASES)
def test_after_a_bad_update_the_old_version_serves_again(course: Course, name: str, number: int) -> None:
    played = course.rounds[number]
    assert name in played.seconds, (played.states[name], played.why[name], played.writes[name])
    assert played.states[name] == ["stable", *["quarantined"] * (number + 1)]


@pytest.mark.parametrize("number", [0, 1], ids=["first", "again"])
@pytest.mark.parametrize("name", CASES)
def test_no_client_notices_a_bad_update(course: Course, name: str, number: int) -> None:
    assert course.rounds[number].failed[name] == []


@pytest.mark.parametrize("number", [0, 1], ids=["first", "again"])
@pytest.mark.parametrize("name", CASES)
def test_a_bad_update_takes_the_writes_that_are_needed_and_no_others(course: Course, name: str, number: int) -> None:
    service = f"trial_{name}"
    kept = [f"revision {number + 2} of {service} {state}" for state in ("progressing", "failed", "quarantined")]
    baseline = [f"revision 1 of {service} stable"] if number == 0 else []
    wanted = [*[f"update {service}"] * CASES[name].writes, *kept, *baseline]
    assert Counter(course.rounds[number].writes[name]) == Counter(wanted)


def test_what_was_refused_is_not_tried_again(course: Course) -> None:
    assert list(course.quiet) == []


def test_what_was_refused_is_not_tried_again_by_the_next_controller(course: Course) -> None:
    assert list(course.quiet_after_restart) == []
    assert course.pages == {name: {"v1"} for name in CASES}


@pytest.mark.parametrize("name", CASES)
def test_a_good_version_goes_out_at_once_after_two_bad_ones(course: Course, name: str) -> None:
    played = course.mended
    assert name in played.seconds, (played.states[name], played.why[name], played.writes[name])
    assert played.failed[name] == []
    assert [text for text in played.writes[name] if text.startswith("update")] == [f"update trial_{name}"]
