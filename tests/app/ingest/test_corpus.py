"""Every malformed file gets the verdict that the corpus states, whole and in small chunks."""

from __future__ import annotations

import pytest

from app.ingest.model import FileError
from tests.app.ingest.corpus import CORPUS, Case
from tests.app.ingest.reading import accepted, cut, read, rejects


@pytest.mark.parametrize("case", CORPUS, ids=[case.name for case in CORPUS])
@pytest.mark.parametrize("chunk", [1 << 20, 997], ids=["whole", "chunks"])
def test_malformed_file_gets_its_verdict(case: Case, chunk: int) -> None:
    if case.file is not None:
        with pytest.raises(FileError) as refused:
            read(cut(case.data, [chunk]), case.kind)
        assert refused.value.code is case.file
        return
    results = read(cut(case.data, [chunk]), case.kind)
    assert [(reject.line, reject.column, reject.code) for reject in rejects(results)] == list(case.refused)
    assert len(accepted(results)) == case.good
    assert all(reject.message for reject in rejects(results))


def test_corpus_is_as_large_as_promised() -> None:
    assert len({case.name for case in CORPUS}) == len(CORPUS) >= 120


def test_bad_utf8_is_named_by_its_offset_in_the_file() -> None:
    data = "\ufeffusername,email\nbö,b@example.com\n".encode() + b"ok\xff,b@example.com\n"
    (reject,) = rejects(read(data))
    assert reject.message == "byte 0xff at offset 38 of the file is no UTF-8"
    assert reject.raw == "ok\\xff,b@example.com\n"


def test_other_bad_fields_of_the_row_are_told_in_the_same_breath() -> None:
    (reject,) = rejects(read("id,username,email\nx,,y\n"))
    assert reject.message == (
        "must be a whole number; also username: must not be empty; also email: must be an email address, as in name@example.com"
    )


def test_a_misspelt_column_is_answered_with_the_one_that_was_meant() -> None:
    with pytest.raises(FileError, match=r"column 1, 'user', is unknown; did you mean username\?"):
        read("user,email\n")
