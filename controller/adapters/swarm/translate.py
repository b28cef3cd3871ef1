"""From HTTP's and the library's failures to the errors of controller.errors.

The texts matched here were seen on Engine 20.10 (API 1.41): Swarm puts refusals, lost races and lost quorums under status 500.
"""

from __future__ import annotations

import json
import re
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from controller.adapters.swarm.connection import without_userinfo
from controller.errors import (
    EngineUnavailableError,
    InUseError,
    NameTakenError,
    NotFoundError,
    NotManagerError,
    OutOfSequenceError,
    ProdBreakerError,
    RefusedError,
    SwarmError,
)


class BrokenOffError(ConnectionError):
    """The connection ended in mid answer."""

    def __str__(self) -> str:
        return "the connection broke off"


class CallVerb(StrEnum):
    ASK = ""  # of the engine itself
    LIST = "list"
    CREATE = "create"
    UPDATE = "update"
    REMOVE = "remove"

    @property
    def is_write(self) -> bool:
        return self not in (CallVerb.ASK, CallVerb.LIST)


@dataclass(frozen=True, slots=True)
class Operation:
    """What is asked of the engine, without the object's name: a label of bounded variety."""

    noun: str  # an ObjectKind, or a single endpoint such as `version`
    verb: CallVerb = CallVerb.ASK

    def __str__(self) -> str:
        return f"{self.noun}_{self.verb}" if self.verb else self.noun


_IN_USE = re.compile(r"\bin use\b|has active endpoints")
_NOT_MANAGER = re.compile(r"swarm manager|not part of a swarm|swarm is encrypted|unlock", re.IGNORECASE)
_WRONG_VERSION = re.compile(r"client version \S+ is too (new|old)")
_ANOTHER_IS_MISSING = re.compile(r"(network|config|secret|plugin|node|service)\b.* not found")
# Under 500, these say that the request itself is wrong; anything else there may have been applied.
_REFUSED_AS_500 = re.compile(
    r"code = (InvalidArgument|FailedPrecondition|AlreadyExists|NotFound|PermissionDenied|Unimplemented|OutOfRange)\b"
    r"|desc = (constraint |key '|value ')"
    r"|^network \S+ not found"
)
_RPC_PREFIX = re.compile(r"^rpc error: code = \w+ desc = ")
_PASSING = {408, 425, 429}  # 4xx in name, but about the moment and not about the request


def of_status(operation: Operation, target: str, status: int, body: bytes, *, hidden: Iterable[str] = ()) -> SwarmError:
    """The error that an answer other than 2xx stands for; `hidden` values never stand in its message."""
    message, is_engines = _message(body)
    kind = _kind(operation, status, message, is_engines=is_engines)
    shown = concealed(_RPC_PREFIX.sub("", message), hidden)
    text = f"{_subject(operation, target)}: {shown or f'HTTP {status}'}"
    if kind is EngineUnavailableError:
        text += f" (HTTP {status}{_doubt(operation)})"
    return kind(text, operation=str(operation), status=status)


def of_transport(operation: Operation, target: str, host: str, error: BaseException) -> EngineUnavailableError:
    """The error that stands for no answer, or half of one."""
    reason = _root_reason(error)
    text = f"{_subject(operation, target)}: no answer from the engine at {without_userinfo(host)}: {reason}{_doubt(operation)}"
    return EngineUnavailableError(text, operation=str(operation))


def of_nonsense(operation: Operation, target: str, reason: str) -> EngineUnavailableError:
    """The error that stands for an answer that says success and cannot be read."""
    text = f"{_subject(operation, target)}: the engine's answer cannot be read: {reason}{_doubt(operation)}"
    return EngineUnavailableError(text, operation=str(operation))


def is_wrong_version(message: str) -> bool:
    """Whether the engine speaks another version of the API than the one negotiated, as after an upgrade."""
    return _WRONG_VERSION.search(message) is not None


def concealed(text: str, hidden: Iterable[str]) -> str:
    """The text without credentials in addresses and without any of the hidden values."""
    for value in sorted(hidden, key=len, reverse=True):
        if len(value) > 2:  # shorter ones would blot out the text and hide nothing
            text = text.replace(value, "***")
    return without_userinfo(text)


def _kind(operation: Operation, status: int, message: str, *, is_engines: bool) -> type[SwarmError]:
    if is_wrong_version(message):
        return EngineUnavailableError  # negotiated anew by the next call
    if status == 404:
        return _kind_of_404(operation, message, is_engines=is_engines)
    if operation.verb is CallVerb.REMOVE and status in (400, 403, 409) and _IN_USE.search(message):
        return InUseError
    if status == 409 and operation.verb is CallVerb.CREATE:
        return NameTakenError
    if status == 503:
        return NotManagerError if _NOT_MANAGER.search(message) else EngineUnavailableError
    if status == 500:
        if "update out of sequence" in message:
            return OutOfSequenceError
        return RefusedError if _REFUSED_AS_500.search(message) else EngineUnavailableError
    if status == 501 or (400 <= status < 500 and status not in _PASSING):
        return RefusedError
    return EngineUnavailableError


def _kind_of_404(operation: Operation, message: str, *, is_engines: bool) -> type[SwarmError]:
    """Absence is what the engine itself says of the object asked for; a proxy's 404 or a missing path is something else."""
    if not is_engines:
        return EngineUnavailableError
    if message == "page not found" or operation.verb is CallVerb.CREATE:
        return RefusedError
    other = _ANOTHER_IS_MISSING.match(message)
    if operation.verb is CallVerb.UPDATE and other and other[1] != operation.noun:
        return RefusedError  # something that the new spec refers to is missing
    return NotFoundError


def _message(body: bytes) -> tuple[str, bool]:
    """The engine's reason, and whether it came in the form that the engine gives it."""
    try:
        return str(json.loads(body)["message"]).strip(), True
    except (ValueError, KeyError, TypeError):
        text = " ".join(body[:500].decode(errors="replace").split())
        return ("" if text.startswith("<") else text), False


def _subject(operation: Operation, target: str) -> str:
    return " ".join(word for word in (operation.noun, target, operation.verb.value) if word)


def _doubt(operation: Operation) -> str:
    return "; perhaps applied" if operation.verb.is_write else ""


def _root_reason(error: BaseException) -> str:
    """The innermost cause in words: libraries wrap it three deep in their own representations."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        if isinstance(current, ProdBreakerError):
            return str(current)  # ours is clear already
        if isinstance(current, TimeoutError):
            return "timed out"
        if isinstance(current, ssl.SSLError):
            return f"TLS: {current.reason or current}"
        if isinstance(current, BrokenOffError):
            return str(current)
        if isinstance(current, OSError) and current.strerror:
            return current.strerror
        error, current = current, _inner(current) or current.__cause__ or current.__context__
    return str(error) or type(error).__name__


def _inner(error: BaseException) -> BaseException | None:
    """What the error carries; urllib3 and requests put causes among the arguments."""
    carried = (*error.args, getattr(error, "reason", None))
    return next((cause for cause in carried if isinstance(cause, BaseException)), None)
