"""What is declared right now: the last good reading of every manifest, and what is wrong with those that cannot be read."""

from __future__ import annotations

from collections.abc import Mapping

from controller.core.revisions import service_tag
from controller.errors import ManifestError
from controller.model.spec import DesiredService, DesiredStack
from controller.model.status import Key


class Declarations:
    """A manifest that breaks keeps its last good reading; one that goes away is forgotten and nothing of it is removed."""

    def __init__(self) -> None:
        self._stacks: dict[str, DesiredStack] = {}
        self._errors: dict[str, str] = {}
        self._owners: dict[str, Key] = {}
        self._tagged: dict[str, Key] = {}

    @property
    def stacks(self) -> Mapping[str, DesiredStack]:
        return self._stacks

    @property
    def errors(self) -> Mapping[str, str]:
        """By stack, why its manifest cannot be read now."""
        return self._errors

    def accept(self, stack: DesiredStack) -> bool:
        """Take a good reading; returns whether anything is declared differently from before."""
        self._errors.pop(stack.name, None)
        if self._stacks.get(stack.name) == stack:
            return False
        self._stacks[stack.name] = stack
        self._index()
        return True

    def refuse(self, name: str, error: ManifestError) -> bool:
        """Keep the last good reading; returns whether this fault is news."""
        message = str(error)
        known = self._errors.get(name) == message
        self._errors[name] = message
        return not known

    def forget(self, name: str) -> bool:
        """The manifest is gone; returns whether it was known."""
        known = self._stacks.pop(name, None) is not None
        self._errors.pop(name, None)
        self._index()
        return known

    def find(self, key: Key) -> tuple[DesiredStack, DesiredService | None] | None:
        """The declaration behind a key, None if it is not declared any more."""
        stack = self._stacks.get(key.stack)
        if stack is None or (key.service is not None and key.service not in stack.services):
            return None
        return stack, stack.services[key.service] if key.service is not None else None

    def keys(self, stack: str | None = None) -> list[Key]:
        """Every key, shared objects before services; of one stack or of all."""
        chosen = [self._stacks[stack]] if stack is not None else self._stacks.values()
        shared = [Key(item.name) for item in chosen]
        return shared + [Key(item.name, service) for item in chosen for service in item.services]

    def owner(self, service_name: str) -> Key | None:
        """The key of a live service's name; for an undeclared one of a declared stack, the stack's own key."""
        if service_name in self._owners:
            return self._owners[service_name]
        stacks = [name for name in self._stacks if service_name.startswith(f"{name}_")]
        return Key(max(stacks, key=len)) if stacks else None  # of `a` and `a_b` the one with the longer name

    def tagged(self, tag: str) -> Key | None:
        """The key of the declared service that a tag stands for in the names of kept revisions."""
        return self._tagged.get(tag)

    def _index(self) -> None:
        self._owners = {
            service.name: Key(stack.name, service.key) for stack in self._stacks.values() for service in stack.services.values()
        }
        self._tagged = {service_tag(name): key for name, key in self._owners.items()}
