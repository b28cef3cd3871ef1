"""The event stream: the last 256 are replayed, a slow reader loses what does not fit its buffer."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping

from controller.model.spec import Json
from controller.simulator.timeline import NANO

REPLAYED = 256
READER_BUFFER = 1024


class Reader:
    """One open stream: what was published and not yet read."""

    def __init__(self, on_ready: Callable[[], None]) -> None:
        self.pending: deque[Json] = deque()
        self.is_closed = False
        self.lost = 0
        self._on_ready = on_ready

    def push(self, event: Json) -> None:
        if len(self.pending) >= READER_BUFFER:
            self.lost += 1
            return
        self.pending.append(event)
        self._on_ready()

    def close(self) -> None:
        self.is_closed = True
        self._on_ready()


class EventLog:
    """Publishes to every reader and keeps the newest for those who come later."""

    def __init__(self) -> None:
        self.is_silent = False  # streams stay open and tell nothing; the replay buffer still fills
        self._kept: deque[Json] = deque(maxlen=REPLAYED)
        self._readers: list[Reader] = []

    def publish(self, event: Json) -> None:
        self._kept.append(event)
        if not self.is_silent:
            for reader in self._readers:
                reader.push(event)

    def replay(self, *, since_ns: int | None, until_ns: int | None = None) -> list[Json]:
        """The kept events from `since` on; none without `since`, as the engine does it."""
        if since_ns is None and until_ns is None:
            return []
        since = since_ns or 0
        return [e for e in self._kept if since <= e["timeNano"] and (until_ns is None or e["timeNano"] <= until_ns)]

    def open(self, on_ready: Callable[[], None], *, since_ns: int | None = None) -> Reader:
        reader = Reader(on_ready)
        reader.pending.extend(self.replay(since_ns=since_ns))
        self._readers.append(reader)
        return reader

    def release(self, reader: Reader) -> None:
        if reader in self._readers:
            self._readers.remove(reader)

    def forget(self) -> None:
        """Empty the replay buffer."""
        self._kept.clear()

    def close_all(self) -> None:
        """End every open stream, as an engine that goes away does."""
        for reader in tuple(self._readers):
            reader.close()
        self._readers.clear()


def event(kind: str, action: str, object_id: str, attributes: Mapping[str, str], *, time_ns: int, scope: str = "swarm") -> Json:
    """One message of GET /events."""
    body: dict[str, object] = {}
    if kind == "container":  # the old fields, which the engine still sends for containers
        body |= {"status": action, "id": object_id, "from": attributes.get("image", "")}
    return body | {
        "Type": kind,
        "Action": action,
        "Actor": {"ID": object_id, "Attributes": dict(sorted(attributes.items()))},
        "scope": scope,
        "time": time_ns // NANO,
        "timeNano": time_ns,
    }
