"""The file of a job, read back in pieces."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

from psycopg import Connection

from app.ingest.claims import LostError
from app.ingest.dialect import GZIP, SLICE


class Source:
    """`handed` counts the bytes of the file, as it was sent, that were given out; `tick` is called every `seconds` or so."""

    def __init__(self, connection: Connection[Any], job: UUID, tick: Callable[[], None], seconds: float) -> None:
        self._connection, self._job = connection, job
        self._tick, self._seconds = tick, seconds
        self.handed = 0

    @property
    def is_packed(self) -> bool:
        """Whether the file is gzip."""
        # Two pieces: the first may be a single byte, if its client is slow.
        query = "SELECT substring(data FOR 2) FROM import_blob WHERE job_id = %s ORDER BY seq LIMIT 2"
        return b"".join(bytes(row[0]) for row in self._connection.execute(query, (self._job,))).startswith(GZIP)

    def pieces(self, *, skip: int = 0) -> Iterator[bytes]:
        """The file's bytes, less the first `skip`. Raises LostError if the file is dropped meanwhile, and what `tick` raises."""
        query = "SELECT seq, octet_length(data) FROM import_blob WHERE job_id = %s ORDER BY seq"
        at, ticked = 0, time.monotonic()
        for number, size in self._connection.execute(query, (self._job,)).fetchall():
            if at + size > skip:
                data = self._piece(number)
                for begin in range(max(0, skip - at), size, SLICE):
                    piece = data[begin : begin + SLICE]
                    self.handed = at + begin + len(piece)
                    yield piece
            at += size
            if time.monotonic() - ticked >= self._seconds:
                self._tick()
                ticked = time.monotonic()

    def _piece(self, number: int) -> bytes:
        with self._connection.cursor(binary=True) as cursor:
            row = cursor.execute("SELECT data FROM import_blob WHERE job_id = %s AND seq = %s", (self._job, number)).fetchone()
        if row is None:
            raise LostError(f"the file of job {self._job} was dropped")
        return bytes(row[0])
