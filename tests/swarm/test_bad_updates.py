"""Bad updates of every class on a real Swarm, each twice in a row: the old version comes back, stays, and clients notice nothing.

The services of a course go bad in the same edit. What becomes of each is written down; the tests then look at that.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.support import processes
from tests.support.engine import PrivateEngine
from tests.support.prometheus import PrometheusServer, ScrapeTarget
from tests.support.sweep import remove_everything
from tests.support.tiny_image import IS_WELL
from tests.support.trial import POLICY, PROVEN_SECONDS, RESYNC_SECONDS, Service, Trial

QUIET_SECONDS = float(os.environ.get("PRODBREAKER_REFUSED_SECONDS", str(5 * RESYNC_SECONDS)))  # the promise is for 300
RESTARTED_SECONDS = max(5 * RESYNC_SECONDS, QUIET_SECONDS / 5)  # and then under the next controller
BACK_SECONDS = 150.0  # on a host that is busy with other things
AT_ONCE_SECONDS = 2.0  # from an edit to its write: the folder is read some tenths of a second later
PATIENT = 3  # all that is a matter of time takes so many times as long on a host that is kept from its processors
MORE_PATIENT = 2  # and so many times more when a course is played once more
KEPT_FROM = 0.2  # of the time that it wants

pytestmark = [pytest.mark.swarm, pytest.mark.timeout(3 * QUIET_SECONDS + 600 * (PATIENT + MORE_PATIENT))]

# A busy host has taken over two seconds for one check; what is unwell says so without waiting for the time-out.
CHECK = {"test": list(IS_WELL), "interval": "2s", "timeout": "20s", "retries": 1}
NEVER_SURE = {**CHECK, "interval": "1h"}  # neither sound nor unsound: the task starts for ever
# Replicas fail as far apart as they started. Until the second one does, the way back must have brought a good one, which
# takes up to two seconds to decide and, on a busy host, several to start.
EARLY = {"update": {"monitor": "1s", "delay": "15s"}}  # the first one fails while Swarm's updater waits before the second one
LATE = {"update": {"monitor": "1s", "delay": "12s"}, "healthcheck": CHECK}  # it fails when the update is completed
HASTY_SECONDS = 12
HASTY = {"rollback": {"deadline": f"{HASTY_SECONDS}s", "min_healthy": f"{PROVEN_SECONDS:g}s"}}
SHARED = "shared.conf"
SHARES = {"configs": [{"source": SHARED, "target": "/behaviour"}]}
MOUNTED = "mounted"  # a file on the node, whose content is no business of the Swarm's
MOUNTS = {"volumes": [{"type": "bind", "source": f"./{MOUNTED}", "target": "/behaviour", "read_only": True}]}
ERRORS = 'rate(failed_requests_total{host="f-errors"}[4s]) > 5'
MEASURED = {"rollback": {**POLICY["rollback"], "conditions": [{"query": ERRORS}]}}
NOBODY = "127.0.0.1:5000/trial/nobody:1"


@dataclass(frozen=True)
class Case:
    """A service as it is when it is well, what an edit changes that breaks it, and what is to be said about that."""

    why: str  # {deadline} stands for that of HASTY
    well: Mapping[str, Any] = field(default_factory=dict)  # as `Trial.page` takes it
    bad: Mapping[str, Any] = field(default_factory=dict)
    writes: int = 2  # of the service: the edit and the way back
    is_back: bool = True  # False: what it goes back to has become bad meanwhile
    is_answered: bool = True  # whether the declared strategy can keep clients from noticing


CRASHED = "failed: task: non-zero exit (3)"
COURSES: Mapping[str, Mapping[str, Case]] = {
    "swift": {
        "a-crash": Case(CRASHED, bad={"FAULT": "crash"}),
        "d-no-image": Case("No such image", bad={"image": NOBODY}),
        "h-config": Case(CRASHED, {**SHARES, "ROLE": "victim"}),  # the content of the config is what breaks it
        "h-partner": Case("goes back together with trial_h-config", SHARES),
        "i-no-way-back": Case(
            "to which it went back, is bad too", {"update": {"order": "stop-first"}, **MOUNTS}, {"FAULT": "crash"}, is_back=False
        ),
        "j-by-default": Case("its update is paused", {"deploy": {"update_config": {"delay": "2s"}}}, {"FAULT": "crash"}),
        "s-by-swarm": Case("rolled back in Swarm", {"update": {"failure_action": "rollback"}}, {"FAULT": "crash"}, writes=1),
    },
    "slow": {
        "b-unhealthy": Case("its update is paused", {"healthcheck": CHECK}, {"FAULT": "unhealthy"}),
        "c-unhealthy": Case("of its tasks failed: task", LATE, {"FAULT": "late-unhealthy", "AFTER": "36s"}),
        "c-crash": Case("failed: task: non-zero exit (4)", EARLY, {"FAULT": "late-crash", "AFTER": "7s"}),
        "e-pending": Case(
            "no progress for {deadline} s: task", {"update": {"order": "stop-first"}, "x-prodbreaker": HASTY}, {"share": 0.45}
        ),
        "e-starting": Case(
            "no progress for {deadline} s: task", {"x-prodbreaker": HASTY}, {"FAULT": "unhealthy", "healthcheck": NEVER_SURE}
        ),
        "f-errors": Case("condition 1 holds", {"x-prodbreaker": MEASURED}, {"FAULT": "errors"}, is_answered=False),
    },
}
ALL = [(course, name) for course, cases in COURSES.items() for name in cases]
ANSWERED = [(course, name) for course, name in ALL if COURSES[course][name].is_answered]
each_service = pytest.mark.parametrize(("course", "name"), ALL, indirect=["course"])
each_course = pytest.mark.parametrize("course", COURSES, indirect=True)
each_round = pytest.mark.parametrize("number", [0, 1], ids=["first", "again"])


@dataclass
class Round:
    """What became of one edit, by service."""

    writes: dict[str, list[str]] = field(default_factory=dict)
    written: dict[str, float] = field(default_factory=dict)  # seconds from the edit to the service's first write
    ended: dict[str, float] = field(default_factory=dict)  # and until all was over and clients got the right pages alone
    failed: dict[str, list[str]] = field(default_factory=dict)  # requests
    served: dict[str, float] = field(default_factory=dict)  # seconds from the edit to the last page that was not the old one
    revisions: dict[str, list[dict[str, str]]] = field(default_factory=dict)

    def states(self, name: str) -> list[str]:
        assert name in self.ended, f"not at its end: {self.revisions[name][-1:]}, {self.writes[name]}"
        return [found["state"] for found in self.revisions[name]]

    def told(self, name: str) -> str:
        writes = sum(text.startswith("update") for text in self.writes[name])
        return (
            f"only the old version after {self.served[name]:.1f} s, proven after {self.ended.get(name, float('nan')):.0f} s, "
            f"{len(self.failed[name])} requests failed, {writes} writes of the service"
        )


@dataclass
class Course:
    cases: Mapping[str, Case]
    stretch: int = 1
    rounds: list[Round] = field(default_factory=list)
    quiet: Sequence[str] = ()  # writes over several resyncs
    quiet_after_restart: Sequence[str] = ()
    pages: Mapping[str, set[str]] = field(default_factory=dict)  # after that
    mended: Round = field(default_factory=Round)  # the edit that makes everything good


class Courses:
    """Each is played when a test first asks for it; once more, more slowly, for a test that is tried again, and all after it."""

    def __init__(self, engine: PrivateEngine, folders: pytest.TempPathFactory) -> None:
        self._engine, self._folders = engine, folders
        self._played: dict[str, list[Course]] = {name: [] for name in COURSES}

    def play(self, name: str, *, again: bool) -> Course:
        played = self._played[name]
        if len(played) <= again:
            patience = PATIENT if processes.stolen_share() > KEPT_FROM else 1
            course = Course(COURSES[name], stretch=patience + MORE_PATIENT * again)
            played.append(_played(course, self._engine, self._folders.mktemp(name)))
        return played[-1]


@pytest.fixture(scope="module")
def courses(engine: PrivateEngine, tmp_path_factory: pytest.TempPathFactory) -> Courses:
    return Courses(engine, tmp_path_factory)


@pytest.fixture
def course(courses: Courses, request: pytest.FixtureRequest) -> Course:
    return courses.play(request.param, again=getattr(request.node, "execution_count", 1) > 1)


def _played(course: Course, engine: PrivateEngine, folder: Path) -> Course:
    remove_everything(engine)
    with ScrapeTarget() as target:
        prometheus = PrometheusServer(folder, [target.address])
        environment = {"PRODBREAKER_RESOLVE_IMAGE": "never", "PRODBREAKER_PROMETHEUS": prometheus.url}
        trial = Trial(engine, folder / "trial", environment=environment, counts=target.values, stretch=course.stretch)
        try:
            prometheus.start()
            _play(course, trial)
        finally:
            trial.close()
            prometheus.kill()
            remove_everything(engine)
    return course


def _play(course: Course, trial: Trial) -> None:
    """Two bad edits, a quiet time, a restart of the controller, another quiet time, a good edit."""
    (trial.manifests / MOUNTED).write_text("")
    trial.open(_services(course, trial, "v1"), configs={SHARED: "VERSION=v1\n"})
    for version in ("v2", "v3"):
        (trial.manifests / MOUNTED).write_text("FAULT=crash\n")
        course.rounds.append(_edited(course, trial, version, back_to="v1"))
        (trial.manifests / MOUNTED).write_text("")
        # Swarm counts a replica as running before that has read the file: one that reads the next round's word would crash.
        trial.wait(lambda: trial.sight().is_complete(*course.cases), "that all replicas run and stay", hold=trial.proven_seconds)
    course.quiet = trial.quiet(QUIET_SECONDS)
    trial.controller.stop()
    trial.controller.start()
    course.quiet_after_restart = trial.quiet(RESTARTED_SECONDS)
    course.pages = {name: trial.pages(name, seconds=RESTARTED_SECONDS) for name in course.cases}
    course.mended = _edited(course, trial, "v4")


def _edited(course: Course, trial: Trial, version: str, *, back_to: str = "") -> Round:
    """Edit all services at once and watch them until each is at its end, or for as long as that may take."""
    before, result, end = trial.sight(), Round(), "quarantined" if back_to else "stable"
    broken = '[ "$ROLE" = victim ] && FAULT=crash\n' if back_to else ""
    trial.proxy.clear()
    begin = time.monotonic()
    trial.declare(_services(course, trial, version, is_bad=bool(back_to)), configs={SHARED: f"VERSION={version}\n{broken}"})
    while len(result.ended) < len(course.cases) and time.monotonic() - begin < BACK_SECONDS * course.stretch:
        sight = trial.sight()
        for name in course.cases.keys() - result.ended.keys():
            is_new = sight.revisions(name)[-1:] != before.revisions(name)[-1:] and sight.states(name)[-1] == end
            is_whole = sight.is_complete(name) or not (course.cases[name].is_back or end == "stable")
            if is_new and is_whole and trial.pages(name) == {back_to or version}:
                result.ended[name] = time.monotonic() - begin
        time.sleep(0.3)
    # One that a write of Swarm's updater overtook was refused, and is sent again.
    applied = {call.at - begin: text for call, text in trial.calls() if call.status is not None and call.status < 300}
    for name in course.cases:
        own = {at: text for at, text in applied.items() if f"trial_{name}" in text.split()}
        result.writes[name], result.written[name] = list(own.values()), min(own, default=float("inf"))
        result.failed[name] = [str(reply) for reply in trial.failed(name, begin)]
        result.served[name] = trial.last_other(name, begin, back_to)
        result.revisions[name] = sight.revisions(name)
    return result


def _services(course: Course, trial: Trial, version: str, *, is_bad: bool = False) -> dict[str, Service]:
    memory = trial.engine.api("GET", "/info")["MemTotal"]
    found = {"filler": _reserving(trial.page("v1"), memory, 0.3)}  # in both replicas; without it there would be room
    for name, case in course.cases.items():
        parts = {**case.well, **(case.bad if is_bad else {})}
        share = parts.pop("share", 0.0)
        found[name] = _reserving(trial.page(version, **parts), memory, share)
    return found


def _reserving(page: Service, memory: int, share: float) -> Service:
    resources = {"resources": {"reservations": {"memory": str(int(memory * share))}}} if share else {}
    return {**page, "deploy": {**page["deploy"], **resources}}


@each_round
@each_service
def test_after_a_bad_update_the_old_version_serves_again(
    course: Course, name: str, number: int, record_property: Callable[[str, object], None]
) -> None:
    record_property(f"{name} {number + 1}", course.rounds[number].told(name))
    assert course.rounds[number].states(name) == ["stable", *["quarantined"] * (number + 1)]


@each_round
@each_service
def test_a_bad_revision_says_what_was_bad_about_it(course: Course, name: str, number: int) -> None:
    revision = course.rounds[number].revisions[name][-1]
    assert course.cases[name].why.format(deadline=HASTY_SECONDS * course.stretch) in revision["why"]
    assert (revision["target"], revision.get("back") == "true") == ("1", course.cases[name].is_back)


@each_round
@pytest.mark.parametrize(("course", "name"), ANSWERED, indirect=["course"])
def test_no_client_notices_a_bad_update(course: Course, name: str, number: int) -> None:
    assert course.rounds[number].failed[name] == []


@each_round
@each_service
def test_a_bad_update_takes_the_writes_that_are_needed_and_no_others(course: Course, name: str, number: int) -> None:
    service = f"trial_{name}"
    kept = [f"revision {number + 2} of {service} {state}" for state in ("progressing", "failed", "quarantined")]
    baseline = [f"revision 1 of {service} stable"] if number == 0 else []
    wanted = [*[f"update {service}"] * course.cases[name].writes, *kept, *baseline]
    assert Counter(course.rounds[number].writes[name]) == Counter(wanted)


@each_course
def test_what_was_refused_is_not_tried_again(course: Course) -> None:
    assert list(course.quiet) == []


@each_course
def test_what_was_refused_is_not_tried_again_by_the_next_controller(course: Course) -> None:
    assert list(course.quiet_after_restart) == []
    assert course.pages == {name: {"v1"} for name in course.cases}


@each_service
def test_a_good_version_goes_out_at_once_after_two_bad_ones(course: Course, name: str) -> None:
    assert course.mended.states(name) == ["stable", "quarantined", "quarantined", "stable"]
    assert course.mended.written[name] <= AT_ONCE_SECONDS * course.stretch
    assert [text for text in course.mended.writes[name] if text.startswith("update")] == [f"update trial_{name}"]
    assert course.mended.failed[name] == []


@pytest.fixture
def trial(engine: PrivateEngine, tmp_path: Path) -> Iterator[Trial]:
    """One service, under a controller that asks the registry."""
    remove_everything(engine)
    made = Trial(engine, tmp_path)
    try:
        made.open({"web": made.page("v1")})
        made.proxy.clear()
        yield made
    finally:
        made.close()
        remove_everything(engine)


def test_what_can_never_run_is_refused_before_anything_is_touched(trial: Trial) -> None:
    begin, tasks = time.monotonic(), trial.tasks("web")
    refused = {
        "cannot be pinned to a digest": trial.page("v2", image=NOBODY),
        "no ready node meets": trial.page("v2", deploy={"placement": {"constraints": ["node.labels.disk == ssd"]}}),
        "deploy.resources.reservations.memory": trial.page("v2", deploy={"resources": {"reservations": {"memory": "4096G"}}}),
    }
    for reason, service in refused.items():
        trial.declare({"web": service})
        trial.wait(partial(trial.is_told, reason), reason)
        assert list(trial.quiet(2 * RESYNC_SECONDS)) == []
    assert (trial.tasks("web"), trial.failed("web", begin)) == (tasks, [])
    trial.declare({"web": trial.page("v3")})
    trial.wait(lambda: trial.pages("web") == {"v3"} and trial.sight().is_complete("web"), "the good version")
