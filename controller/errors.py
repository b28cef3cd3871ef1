"""Every error that ProdBreaker raises on purpose.

ProdBreakerError
├── ManifestError            a stack file cannot be read; carries every located problem
├── SettingsError            the controller's own configuration is wrong
├── SwarmError               the engine said no, or nothing
│   ├── NotFoundError            404: the object does not exist
│   ├── NameTakenError           409: an object of this name exists already
│   ├── OutOfSequenceError       the version written against is stale: read again, decide again
│   ├── InUseError               a config, secret or network still has a user
│   ├── RefusedError             the request itself is wrong; the same request will be refused again
│   ├── NotManagerError          this engine cannot serve Swarm's API
│   ├── NotLeaderError           another controller leads: the write was not sent
│   └── EngineUnavailableError   no answer, or none that can be trusted: a write may have been applied
├── RegistryError            an image could not be resolved to a digest
├── SignalsUnavailableError  Prometheus gave no answer that says anything
│   └── InconclusiveError        it did answer: a query that is wrong, a warning, a result that is none
├── JournalError             the journal cannot be read or written
├── NotConvergedError        the Swarm did not reach the declared state in time
└── ConnectionConfigError    DOCKER_HOST, TLS files or the context cannot be used

Adapters translate their library's exceptions into these; nothing inside knows HTTP.
"""

from __future__ import annotations

from collections.abc import Sequence

from controller.model.problem import Problem


class ProdBreakerError(Exception):
    """Something went wrong that a person can be told about in one line."""


class ManifestError(ProdBreakerError):
    """A stack file was refused; `problems` holds every fault found, in file order."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class SettingsError(ProdBreakerError):
    """The controller's own configuration is wrong."""


class SwarmError(ProdBreakerError):
    """The engine refused or failed a request."""

    def __init__(self, message: str, *, operation: str = "", status: int | None = None) -> None:
        super().__init__(message)
        self.operation = operation
        self.status = status


class NotFoundError(SwarmError):
    """The object does not exist."""


class NameTakenError(SwarmError):
    """An object of this name exists already."""


class OutOfSequenceError(SwarmError):
    """Somebody else wrote the object since it was read."""


class InUseError(SwarmError):
    """The object still has a user and cannot be removed."""


class RefusedError(SwarmError):
    """The request is wrong; sending it again changes nothing."""


class NotManagerError(SwarmError):
    """This engine is not a Swarm manager, or its Swarm is locked."""


class NotLeaderError(SwarmError):
    """This controller's lease is over or not its own; nothing was sent."""


class EngineUnavailableError(SwarmError):
    """No trustworthy answer came; a write may or may not have been applied."""


class RegistryError(ProdBreakerError):
    """An image could not be resolved to a digest."""


class SignalsUnavailableError(ProdBreakerError):
    """Prometheus did not answer, or not in a way that can be understood."""


class InconclusiveError(SignalsUnavailableError):
    """Prometheus is there and answered; asked the same again it will say as little."""


class JournalError(ProdBreakerError):
    """The journal cannot be read or written."""


class NotConvergedError(ProdBreakerError):
    """The Swarm did not reach the declared state in time."""


class ConnectionConfigError(ProdBreakerError):
    """The way to the engine is configured wrongly."""
