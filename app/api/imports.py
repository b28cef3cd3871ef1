"""/imports: files sent, watched, cancelled, and their refused rows fetched; and POST /users/bulk, which waits for its import."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import Any
from uuid import UUID

import psycopg
from flask import Blueprint, Response, jsonify, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import BadRequest, NotFound

from app.api.bodies import json_object, number
from app.api.errors import problem
from app.api.paging import listed
from app.api.shown import shown
from app.api.uploads import uploaded
from app.domain.errors import Code, FieldError
from app.errors import Unavailable
from app.ingest.intake import KeyBusyError, KeyReusedError, receive
from app.ingest.jobs import GAVE_UP
from app.ingest.model import START, FileError, Layout, Reject
from app.ingest.rejects import reject_file
from app.ingest.rows import Kind
from app.services import Services
from app.store import imports as store
from app.store.database import Database, Row
from app.store.imports import EndedError, Options, Status

# How long a request waits for its import, and how often it looks.
WAIT_SECONDS, LOOK_SECONDS = 25.0, 0.1
# Rows of its batches: fewer than a worker's, for a request's connection has little time for a statement.
ROWS = 1_000
_MOST_REJECTS = 10**12
_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_PAGE = 1_000  # rejects that are read at once
_COUNTS = ("inserted", "updated", "unchanged", "duplicate", "rejected")


def blueprint(services: Services) -> Blueprint:
    """The routes of imports."""
    routes = Blueprint("imports", __name__)
    database = services.database

    @routes.post("/imports")
    def create() -> ResponseReturnValue:
        limit = number("reject_limit", default=Options("").reject_limit, least=0, most=_MOST_REJECTS)
        percent = number("reject_percent", default=-1, least=0, most=100) if "reject_percent" in request.args else None
        options = Options(_kind().value, _flag("dry_run"), limit, percent)
        return taken(services, options, lambda job, is_new: _accepted(database, job, is_new=is_new))

    @routes.get("/imports")
    def index() -> Response:
        return listed(partial(store.page, database), job_shown)

    @routes.get("/imports/<uuid:job_id>")
    def read(job_id: UUID) -> Response:
        return jsonify(job_shown(store.find(database, job_id)))

    @routes.post("/imports/<uuid:job_id>/cancel")
    def cancel(job_id: UUID) -> Response:
        try:
            return jsonify(job_shown(store.cancel(database, job_id)))
        except EndedError as error:
            return problem(409, str(error))

    @routes.get("/imports/<uuid:job_id>/rejects")
    def rejects(job_id: UUID) -> Response:
        store.find(database, job_id)
        return listed(partial(store.rejects, database, job_id), lambda row: row)

    @routes.get("/imports/<uuid:job_id>/rejects.csv")
    def reject_csv(job_id: UUID) -> Response:
        layout = _layout(store.find(database, job_id)["layout"])
        name = f"import-{job_id}-rejects.csv"
        text = reject_file(_all_rejects(database, job_id), layout)
        return Response(
            text, content_type="text/csv; charset=utf-8", headers={"Content-Disposition": f'attachment; filename="{name}"'}
        )

    return routes


def bulk(services: Services) -> ResponseReturnValue:
    """POST /users/bulk: 201 once all users of the file are imported, 202 if that takes too long; the import goes on then.

    This process works on the import itself, so that no worker has to run; it takes turns with those that do.
    """
    if request.is_json:
        name = json_object().get("file")
        if not isinstance(name, str):
            raise BadRequest("There is no file: send it as the part file of a form.")
        raise NotFound("There is no such file on the server: send it as the part file of a form.")
    return taken(services, Options(Kind.USERS.value), lambda job, _: _waited(services, job))


def taken(services: Services, options: Options, answer: Callable[[UUID, bool], ResponseReturnValue]) -> ResponseReturnValue:
    """Take the request's file in and answer with what becomes of it."""
    try:
        pieces = uploaded(largest=services.settings.max_import_bytes)
        job, is_new = receive(services.database, pieces, options, key=_key())
    except KeyBusyError as error:
        busy = problem(409, str(error))
        busy.headers["Retry-After"] = str(error.retry_after)
        return busy
    except KeyReusedError as error:
        return problem(422, str(error))
    except FileError as error:
        return problem(400, str(error), code=error.code.value)
    return answer(job, is_new)


def job_shown(row: Row) -> dict[str, Any]:
    """The job as the API shows it."""
    status, size, done = row["status"], row["size"], row["bytes_done"]
    error = None if row["error_code"] is None else {name: row[f"error_{name}"] for name in ("code", "line", "message")}
    return shown(
        {
            **{name: row[name] for name in ("id", "kind", "status", "dry_run", "reject_limit", "reject_percent")},
            "bytes": size,
            "bytes_done": done,
            "percent": 100.0 if status == Status.DONE else round(100 * done / size, 1),
            "rows": sum(row[name] for name in _COUNTS),
            **{name: row[name] for name in _COUNTS},
            "error": error,
            **{name: row[name] for name in ("sha256", "created_at", "started_at", "ended_at")},
        }
    )


def _accepted(database: Database, job: UUID, *, is_new: bool) -> ResponseReturnValue:
    """202 as long as there is something to wait for."""
    row = store.find(database, job)
    has_ended = not is_new and Status(row["status"]).has_ended
    return jsonify(job_shown(row)), 200 if has_ended else 202, {"Location": f"/imports/{job}"}


def _waited(services: Services, job: UUID) -> ResponseReturnValue:
    database, importer = services.database, replace(services.importer(), rows=ROWS)
    until = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            importer.work(database.connection(), only=job)  # type: ignore[no-untyped-call]  # of peewee's
        except psycopg.Error as error:
            raise Unavailable("postgresql", type(error).__name__) from error
        row = store.find(database, job)
        if Status(row["status"]).has_ended:
            return _bulk_answer(row)
        if time.monotonic() >= until:
            return jsonify(job_shown(row)), 202, {"Location": f"/imports/{job}"}
        database.close()  # somebody else may need it meanwhile
        time.sleep(LOOK_SECONDS)


def _bulk_answer(row: Row) -> ResponseReturnValue:
    counts, location = {name: row[name] for name in _COUNTS}, f"/imports/{row['id']}"
    if row["status"] == Status.DONE:
        imported = row["inserted"] + row["updated"]
        return jsonify(imported=imported, rows=sum(counts.values()), **counts, id=row["id"]), 201, {"Location": location}
    if row["error_code"] == GAVE_UP:
        raise Unavailable("import", row["error_message"])
    message = row["error_message"] or "The import was cancelled."
    status = 409 if row["status"] == Status.CANCELLED else 400
    failed = problem(status, message, code=row["error_code"], line=row["error_line"], **counts, id=row["id"])
    failed.headers["Location"] = location
    return failed


def _all_rejects(database: Database, job: UUID) -> Iterator[Reject]:
    line = 0
    while True:
        with closing(database):  # no connection is held while the client reads
            rows = store.rejects_after(database, job, line, limit=_PAGE)
        for row in rows:
            yield Reject(*row)
        if len(rows) < _PAGE:
            return
        line = rows[-1][0]


def _layout(kept: dict[str, Any] | None) -> Layout:
    """Of a file that could not be read there are no rejects, and so nothing but the reasons' columns."""
    if kept is None:
        return Layout(",", (), START)
    return Layout(kept["delimiter"], tuple(kept["header"]), START)


def _kind() -> Kind:
    text = request.args.get("kind")
    if text is None:
        raise FieldError("kind", Code.MISSING, "is missing")
    try:
        return Kind(text)
    except ValueError:
        raise FieldError("kind", Code.FORMAT, f"must be one of {', '.join(Kind)}") from None


def _flag(name: str) -> bool:
    text = request.args.get(name, "false").lower()
    if text not in ("true", "false", "1", "0"):
        raise FieldError(name, Code.TYPE, "must be true or false")
    return text in ("true", "1")


def _key() -> str | None:
    """The Idempotency-Key; the IETF's draft has it in quotes, most clients have not."""
    given = request.headers.get("Idempotency-Key")
    if given is None:
        return None
    key = given.strip()
    if len(key) >= 2 and key.startswith('"') and key.endswith('"'):
        key = key[1:-1]
    if not _KEY.fullmatch(key):
        raise BadRequest("The Idempotency-Key must have 1 to 255 visible ASCII characters.")
    return key
