"""One collection of the Swarm, by id, by name and by label."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Generic, TypeVar

from controller.model.plan import ObjectKind
from controller.simulator.records import Content, Network, Node, Service

R = TypeVar("R", Service, Network, Content, Node)


class Table(Generic[R]):
    def __init__(self, kind: ObjectKind) -> None:
        self.kind = kind
        self.rows: dict[str, R] = {}
        self._ids: dict[str, str] = {}  # by name
        self._labelled: dict[tuple[str, str], dict[str, None]] = {}

    def get(self, reference: str) -> R | None:
        """By id, by name, or by an unambiguous beginning of the id, as the engine's paths take it."""
        row = self.rows.get(reference) or self.by_name(reference)
        if row is None and reference:
            matches = [row for key, row in self.rows.items() if key.startswith(reference)]
            row = matches[0] if len(matches) == 1 else None
        return row

    def by_name(self, name: str) -> R | None:
        return self.rows.get(self._ids.get(name, ""))

    def with_label(self, key: str, value: str) -> Iterator[R]:
        return (self.rows[row_id] for row_id in self._labelled.get((key, value), ()))

    def put(self, row: R) -> R | None:
        """Store it and return what was there."""
        old = self.rows.get(row.id)
        if old is not None:
            self._unlabel(old)
        self.rows[row.id] = row
        self._ids[name_of(row)] = row.id
        for pair in labels_of(row).items():
            self._labelled.setdefault(pair, {})[row.id] = None
        return old

    def drop(self, row: R) -> None:
        self._unlabel(row)
        del self.rows[row.id]
        self._ids.pop(name_of(row), None)

    def _unlabel(self, row: R) -> None:
        for pair in labels_of(row).items():
            members = self._labelled[pair]
            del members[row.id]
            if not members:
                del self._labelled[pair]


def name_of(row: Service | Network | Content | Node) -> str:
    return row.hostname if isinstance(row, Node) else row.name


def labels_of(row: Service | Network | Content | Node) -> Mapping[str, str]:
    return row.spec.get("Labels") or {}
