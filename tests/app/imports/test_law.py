"""Rows in = inserted + updated + unchanged + duplicate + rejected, whatever is sent."""

from __future__ import annotations

import gzip

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.ingest.model import FileCode
from app.ingest.parse import parse
from app.ingest.rows import Kind
from tests.app.imports.desk import COUNTS, USERS, Desk
from tests.app.ingest.corpus import CORPUS, Case


def all_rejects(desk: Desk, path: str) -> set[tuple[int, str, str]]:
    job = path.removeprefix("/imports/")
    return set(desk.rows('SELECT line, "column", code FROM import_reject WHERE job_id = %s', job))


@pytest.mark.parametrize("kind", Kind)
def test_every_malformed_file_gets_its_verdict_by_http_and_each_of_its_rows_is_accounted_for(desk: Desk, kind: Kind) -> None:
    paths: list[tuple[Case, str]] = []
    for case in [case for case in CORPUS if case.kind is kind and case.data]:
        answer = desk.send(case.data, kind.value)
        assert answer.status_code == 202, case.name
        paths.append((case, answer.headers["Location"]))
    desk.work()
    for case, path in paths:
        job = desk.job(path)
        if case.file is not None:
            assert (job["status"], job["error"]["code"]) == ("failed", case.file.value), case.name
            continue
        assert (job["status"], job["rows"]) == ("done", len(case.refused) + case.good), case.name
        kept = all_rejects(desk, path)
        assert len(kept) == job["rejected"], case.name
        assert kept >= set(case.refused), case.name


@given(data=st.binary(max_size=300), is_packed=st.booleans())
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_of_any_bytes_each_row_is_accounted_for(desk: Desk, data: bytes, *, is_packed: bool) -> None:
    whole = USERS.encode() + data
    job = desk.done(gzip.compress(whole) if is_packed else whole)
    rows = len(list(parse([whole], Kind.USERS)[1]))
    assert (job["status"], job["rows"]) == ("done", rows)
    assert len(all_rejects(desk, f"/imports/{job['id']}")) == job["rejected"]
    assert desk.rows("SELECT count(*) FROM users")[0][0] == desk.rows("SELECT sum(inserted) FROM import_job")[0][0]


@given(data=st.binary(min_size=1, max_size=200))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_at_all_are_imported_or_refused_as_a_file(desk: Desk, data: bytes) -> None:
    job = desk.done(data)
    assert job["status"] == "failed"
    assert job["error"]["code"] in set(FileCode)
    assert sum(job[name] for name in COUNTS) == 0
