"""Pause and resume, written where every controller reads them: the state config of core.state."""

from __future__ import annotations

from datetime import UTC, datetime

from controller.core.state import freed, held_in, with_pause
from controller.engine.ports import Clock, Swarm
from controller.engine.stating import edit_state
from controller.model.spec import Json


async def set_paused(swarm: Swarm, clock: Clock, target: str, *, paused: bool) -> str:
    """Pause or resume `stack` or `stack/service`; doing it twice is no error. Resuming also frees what is held of it.

    Returns what was held and why, empty if nothing was. Raises SwarmError, or ProdBreakerError where others keep writing.
    """
    since = datetime.fromtimestamp(clock.wall(), UTC).isoformat(timespec="seconds") if paused else None
    held: dict[str, str] = {}

    def change(spec: Json) -> Json:
        if paused:
            return with_pause(spec, target, since=since)
        after = freed(with_pause(spec, target, since=None), target)
        before = held_in({"Spec": spec})
        held.clear()
        held.update({name: before[name] for name in before.keys() - held_in({"Spec": after}).keys()})
        return after

    await edit_state(swarm, change, what=target)
    return "; ".join(text if name == target else f"{name} {text}" for name, text in sorted(held.items()))
