"""A simulated Swarm that writes down, as they arrive, all writes with what they met: the evidence that laws are judged by."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from controller.model.plan import ObjectKind, Verb
from controller.model.spec import Json
from controller.simulator.engine import Simulator
from controller.simulator.listing import Filters
from controller.simulator.records import Content, Service
from controller.simulator.refusals import RefusalError
from controller.simulator.timeline import NANO

HAND = "hand"  # whoever is no controller
SEEN_SECONDS = 2.0  # by then a controller that nothing disturbs has seen how a node stands


@dataclass(frozen=True, slots=True)
class Sent:
    """A controller's call on its way."""

    who: str
    at: float  # seconds of the simulator's timeline


CALL: ContextVar[Sent | None] = ContextVar("call", default=None)


@dataclass(slots=True)
class Write:
    """One write at the moment when it arrives; `before` and `after` are the Swarm's own records."""

    sent: Sent
    at: float
    verb: Verb
    kind: ObjectKind
    name: str
    object_id: str
    version: int
    body: Json
    before: Service | Content | None
    after: Service | Content | None = None
    refusal: str = ""
    read_at: float | None = 0.0  # when the writer last read this very version; None: never

    @property
    def who(self) -> str:
        return self.sent.who


def _ignore(_: Write) -> None:
    return


@dataclass
class Ledger:
    writes: list[Write] = field(default_factory=list)
    on_write: Callable[[Write], None] = _ignore


class RecordedSwarm(Simulator):
    def __init__(self, *, nodes: int) -> None:
        super().__init__(nodes=nodes)
        self.ledger = Ledger()
        self.lost: dict[str, float] = {}  # nodes that are down and were up for a while before, since when
        self._ready_since: dict[str, float] = {}
        self._read: dict[tuple[str, str, int], float] = {}  # who read which version of what, and when last

    @property
    def now(self) -> float:
        return self.timeline.now_ns / NANO

    def list_objects(self, kind: ObjectKind, filters: Filters | None = None, *, status: bool = True) -> list[Json]:
        found = super().list_objects(kind, filters, status=status)
        if kind in (ObjectKind.SERVICE, ObjectKind.CONFIG):
            self.note_read(found)
        return found

    def note_read(self, found: Iterable[Json]) -> None:
        """Whoever is calling has read these."""
        call = CALL.get()
        if call is not None:
            self._read.update({(call.who, item["ID"], item["Version"]["Index"]): self.now for item in found})

    def _set_state(self, node_id: str, state: str, message: str) -> None:
        node = self.store.nodes.rows[node_id]
        if state == "ready":
            self._ready_since.setdefault(node.hostname, self.now)
            self.lost.pop(node.hostname, None)
        elif node.state == "ready" and self.now - self._ready_since.pop(node.hostname, 0.0) >= SEEN_SECONDS:
            self.lost[node.hostname] = self.now
        super()._set_state(node_id, state, message)

    def create(self, kind: ObjectKind, body: Json, *, api: tuple[int, int] | None = None) -> str:
        with self._noted(Verb.CREATE, kind, body.get("Name", ""), 0, body):
            return super().create(kind, body, api=api)

    def update(
        self,
        kind: ObjectKind,
        reference: str,
        version: int,
        body: Json,
        *,
        rollback: str = "",
        api: tuple[int, int] | None = None,
    ) -> None:
        with self._noted(Verb.UPDATE, kind, reference, version, body):
            super().update(kind, reference, version, body, rollback=rollback, api=api)

    def remove(self, kind: ObjectKind, reference: str) -> None:
        with self._noted(Verb.REMOVE, kind, reference, 0, {}):
            super().remove(kind, reference)

    @contextmanager
    def _noted(self, verb: Verb, kind: ObjectKind, reference: str, version: int, body: Json) -> Iterator[None]:
        sent = CALL.get() or Sent(HAND, self.now)
        before = self._row(kind, reference)
        name = before.name if before is not None else reference
        identity = before.id if before is not None else reference
        write = Write(sent, self.now, verb, kind, name, identity, version, body, before)
        if verb is Verb.UPDATE and sent.who != HAND:
            write.read_at = self._read.get((sent.who, identity, version))
        try:
            yield
        except RefusalError as refusal:
            write.refusal = refusal.message
            raise
        finally:
            write.after = self._row(kind, name)
            self.ledger.writes.append(write)
            self.ledger.on_write(write)

    def _row(self, kind: ObjectKind, reference: str) -> Service | Content | None:
        match kind:
            case ObjectKind.SERVICE:
                return self.store.services.get(reference)
            case ObjectKind.CONFIG:
                return self.store.configs.get(reference)
            case ObjectKind.SECRET:
                return self.store.secrets.get(reference)
        return None
