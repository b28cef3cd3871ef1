"""A fault in a stack file, with the place where a person finds it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    ERROR = "error"  # the file is refused
    WARNING = "warning"  # the file is taken, but probably does not mean what its author thinks


@dataclass(frozen=True, slots=True)
class Problem:
    """Printed as `file:line:column: services.web.ports[0]: reason`."""

    file: str  # as given on the command line
    line: int  # from 1
    column: int  # from 1
    path: str  # of the key in the file; empty for the file as a whole
    reason: str
    severity: Severity = Severity.ERROR

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}: "
        path = f"{self.path}: " if self.path else ""
        mark = "warning: " if self.severity is Severity.WARNING else ""
        return f"{place}{mark}{path}{self.reason}"
