"""What is asked of the engine, and what it is called in messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from controller.adapters.swarm.translate import Operation


@dataclass(frozen=True, slots=True)
class Request:
    operation: Operation
    method: str
    path: str  # without the API's version
    target: str = ""  # the object's name or id, for messages
    params: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    hidden: Sequence[str] = field(default=(), repr=False)  # values that no message may repeat

    @property
    def sent_headers(self) -> Mapping[str, str]:
        return self.headers if self.body is None else {**self.headers, "Content-Type": "application/json"}
