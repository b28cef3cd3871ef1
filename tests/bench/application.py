"""One function per promise of the application. None of them needs an engine."""

from __future__ import annotations

import sys

from tests.bench import empty_view, promise
from tests.bench.importing import ROWS, Imports
from tests.bench.promise import Finding, Measurement
from tests.bench.scene import Scene
from tests.bench.served import CODE, is_missing, seconds_per_thousand, site, visited
from tests.bench.stats import interleaved

USERS = 500
SECONDS = 1.0  # of load, for each sample
OFTEN = 4  # so many times as many pairs as others: a second on a host with neighbours is anything from one to two
APPLICATION = "tests.bench.empty_view:with_empty_view()"
SERVICE = "app:create_app()"
BARE = "tests.bench.empty_view:bare()"


def import_rows(scene: Scene) -> Measurement:
    """The time of an import, and the memory that it takes."""
    imports = Imports(scene.folder)
    try:
        pairs = interleaved(max(3, scene.pairs // 2), imports.ours, imports.theirs)
    finally:
        imports.close()
    findings = (
        promise.median_ratio("import", f"import of {ROWS} rows, 1 % of them bad ≤ 2 x COPY of the good ones", pairs, 2.0),
        promise.mebibytes("import", "memory of the import above idle ≤ 64 MiB", imports.mebibytes, 64.0),
    )
    return Measurement(findings, {**_samples(pairs), "mebibytes": imports.mebibytes}, {})


def redirect(scene: Scene) -> Measurement:
    """A redirect that Redis knows, its click written, beside views that do nothing; for a thousand requests on 8 connections."""
    if missing := is_missing("wrk", "redis-server"):
        return _skipped("redirect", missing)
    with site() as started:
        application, bare = started.gunicorn(APPLICATION), started.gunicorn(BARE)

        def time_of(address: str) -> float:
            return seconds_per_thousand(address, connections=8, seconds=SECONDS)

        for address in (f"{application}/{CODE}", f"{application}{empty_view.PATH}", f"{bare}{empty_view.PATH}"):
            time_of(address)  # until all is warm
        pairs = interleaved(
            OFTEN * scene.pairs, lambda: time_of(f"{application}/{CODE}"), lambda: time_of(f"{application}{empty_view.PATH}")
        )
        beside_bare = interleaved(
            OFTEN * max(1, scene.pairs // 2),
            lambda: time_of(f"{application}/{CODE}"),
            lambda: time_of(f"{bare}{empty_view.PATH}"),
        )
    finding = promise.median_ratio("redirect", "1,000 cached redirects ≤ 1.25 x an empty view of the application", pairs, 1.25)
    share = promise.median_ratio("redirect", "", beside_bare, 0.0).measured
    counts = {"redirect beside a bare Flask without log, metrics or Redis": f"{share:.2f} x its time"}
    return Measurement((finding,), {**_samples(pairs), "beside a bare Flask": [a / b for a, b in beside_bare]}, counts)


def balancer(scene: Scene) -> Measurement:
    """The same redirects through nginx as the stack has it, and straight to gunicorn; 50 connections."""
    if missing := is_missing("wrk", "redis-server", "nginx"):
        return _skipped("nginx", missing)
    with site() as started:
        direct = started.gunicorn(APPLICATION)
        through = started.nginx(direct)

        def time_of(address: str) -> float:
            return seconds_per_thousand(f"{address}/{CODE}", connections=50, seconds=SECONDS)

        for address in (direct, through):
            time_of(address)
        pairs = interleaved(OFTEN * scene.pairs, lambda: time_of(through), lambda: time_of(direct))
    text = "1,000 redirects through nginx ≤ 1.11 x straight to gunicorn, 50 connections"
    return Measurement((promise.median_ratio("nginx", text, pairs, 1 / 0.9),), _samples(pairs), {})


def visitors(scene: Scene) -> Measurement:
    """The scenario of tests/load by locust, through nginx to one replica: 500 visitors who think for a second."""
    if missing := is_missing("redis-server", "nginx"):
        return _skipped("load", missing)
    with site() as started:
        started.seed()
        address = started.nginx(started.gunicorn(SERVICE))
        asked, failed, p95 = visited(address, users=USERS, seconds=6 * scene.pairs)
    text = f"p95 of a request of {USERS} visitors who think for a second ≤ 100 ms"
    findings = (
        Finding("load", text, f"{asked} requests", "", p95, None, 0.1, "s", p95),
        Finding(
            "load", f"requests of these {USERS} that failed: 0", f"{failed} of {asked}", "", failed, None, 0, "requests", failed
        ),
    )
    return Measurement(findings, {"p95": [p95]}, {})


def _skipped(row: str, missing: str) -> Measurement:
    print(f"bench: {row} is left out: {missing} is not installed", file=sys.stderr)  # noqa: T201 - a command's job is to print
    return Measurement((), {}, {row: f"left out, because {missing} is not installed"})


def _samples(pairs: promise.Pairs) -> dict[str, list[float]]:
    return {"ours": [ours for ours, _ in pairs], "theirs": [theirs for _, theirs in pairs]}
