"""Taking a file in: piece by piece into the database, because any replica may have to go on with it.

No connection is held while a client is waited for. A file that does not come to its end leaves nothing: its job is forgotten
at once, or, if this process dies, as soon as nobody has heard of it for RECEIVE_SECONDS.

With an idempotency key, the same request is answered with the job that it made the first time, for as long as that job is
kept. Without one, a request whose kind, options and bytes are those of a job that waits or is worked on gets that job; once
it has ended, the same file makes a new one (which then finds its rows unchanged).
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from hashlib import sha256
from uuid import UUID

import peewee

from app.errors import AppError, Unavailable
from app.ingest.model import FileCode, FileError
from app.store import imports as store
from app.store.database import Database
from app.store.imports import Options, Status

PIECE = 1024 * 1024  # bytes of one row of import_blob
# A slow client's bytes are written down this often, and so its job is known to live.
PIECE_SECONDS = 10.0
RECEIVE_SECONDS = 60.0


class KeyBusyError(AppError):
    """The request that came first with this key is still being received; `retry_after` is in seconds."""

    def __init__(self, seconds: float) -> None:
        super().__init__("a request with this Idempotency-Key is still being received")
        self.retry_after = max(1, min(5, round(seconds)))


class KeyReusedError(AppError):
    """The key belongs to a request for something else."""

    def __init__(self) -> None:
        super().__init__("this Idempotency-Key was used for another file, kind or option")


def receive(database: Database, pieces: Iterable[bytes], options: Options, *, key: str | None = None) -> tuple[UUID, bool]:
    """Take a file in; the job that imports it, and whether it is a new one.

    Raises KeyBusyError, KeyReusedError, FileError for no bytes at all, Unavailable, peewee's errors and what `pieces` raises.
    """
    whole = _blocks(pieces)
    first = next(whole, None)
    if first is None:
        raise FileError(FileCode.EMPTY, "the file is empty: not even a header")
    job = store.begin(database, options, key=key, seconds=RECEIVE_SECONDS)
    if job is None and key is not None:
        found = store.holder(database, key)
        if found is None:  # it was given up a moment ago
            job = store.begin(database, options, key=key, seconds=RECEIVE_SECONDS)
        elif found.status is Status.RECEIVING:
            raise KeyBusyError(found.seconds)
        else:
            return _replayed(database, found, _digest(first, whole), options), False
    if job is None:
        raise KeyBusyError(1)
    try:
        return _stored(database, job, first, whole, options)
    except BaseException:
        with suppress(Unavailable, peewee.PeeweeException):  # then its time runs out
            store.discard(database, job)
        raise


def _stored(database: Database, job: UUID, first: bytes, rest: Iterator[bytes], options: Options) -> tuple[UUID, bool]:
    seen = sha256()
    number, block = 0, first
    while True:
        store.append(database, job, number, block, seconds=RECEIVE_SECONDS)
        database.close()  # who waits for a client needs no connection
        seen.update(block)
        number += 1
        following = next(rest, None)
        if following is None:
            break
        block = following
    digest = seen.hexdigest()
    found = store.finish(database, job, sha256=digest, fingerprint=_fingerprint(digest, options))
    return found, found == job


def _replayed(database: Database, found: store.Holder, digest: str, options: Options) -> UUID:
    if found.fingerprint != _fingerprint(digest, options):
        raise KeyReusedError
    return found.id


def _digest(first: bytes, rest: Iterable[bytes]) -> str:
    seen = sha256(first)
    for block in rest:
        seen.update(block)
    return seen.hexdigest()


def _fingerprint(digest: str, options: Options) -> str:
    return sha256(f"{digest} {tuple(options)}".encode()).hexdigest()


def _blocks(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The bytes in blocks of PIECE bytes, or of what came in PIECE_SECONDS."""
    block, began = bytearray(), time.monotonic()
    for piece in pieces:
        block += piece
        if len(block) >= PIECE or (block and time.monotonic() - began >= PIECE_SECONDS):
            yield bytes(block)
            block, began = bytearray(), time.monotonic()
    if block:
        yield bytes(block)
