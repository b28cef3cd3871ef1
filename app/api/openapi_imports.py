"""The operations on imports."""

from __future__ import annotations

from app.api.openapi_parts import PAGED, answer, listing, operation, query
from app.api.schemas import SHOWN_MOMENT, Json, form, or_null, ref, row, text, whole
from app.ingest.rows import Kind
from app.store.imports import Options, Status

_COUNTS: Json = {name: whole(0, 2**63 - 1) for name in ("inserted", "updated", "unchanged", "duplicate", "rejected")}
_SOME = whole(0, 2**63 - 1)
_JOB_ID = {"name": "job_id", "in": "path", "required": True, "schema": text(format="uuid")}
_KEY = {
    "name": "Idempotency-Key", "in": "header", "schema": text(pattern=r"^[\x21-\x7e]{1,255}$"),
    "description": "The same key and the same file: the import that there is. Quotes around it are no part of it.",
}  # fmt: skip
_FORM = {"type": "object", "required": ["file"], "properties": {"file": text(format="binary")}}
_FILE: Json = {
    "required": True,
    "description": "A CSV file in UTF-8, also packed with gzip. Its size is bounded by the service (256 MiB by default).",
    "content": {
        "text/csv": {"schema": text()},
        "application/gzip": {"schema": text(format="binary")},
        "multipart/form-data": {"schema": _FORM},
    },
}

_ERROR = row({"code": text(), "line": {"type": ["integer", "null"]}, "message": text()})
SCHEMAS: Json = {
    "Import": row(
        {
            "id": text(format="uuid"), "kind": {"enum": list(Kind)}, "status": {"enum": list(Status)},
            "dry_run": {"type": "boolean"}, "reject_limit": _SOME, "reject_percent": or_null(whole(0, 100)),
            "bytes": _SOME, "bytes_done": _SOME, "percent": {"type": "number", "minimum": 0, "maximum": 100},
            "rows": {**_SOME, "description": "The sum of the five numbers that follow."}, **_COUNTS,
            "error": or_null(_ERROR), "sha256": {"type": ["string", "null"]}, "created_at": SHOWN_MOMENT,
            "started_at": or_null(SHOWN_MOMENT), "ended_at": or_null(SHOWN_MOMENT),
        }
    ),
    "BulkResult": row({"imported": _SOME, "rows": _SOME, **_COUNTS, "id": text(format="uuid")}),
    "Reject": row(
        {
            "line": whole(1, 2**63 - 1), "column": {"type": ["string", "null"]}, "code": text(), "message": text(),
            "raw": text(description="The row as it was sent."),
        }
    ),
}  # fmt: skip

_WATCHED = "Location is where to watch it."
PATHS: Json = {
    "/imports": {
        "get": operation(
            "listImports", "List imports, the newest first", {200: listing("Import", order="The newest first")},
            errors=[400, 503], parameters=PAGED, tag="imports",
        ),
        "post": operation(
            "makeImport", "Import a file",
            {
                200: answer(f"The same file was imported before with this key. {_WATCHED}", ref("Import"), headers="Location"),
                202: answer(f"Taken. {_WATCHED}", ref("Import"), headers="Location"),
            },
            errors=[409, 422, 503], body=_FILE, tag="imports",
            parameters=[
                query("kind", {"enum": list(Kind)}, required=True),
                query("dry_run", {"enum": ["true", "false", "1", "0"], "default": "false"}, "Check everything, write no row."),
                query("reject_limit", whole(0, 10**12, default=Options("").reject_limit), "More refused rows fail the import."),
                query("reject_percent", whole(0, 100), "So do more per cent of the rows."),
                _KEY,
            ],
        ),
    },
    "/imports/{job_id}": {
        "parameters": [_JOB_ID],
        "get": operation(
            "readImport", "Watch an import", {200: answer("As it is now.", ref("Import"))}, errors=[404, 503], tag="imports",
        ),
    },
    "/imports/{job_id}/cancel": {
        "parameters": [_JOB_ID],
        "post": operation(
            "cancelImport", "End an import; batches that are written stay", {200: answer("Cancelled.", ref("Import"))},
            errors=[404, 409, 503], tag="imports",
        ),
    },
    "/imports/{job_id}/rejects": {
        "parameters": [_JOB_ID],
        "get": operation(
            "listRejects", "List the refused rows", {200: listing("Reject", order="By line")}, errors=[400, 404, 503],
            parameters=PAGED, tag="imports",
        ),
    },
    "/imports/{job_id}/rejects.csv": {
        "parameters": [_JOB_ID],
        "get": operation(
            "downloadRejects", "The refused rows as a file to repair and send again",
            {200: answer("With columns that say why; formulas are escaped.", text(), media_type="text/csv")},
            errors=[404, 503], tag="imports",
        ),
    },
    "/users/bulk": {
        "post": operation(
            "importUsers", "Import users and wait for the end",
            {
                201: answer("All rows are read.", ref("BulkResult"), headers="Location"),
                202: answer(f"It takes longer than a request may, and goes on. {_WATCHED}", ref("Import"), headers="Location"),
            },
            errors=[404, 409, 422, 503], tag="imports", parameters=[_KEY],
            body={**_FILE, "content": {**_FILE["content"], "application/json": {"schema": form("file", {"file": text()})}}},
            description="A JSON body names a file on the server; there are none, so that it is answered 404.",
        ),
    },
}  # fmt: skip
