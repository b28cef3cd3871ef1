"""How the simulated engine says no: a status and a text, those of the real one."""

from __future__ import annotations


class RefusalError(Exception):
    """An answer other than 2xx."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class UnreachableError(Exception):
    """No answer at all: the engine is away, or the connection broke."""


# gRPC code -> status, as the engine maps them
_STATUS = {
    "InvalidArgument": 400,
    "FailedPrecondition": 400,
    "NotFound": 404,
    "AlreadyExists": 409,
    "Unimplemented": 501,
    "Unknown": 500,
}


def rpc(code: str, text: str) -> RefusalError:
    """A refusal by the manager, seen through the daemon's API."""
    return RefusalError(_STATUS[code], f"rpc error: code = {code} desc = {text}")


def invalid(text: str) -> RefusalError:
    return rpc("InvalidArgument", text)


def out_of_sequence() -> RefusalError:
    return rpc("Unknown", "update out of sequence")


def not_found(kind: str, reference: str) -> RefusalError:
    return RefusalError(404, f"{kind} {reference} not found")
