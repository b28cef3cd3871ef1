"""Names and labels of what a stack consists of."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from controller.model.spec import STACK_LABEL

_SERVICE = re.compile(r"[a-zA-Z0-9](?:[a-zA-Z0-9_-]*[a-zA-Z0-9])?")
_CONTENT = re.compile(r"[a-zA-Z0-9](?:[a-zA-Z0-9._-]*[a-zA-Z0-9])?")
_MAX_SERVICE = 63
_MAX_CONTENT = 64


@dataclass(frozen=True, slots=True)
class Namespace:
    """A stack's name, which scopes the names of its objects."""

    stack: str

    def scope(self, key: str) -> str:
        return f"{self.stack}_{key}"

    def label(self, labels: Mapping[str, str] | None) -> dict[str, str]:
        """Labels with the stack's own, which wins over a user's."""
        return {**(labels or {}), STACK_LABEL: self.stack}


def service_name_fault(name: str) -> str | None:
    """Why the manager would refuse a service of this name, or None."""
    if len(name) > _MAX_SERVICE:
        return f"the service's name {name} is longer than {_MAX_SERVICE} characters"
    if not _SERVICE.fullmatch(name):
        return f"the service's name {name} may hold only letters, digits, and - and _ between them"
    return None


def content_name_fault(name: str) -> str | None:
    """Why the manager would refuse a config or secret of this name, or None."""
    if len(name) > _MAX_CONTENT or not _CONTENT.fullmatch(name):
        return f"the name {name} may hold up to {_MAX_CONTENT} letters, digits, and . - _ between them"
    return None
