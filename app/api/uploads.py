"""The file of a request, as it comes: never whole in memory and never on disk.

It is the body itself, or the part `file` of a form. Werkzeug's own reader of forms is not used: it writes large parts to
/tmp, which is small here.
"""

from __future__ import annotations

from collections.abc import Iterator

from flask import request
from werkzeug.exceptions import BadRequest, ClientDisconnected, HTTPException, UnsupportedMediaType
from werkzeug.http import parse_options_header

SLICE = 64 * 1024
_HEAD = 16 * 1024  # bytes of the headers of one part of a form
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
    form, found = _Form(pieces, boundary.encode()), False
    for name in form.parts():
        if name == "file":
            if found:
                raise BadRequest("There are two files: send one at a time.")
            found = True
            yield from form.content()
    if not found:
        raise BadRequest("There is no file: send it as the part file of a form, or as the body.")


class _Form:
    """A form as a stream (RFC 7578). Werkzeug's MultipartDecoder gives other bytes if the last boundary is cut in two."""

    def __init__(self, pieces: Iterator[bytes], boundary: bytes) -> None:
        self._pieces, self._mark = pieces, b"\r\n--" + boundary
        self._buffer = bytearray(b"\r\n")  # the first boundary has no line before it
        self._is_open = True

    def parts(self) -> Iterator[str | None]:
        """The name of each part, which `content` reads, or which is passed over. Raises BadRequest if the form is not whole."""
        while True:
            for _ in self.content():
                pass
            while len(self._buffer) < 2:
                self._more()
            if self._buffer.startswith(b"--"):
                break
            name = self._name()
            self._is_open = True
            yield name
        for _ in self._pieces:  # whether the body is whole shows only at its end
            pass

    def content(self) -> Iterator[bytes]:
        """What is left of the part at hand."""
        if self._is_open:
            self._is_open = False
            yield from self._until(self._mark)

    def _name(self) -> str | None:
        head = bytearray()
        for piece in self._until(b"\r\n\r\n"):
            head += piece
            if len(head) > _HEAD:
                raise BadRequest("The form cannot be read: a part has too many headers.")
        padding, *headers = head.decode("utf-8", "replace").split("\r\n")
        for header in headers:
            key, _, value = header.partition(":")
            if key.strip().lower() == "content-disposition" and not padding.strip():
                return parse_options_header(value)[1].get("name")
        raise BadRequest("The form cannot be read: a part does not say what it is.")

    def _until(self, mark: bytes) -> Iterator[bytes]:
        """The bytes up to the mark, which is dropped."""
        while (at := self._buffer.find(mark)) < 0:
            if (sure := len(self._buffer) - len(mark) + 1) > 0:
                piece = bytes(self._buffer[:sure])
                del self._buffer[:sure]
                yield piece
            self._more()
        piece = bytes(self._buffer[:at])
        del self._buffer[: at + len(mark)]
        if piece:
            yield piece

    def _more(self) -> None:
        piece = next(self._pieces, None)
        if piece is None:
            raise BadRequest("The form is not whole: its last boundary is missing.")
        self._buffer += piece
