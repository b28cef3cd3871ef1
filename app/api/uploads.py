"""The file of a request, as it comes: never whole in memory and never on disk.

It is the body itself, or the part `file` of a form. Werkzeug's own reader of forms is not used: it writes large parts to
/tmp, which is small here.
"""

from __future__ import annotations

from collections.abc import Iterator

from flask import request
from werkzeug.exceptions import BadRequest, ClientDisconnected, HTTPException, UnsupportedMediaType
from werkzeug.sansio.multipart import Data, File, MultipartDecoder, NeedData

SLICE = 64 * 1024
# Of a form: parts, and bytes of what is no file's content (headers, what stands around the parts).
_PARTS, _AROUND = 20, 1024 * 1024
_TYPES = {"", "text/csv", "application/csv", "text/plain", "application/octet-stream", "application/vnd.ms-excel"}
_PACKED = {"application/gzip", "application/x-gzip"}
_GZIP = b"\x1f\x8b"


def uploaded(*, largest: int) -> Iterator[bytes]:
    """The bytes of the request's file. Its type is checked at once, the rest while it is read.

    Raises BadRequest (no file, a form that is not whole, a client that went away), RequestEntityTooLarge and
    UnsupportedMediaType.
    """
    request.max_content_length = largest
    if request.mimetype == "multipart/form-data":
        if request.content_encoding:
            raise UnsupportedMediaType("A form must not be packed; its file may be gzip.")
        return _part(_body())
    if request.mimetype not in _TYPES | _PACKED:
        raise UnsupportedMediaType("The body must be text/csv, plain or gzip, or multipart/form-data with the part file.")
    charset = request.mimetype_params.get("charset", "utf-8").lower()
    if charset not in ("utf-8", "utf8", "us-ascii"):
        raise UnsupportedMediaType("The file must be UTF-8.")
    encoding = (request.content_encoding or "identity").lower()
    if encoding not in ("identity", "gzip", "x-gzip"):
        raise UnsupportedMediaType("The only Content-Encoding that is read here is gzip.")
    is_packed = encoding != "identity" or request.mimetype in _PACKED
    return _packed(_body()) if is_packed else _body()


def _body() -> Iterator[bytes]:
    """All bytes of the body, counted: gunicorn ends a body that its client broke off like one that is whole."""
    stream, wanted, count = request.stream, request.content_length, 0
    while True:
        try:
            piece = stream.read(SLICE)
        except HTTPException:
            raise
        except Exception as error:  # noqa: BLE001 - every server has errors of its own for a body that is not whole
            raise ClientDisconnected(f"The body is not whole: {type(error).__name__}.") from None
        if not piece:
            break
        count += len(piece)
        yield piece
    if wanted is not None and count < wanted:
        raise ClientDisconnected(f"The body is not whole: {count} of {wanted} bytes came.")


def _packed(pieces: Iterator[bytes]) -> Iterator[bytes]:
    head = b""
    for piece in pieces:
        if len(head) < len(_GZIP):
            head += piece
            if len(head) < len(_GZIP):
                continue
            piece = head
            if not head.startswith(_GZIP):
                raise BadRequest("The body is said to be gzip and is not.")
        yield piece
    if len(head) < len(_GZIP):
        raise BadRequest("The body is said to be gzip and is not.")


def _part(pieces: Iterator[bytes]) -> Iterator[bytes]:
    boundary = request.mimetype_params.get("boundary", "")
    if not boundary or not boundary.isascii():
        raise BadRequest("The form's type names no boundary.")
    decoder = MultipartDecoder(boundary.encode(), max_form_memory_size=_AROUND, max_parts=_PARTS)
    is_file, found = False, False
    try:
        for piece in pieces:
            decoder.receive_data(piece)
            while not isinstance(event := decoder.next_event(), NeedData):
                if isinstance(event, File):
                    is_file = event.name == "file"
                    if is_file and found:
                        raise BadRequest("There are two files: send one at a time.")
                    found = found or is_file
                elif isinstance(event, Data) and is_file and event.data:
                    yield event.data
                if isinstance(event, Data) and not event.more_data:
                    is_file = False
        decoder.receive_data(None)
        decoder.next_event()
    except ValueError:
        raise BadRequest("The form cannot be read: it is not whole, or no multipart/form-data.") from None
    if not found:
        raise BadRequest("There is no file: send it as the part file of a form, or as the body.")
